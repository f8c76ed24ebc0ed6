package discovery

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestSplitPeer(t *testing.T) {
	for text, want := range map[string]struct {
		name string
		owns bool
	}{
		"http://10.0.0.9:8001":                           {"http://10.0.0.9:8001", true},
		"http://10.0.0.9:8001#owns=nothing":              {"http://10.0.0.9:8001", false},
		"node-9#owns=nothing":                            {"node-9", false},
		"http://10.0.0.9:8001#owns=all":                  {"http://10.0.0.9:8001#owns=all", true},
		"http://10.0.0.9:8001#owns=nothing#owns=nothing": {"http://10.0.0.9:8001#owns=nothing", false},
		"#owns=nothing":                                  {"", false},
	} {
		name, owns := SplitPeer(text)
		if name != want.name || owns != want.owns {
			t.Errorf("SplitPeer(%q) = %q, %v, want %q, %v", text, name, owns, want.name, want.owns)
		}
	}
	for _, text := range []string{"http://a:1", "http://a:1#owns=nothing"} {
		if got := OwningNothing(text); got != "http://a:1#owns=nothing" {
			t.Errorf("OwningNothing(%q) = %q", text, got)
		}
	}
}

func TestListOfThoseThatOwnNothing(t *testing.T) {
	got, err := parseList([]byte("http://a:1\nhttp://b:1#owns=nothing\n http://c:1#owns=nothing # a gateway\nhttp://d:1# owns=nothing\nhttp://e:1 #owns=nothing\n#owns=nothing\nhttp://f:1#owns=nothings\n"))
	want := []string{"http://a:1", "http://b:1#owns=nothing", "http://c:1#owns=nothing", "http://d:1#owns=nothing", "http://e:1#owns=nothing", "http://f:1"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// source reports views, one after the other, and records as whom it was run.
type source struct {
	views []View
	self  string
	err   error
}

func (s *source) Run(ctx context.Context, self string, report func(View)) error {
	s.self = self
	for _, v := range s.views {
		report(v)
	}
	if s.err != nil {
		return s.err
	}
	<-ctx.Done()
	return nil
}

// TestWithoutOwnership checks that all peers of a source are listed as owning nothing, and that the
// source itself hears nothing of that.
func TestWithoutOwnership(t *testing.T) {
	s := &source{views: []View{{Peers: []string{"http://a:1", "http://b:1"}, Lapsed: true}}}
	ctx, cancel := context.WithCancel(t.Context())
	var got View
	if err := WithoutOwnership(s).Run(ctx, "http://a:1#owns=nothing", func(v View) { got = v; cancel() }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"http://a:1#owns=nothing", "http://b:1#owns=nothing"}; !slices.Equal(got.Peers, want) || !got.Lapsed || s.self != "http://a:1" {
		t.Errorf("got %+v, run as %q, want %q", got, s.self, want)
	}
}

func TestMerge(t *testing.T) {
	owners := &source{views: []View{{Peers: []string{"http://a:1", "http://b:1"}}}}
	gateways := &source{views: []View{{Peers: []string{"http://g:1"}, Lapsed: true}}}
	d, err := Merge(owners, WithoutOwnership(gateways))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"http://a:1", "http://b:1", "http://g:1#owns=nothing"}
	for self, lapsed := range map[string]bool{"http://a:1": false, "http://g:1#owns=nothing": true, "http://c:1": true} {
		ctx, cancel := context.WithCancel(t.Context())
		var got View
		if err := d.Run(ctx, self, func(v View) { got = v; cancel() }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Peers, want) || got.Lapsed != lapsed {
			t.Errorf("as %s: got %+v, want %q, lapsed: %v", self, got, want, lapsed)
		}
	}
	failed := errors.New("no such name")
	if d, err = Merge(owners, &source{err: failed}); err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context(), "http://a:1", func(v View) { t.Errorf("a view of half of the sources: %+v", v) }); !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	for _, sources := range [][]Discovery{nil, {owners, nil}} {
		if _, err := Merge(sources...); err == nil {
			t.Errorf("Merge of %v: no error", sources)
		}
	}
}
