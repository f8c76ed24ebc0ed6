package door_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache/door"
)

const (
	reader = "a-token-that-may-read"
	writer = "a-token-that-may-write"
)

func TestTokens(t *testing.T) {
	tokens, err := door.NewTokens(map[string]door.Rights{
		reader: {May: door.RightGet | door.RightWatch, Groups: []string{"scores"}},
		writer: {May: door.AllRights},
	})
	if err != nil {
		t.Fatal(err)
	}
	get, clear := door.Access{Group: "scores", Key: "Tom", Right: door.RightGet}, door.Access{Group: "scores", Right: door.RightClear}
	other := door.Access{Group: "other", Right: door.RightGet}
	for _, tt := range []struct {
		header string
		asked  door.Access
		known  bool
		may    bool
	}{
		{"Bearer " + reader, get, true, true},
		{"bearer  " + reader + " ", get, true, true},
		{"Bearer " + reader, clear, true, false},
		{"Bearer " + reader, other, true, false},
		{"Bearer " + writer, clear, true, true},
		{"Bearer " + writer, other, true, true},
		{"Bearer " + reader[1:], get, false, false},
		{"Bearer " + reader + "x", get, false, false},
		{"Basic " + reader, get, false, false},
		{"Bearer", get, false, false},
		{"Bearer ", get, false, false},
		{"", get, false, false},
	} {
		rights, err := tokens.Bearer(tt.header)
		if tt.known != (err == nil) || err != nil && !errors.Is(err, door.ErrUnauthenticated) {
			t.Errorf("%q: error %v", tt.header, err)
		} else if err == nil && rights.Allow(tt.asked) != tt.may {
			t.Errorf("%q: may do %v: %v", tt.header, tt.asked, !tt.may)
		}
	}
}

// TestNoTokens checks that who has no tokens lets in everybody, and that one does not come to that by
// mistake.
func TestNoTokens(t *testing.T) {
	var none *door.Tokens
	for name, tokens := range map[string]*door.Tokens{"nil": none, "the zero value": new(door.Tokens)} {
		rights, err := tokens.Bearer("")
		if tokens.Needed() || err != nil || !rights.Allow(door.Access{Group: "g", Right: door.RightClear}) {
			t.Errorf("%s: needed %v, error %v", name, tokens.Needed(), err)
		}
	}
	for want, rights := range map[string]map[string]door.Rights{
		"no tokens":       nil,
		"at least 16":     {"": {May: door.AllRights}},
		"printable ASCII": {"a token with spaces": {May: door.AllRights}},
		"the rights 0":    {reader: {}},
		"the rights 16":   {reader: {May: 16}},
	} {
		if _, err := door.NewTokens(rights); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewTokens: error %v, want one with %q", err, want)
		}
	}
}

// TestTokensReplaced checks that a client is let in by the tokens before or after a Set, while they
// are replaced, and never by none.
func TestTokensReplaced(t *testing.T) {
	tokens, err := door.NewTokens(map[string]door.Rights{reader: {May: door.RightGet}})
	if err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 2000 {
				if _, err := tokens.Bearer("Bearer " + reader); err != nil {
					t.Error(err)
					return
				}
				if _, err := tokens.Bearer(""); err == nil {
					t.Error("who has no token is let in")
					return
				}
			}
		})
	}
	for i := range 200 {
		if err := tokens.Set(map[string]door.Rights{reader: {May: door.RightGet}, fmt.Sprintf("another-token-%06d", i): {May: door.RightGet}}); err != nil {
			t.Error(err)
		}
	}
	asking.Wait()
	if err := tokens.Set(map[string]door.Rights{"short": {May: door.RightGet}}); err == nil {
		t.Error("a short secret is taken")
	}
	if _, err := tokens.Bearer("Bearer " + reader); err != nil {
		t.Errorf("after a Set that failed: %v", err)
	}
	if err := tokens.Set(nil); err != nil || tokens.Needed() {
		t.Errorf("Set(nil): %v, needed %v", err, tokens.Needed())
	}
}

func TestRightNames(t *testing.T) {
	for _, r := range []door.Right{door.RightGet, door.RightChange, door.RightClear, door.RightWatch} {
		if back, err := door.ParseRight(r.String()); err != nil || back != r {
			t.Errorf("ParseRight(%s): %v, %v", r, back, err)
		}
	}
	if _, err := door.ParseRight("all"); err == nil {
		t.Error("ParseRight(all): no error")
	}
}
