package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

func TestGet(t *testing.T) {
	f := newFake("g")
	ttls := map[string]time.Duration{"endless": 0, "stale": -time.Second, "a\x00\xff": 3 * time.Second}
	f.get = func(_ context.Context, key string) (string, time.Duration, error) {
		if key == "empty" {
			return "", 0, nil
		}
		return "value of " + key, ttls[key], nil
	}
	c := client(t, f)
	for key, ttl := range ttls {
		r, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte(key)})
		if err != nil || string(r.GetValue()) != "value of "+key || r.GetTtlNs() != int64(ttl) {
			t.Errorf("Get of %q: %q, %d, %v", key, r.GetValue(), r.GetTtlNs(), err)
		}
	}
	if r, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("empty")}); err != nil || len(r.GetValue()) != 0 {
		t.Errorf("Get of an empty value: %q, %v", r.GetValue(), err)
	}
}

// detail returns a detail of a status.
func detail[T any](err error) (found T, ok bool) {
	for _, d := range status.Convert(err).Details() {
		if found, ok = d.(T); ok {
			return found, true
		}
	}
	return found, false
}

func TestErrors(t *testing.T) {
	f := newFake("g")
	var answer error
	f.get = func(context.Context, string) (string, time.Duration, error) { return "", 0, answer }
	f.change = func(context.Context, *peercache.Item, ...string) error { return answer }
	c := client(t, f)
	get := func() error {
		_, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")})
		return err
	}
	set := func() error {
		_, err := c.Set(within(t), &cachepb.SetRequest{Group: "g", Key: []byte("k")})
		return err
	}
	until := time.Now().Add(time.Minute)
	partly := &peercache.InvalidationError{Group: "g", Pending: []peercache.Pending{
		{Peer: "http://a.example:1", Until: until, Err: errors.New("it hangs")}, {Peer: "http://b.example:1"}}}
	wrong := &peercache.InvalidationError{Group: "g", Pending: []peercache.Pending{
		{Peer: "http://a.example:1", Err: &peercache.ConfigError{Problem: peercache.DifferentLists, Err: errors.New("another list")}}}}
	for _, test := range []struct {
		name   string
		err    error
		ask    func() error
		code   codes.Code
		reason cachepb.Reason_Kind
	}{
		{"not found", fmt.Errorf("no user: %w", peercache.ErrNotFound), get, codes.NotFound, cachepb.Reason_KIND_KEY_NOT_FOUND},
		{"key size", peercache.ErrKeySize, get, codes.InvalidArgument, cachepb.Reason_KIND_KEY_SIZE},
		{"large value", peercache.ErrValueSize, get, codes.FailedPrecondition, cachepb.Reason_KIND_VALUE_SIZE},
		{"large value set", peercache.ErrValueSize, set, codes.InvalidArgument, cachepb.Reason_KIND_VALUE_SIZE},
		{"key size set", peercache.ErrKeySize, set, codes.InvalidArgument, cachepb.Reason_KIND_KEY_SIZE},
		{"load timeout", context.DeadlineExceeded, get, codes.DeadlineExceeded, 0},
		{"load canceled", context.Canceled, get, codes.Aborted, 0},
		{"peer gone", &peercache.PeerError{Peer: "http://a.example:1", Err: errors.New("gone")}, get, codes.Unavailable, 0},
		{"origin", errors.New("the database \xff is away"), get, codes.Unknown, 0},
		{"unreached", partly, set, codes.Unavailable, cachepb.Reason_KIND_UNREACHED},
		{"misconfigured", wrong, set, codes.FailedPrecondition, cachepb.Reason_KIND_UNREACHED},
		{"lapsed", peercache.ErrLapsed, set, codes.Unavailable, cachepb.Reason_KIND_UNREACHED},
	} {
		answer = test.err
		err := test.ask()
		reason, _ := detail[*cachepb.Reason](err)
		if status.Code(err) != test.code || reason.GetKind() != test.reason {
			t.Errorf("%s: %v with the reason %v, want %v and %v", test.name, err, reason.GetKind(), test.code, test.reason)
		}
	}
	answer = errors.New("the database at 10.0.0.7 is away")
	if text := status.Convert(get()).Message(); text != "the origin failed" {
		t.Errorf("a client is told %q of an error of the origin", text)
	}
	told := client(t, f, WithErrorText(func(error) string { return strings.Repeat("ä", 1<<20) }))
	if _, err := told.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")}); status.Code(err) != codes.Unknown || len(status.Convert(err).Message()) > mostText {
		t.Errorf("with WithErrorText a client is told %d bytes: %v", len(status.Convert(err).Message()), status.Code(err))
	}
	answer = partly
	u, ok := detail[*cachepb.Unreached](set())
	if !ok || len(u.GetPeers()) != 2 {
		t.Fatalf("the details have the unreached %v, want two peers", u)
	}
	a, b := u.GetPeers()[0], u.GetPeers()[1]
	if a.GetName() != "http://a.example:1" || a.GetReason() != "it hangs" || time.Duration(a.GetLeftNs()) > time.Minute || time.Duration(a.GetLeftNs()) < 30*time.Second || b.GetLeftNs() != -1 {
		t.Errorf("the unreached are %v", u)
	}
	many := &peercache.InvalidationError{Group: "g"}
	for range 10_000 {
		many.Pending = append(many.Pending, peercache.Pending{Peer: strings.Repeat("p", 512), Err: errors.New(strings.Repeat("e", 512))})
	}
	answer = many
	if err := set(); status.Code(err) != codes.Unavailable {
		t.Errorf("with 10,000 unreached peers: %v", err)
	}
	if _, err := c.Get(within(t), &cachepb.GetRequest{Group: "other", Key: []byte("k")}); status.Code(err) != codes.NotFound {
		t.Errorf("Get of a group that is not there: %v", err)
	} else if r, _ := detail[*cachepb.Reason](err); r.GetKind() != cachepb.Reason_KIND_GROUP_NOT_FOUND {
		t.Errorf("Get of a group that is not there: the reason %v", r)
	}
}

func TestChanges(t *testing.T) {
	f := newFake("g")
	var got string
	f.change = func(_ context.Context, item *peercache.Item, keys ...string) error {
		got = fmt.Sprintf("%q", keys)
		if item != nil {
			got += fmt.Sprintf(" %q %v", item.Value, item.TTL)
		}
		return nil
	}
	c := client(t, f, WithLimits(Limits{Keys: 2}))
	for _, test := range []struct {
		ask  func(ctx context.Context) error
		want string
		code codes.Code
	}{
		{func(ctx context.Context) error {
			_, err := c.Set(ctx, &cachepb.SetRequest{Group: "g", Key: []byte("k\xff"), Value: []byte("v"), TtlNs: int64(time.Second)})
			return err
		}, `["k\xff"] "v" 1s`, codes.OK},
		{func(ctx context.Context) error {
			_, err := c.Set(ctx, &cachepb.SetRequest{Group: "g", Key: []byte("k"), TtlNs: -1})
			return err
		}, "", codes.InvalidArgument},
		{func(ctx context.Context) error {
			_, err := c.Remove(ctx, &cachepb.RemoveRequest{Group: "g", Keys: [][]byte{[]byte("a"), []byte("b")}})
			return err
		}, `["a" "b"]`, codes.OK},
		{func(ctx context.Context) error {
			_, err := c.Remove(ctx, &cachepb.RemoveRequest{Group: "g", Keys: make([][]byte, 3)})
			return err
		}, "", codes.InvalidArgument},
		{func(ctx context.Context) error {
			_, err := c.Remove(ctx, &cachepb.RemoveRequest{Group: "g"})
			return err
		}, "", codes.InvalidArgument},
		{func(ctx context.Context) error {
			_, err := c.Clear(ctx, &cachepb.ClearRequest{Group: "g"})
			return err
		}, "[]", codes.OK},
	} {
		got = ""
		if err := test.ask(within(t)); status.Code(err) != test.code || got != test.want {
			t.Errorf("%v, and the group got %s, want %v and %s", err, got, test.code, test.want)
		}
	}
}

func TestBatchGet(t *testing.T) {
	f := newFake("g")
	f.get = func(_ context.Context, key string) (string, time.Duration, error) {
		switch {
		case strings.HasPrefix(key, "no"):
			return "", 0, peercache.ErrNotFound
		case strings.HasPrefix(key, "large"):
			return strings.Repeat("l", 300<<10), 0, nil
		}
		return "value of " + key, 0, nil
	}
	c := client(t, f)
	var keys [][]byte
	for i := range 1000 {
		keys = append(keys, fmt.Appendf(nil, "%s %d", []string{"some", "no", "large"}[min(i%100, 2)], i))
	}
	stream, err := c.BatchGet(within(t), &cachepb.BatchGetRequest{Group: "g", Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[uint32]bool)
	for {
		m, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.GetResults() {
			if seen[r.GetIndex()] {
				t.Fatalf("the key %d has two results", r.GetIndex())
			}
			seen[r.GetIndex()] = true
			key := string(keys[r.GetIndex()])
			value, _, err := f.get(t.Context(), key)
			if string(r.GetValue()) != value || (err == nil) != (r.GetCode() == 0) || err != nil && codes.Code(r.GetCode()) != codes.NotFound {
				t.Errorf("the result of %q is %.20q, code %d", key, r.GetValue(), r.GetCode())
			}
		}
	}
	if len(seen) != len(keys) {
		t.Errorf("%d results came, want %d", len(seen), len(keys))
	}
	empty, err := c.BatchGet(within(t), &cachepb.BatchGetRequest{Group: "g"})
	if err == nil {
		_, err = empty.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("BatchGet without keys: %v", err)
	}
}

// TestContext checks that a client that hangs up, or whose time is over, ends its wait.
func TestContext(t *testing.T) {
	f := newFake("g")
	ended := make(chan struct{}, 2)
	began := make(chan struct{}, 2)
	f.get = func(ctx context.Context, key string) (string, time.Duration, error) {
		began <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return "", 0, ctx.Err()
	}
	c := client(t, f)
	ctx, cancel := context.WithCancel(within(t))
	go func() {
		<-began
		cancel()
	}()
	if _, err := c.Get(ctx, &cachepb.GetRequest{Group: "g", Key: []byte("k")}); status.Code(err) != codes.Canceled {
		t.Errorf("a client that hangs up: %v", err)
	}
	<-ended
	ctx, cancel = context.WithTimeout(within(t), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Get(ctx, &cachepb.GetRequest{Group: "g", Key: []byte("k")}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a client whose time is over: %v", err)
	}
	<-ended
}

// TestPanic checks that a panic of a group is an error of one call.
func TestPanic(t *testing.T) {
	f := newFake("g")
	f.get = func(_ context.Context, key string) (string, time.Duration, error) {
		if key == "panics" {
			panic("no")
		}
		return "v", 0, nil
	}
	c := client(t, f, WithLogger(slog.New(slog.DiscardHandler)))
	if _, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("panics")}); status.Code(err) != codes.Internal {
		t.Errorf("Get that panics: %v", err)
	}
	if _, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")}); err != nil {
		t.Errorf("Get after one that panics: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	f := newFake("g")
	for name, test := range map[string]struct {
		caches []door.Cache
		opts   []Option
	}{
		"no groups":     {nil, nil},
		"a nil":         {[]door.Cache{nil}, nil},
		"a nil pointer": {[]door.Cache{(*peercache.Group)(nil)}, nil},
		"the same name": {[]door.Cache{f, newFake("g")}, nil},
		"a nil option":  {[]door.Cache{f}, []Option{nil}},
		"no tokens":     {[]door.Cache{f}, []Option{WithTokens(nil)}},
		"no such group": {[]door.Cache{f}, []Option{tokens(t, map[string]door.Rights{reader: {May: door.RightGet, Groups: []string{"h"}}})}},
		"a limit":       {[]door.Cache{f}, []Option{WithLimits(Limits{Keys: -1})}},
		"no TLS":        {[]door.Cache{f}, []Option{WithTLS(nil)}},
		"no logger":     {[]door.Cache{f}, []Option{WithLogger(nil)}},
		"no readiness":  {[]door.Cache{f}, []Option{WithReadiness(nil)}},
		"no authorizer": {[]door.Cache{f}, []Option{WithAuthorizer(nil)}},
	} {
		if _, err := New(test.caches, test.opts...); err == nil {
			t.Errorf("New with %s: no error", name)
		}
	}
}
