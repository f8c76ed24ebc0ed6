package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertest"
)

const someParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// tracer counts spans by their kinds, and panics where it is told to.
type tracer struct {
	panics string // the method that panics; "end": the end of spans
	parent string // what Inject returns

	mu        sync.Mutex
	spans     []peercache.Span
	ends      []peercache.SpanEnd
	extracted []string
}

type inSpan struct{}

func (r *tracer) Start(ctx context.Context, s peercache.Span) (context.Context, func(peercache.SpanEnd)) {
	r.panic("Start")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, s)
	return context.WithValue(ctx, inSpan{}, s.Kind), func(e peercache.SpanEnd) {
		r.panic("end")
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ends = append(r.ends, e)
	}
}

func (r *tracer) Inject(context.Context) (traceparent, tracestate string) {
	r.panic("Inject")
	return r.parent, ""
}

func (r *tracer) Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	r.panic("Extract")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.extracted = append(r.extracted, traceparent+" "+tracestate)
	return ctx
}

func (r *tracer) panic(in string) {
	if r.panics == in || r.panics == "all" {
		panic("planted")
	}
}

// kinds returns the spans that have begun, and forgets them.
func (r *tracer) kinds() (kinds []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		kinds = append(kinds, string(s.Kind))
	}
	slices.Sort(kinds)
	r.spans = nil
	return kinds
}

// traced returns two processes, over a transport in memory, whose groups have the tracers.
func traced(t *testing.T, tracers [2]*tracer, opts ...peercache.GroupOption) (pools [2]*peercache.Pool, groups [2]*peercache.Group) {
	t.Helper()
	network := peertest.New(1)
	t.Cleanup(network.Close)
	names := []string{"http://a.test:1", "http://b.test:1"}
	for i, name := range names {
		pool, err := peercache.NewPool(name, network.Transport())
		if err != nil {
			t.Fatal(err)
		}
		network.Serve(name, pool)
		t.Cleanup(func() { pool.Shutdown(context.Background()) })
		all := append([]peercache.GroupOption{peercache.WithPeers(pool)}, opts...)
		if tracers[i] != nil {
			all = append(all, peercache.WithTracer(tracers[i]))
		}
		group, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			return []byte("value of " + key), nil
		}), all...)
		if err != nil {
			t.Fatal(err)
		}
		pools[i], groups[i] = pool, group
	}
	for _, pool := range pools {
		if err := pool.Set(names...); err != nil {
			t.Fatal(err)
		}
	}
	for _, pool := range pools {
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return pools, groups
}

// A Tracer that panics breaks nothing.
func TestTracerPanics(t *testing.T) {
	for _, in := range []string{"Start", "end", "Inject", "Extract", "all"} {
		t.Run(in, func(t *testing.T) {
			pools, groups := traced(t, [2]*tracer{{panics: in, parent: someParent}, {panics: in, parent: someParent}})
			get := func(key string) {
				view, err := groups[0].Get(t.Context(), key)
				if err != nil || view.String() != "value of "+key {
					t.Errorf("Get: %q, %v", view, err)
				}
			}
			keys := keysOf(pools[0], 3)
			get(keys[0])
			for i, r := range groups[0].GetMulti(t.Context(), keys) {
				if r.Err != nil || r.View.String() != "value of "+keys[i] {
					t.Errorf("GetMulti: %q, %v", r.View, r.Err)
				}
			}
			if err := groups[0].Remove(t.Context(), keys...); err != nil {
				t.Error(err)
			}
			get(keys[0])
			if groups[0].Stats().Panics+groups[1].Stats().Panics == 0 {
				t.Error("no panic is counted")
			}
		})
	}
}

// keysOf returns keys that the other process owns.
func keysOf(pool *peercache.Pool, n int) (keys []string) {
	for i := 0; len(keys) < n; i++ {
		if key := fmt.Sprintf("key %d", i); pool.Pick(key, 0) != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// A peer of an earlier version says nothing of spans: those of this process begin a trace. And one
// without a Tracer takes no offence at those of others.
func TestTracerOnOneSide(t *testing.T) {
	for i := range 2 {
		var tracers [2]*tracer
		tracers[i] = &tracer{parent: someParent}
		pools, groups := traced(t, tracers)
		if _, err := groups[0].Get(t.Context(), keysOf(pools[0], 1)[0]); err != nil {
			t.Error(err)
		}
		want := [2]string{"[fetch miss]", "[load serve]"}[i]
		if got := fmt.Sprint(tracers[i].kinds()); got != want || len(tracers[i].extracted) > 0 {
			t.Errorf("with a Tracer at process %d: spans %s, extracted %q: want %s", i, got, tracers[i].extracted, want)
		}
	}
}

// What is no span is not given to the Tracer (P10), and the request is answered.
func TestP10ForgedSpans(t *testing.T) {
	r := &tracer{}
	pools, groups := traced(t, [2]*tracer{r, nil})
	for trace, want := range map[string]string{
		"":                  "",
		"x":                 "",
		someParent:          someParent + " ",
		someParent + " a=1": someParent + " a=1",
		someParent + " " + strings.Repeat("a", 513): someParent + " ",
		someParent + " \n":                          someParent + " ",
		strings.Repeat("0", 1<<16):                  "",
		strings.ToUpper(someParent):                 "",
		"\xff" + someParent[1:]:                     "",
	} {
		for _, ask := range []func() error{
			func() error {
				h, err := pools[0].Accept(pools[1].Identity(), "")
				if err != nil {
					return err
				}
				_, err = h.Load(t.Context(), &peer.Query{Group: "g", Key: "k" + want, Trace: trace})
				return err
			},
			func() error {
				h, err := pools[0].Accept(pools[1].Identity(), "")
				if err != nil {
					return err
				}
				_, err = h.Change(t.Context(), &peer.Change{Group: "g", Keys: []string{"k"}, Trace: trace})
				return err
			},
		} {
			r.extracted = nil
			if err := ask(); err != nil {
				t.Errorf("%.80q: %v", trace, err)
			}
			if got := strings.Join(r.extracted, "; "); got != want {
				t.Errorf("%.80q: extracted %q, want %q", trace, got, want)
			}
		}
	}
	if s := groups[0].Stats(); s.Panics > 0 {
		t.Errorf("%d panics", s.Panics)
	}
}

// All spans end, each with its error.
func TestSpansEnd(t *testing.T) {
	failed := errors.New("no origin")
	r := new(tracer)
	g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
		if ctx.Value(inSpan{}) != peercache.SpanLoad {
			t.Errorf("the getter's context has the span of a %v", ctx.Value(inSpan{}))
		}
		if key == "missing" {
			return nil, peercache.ErrNotFound
		}
		return nil, failed
	}), peercache.WithTracer(r))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"missing": peercache.ErrNotFound, "failing": failed} {
		r.ends = nil
		g.Get(t.Context(), key)
		if len(r.ends) != 2 || !errors.Is(r.ends[0].Err, want) || !errors.Is(r.ends[1].Err, want) {
			t.Errorf("%s: the spans end with %v, want %v", key, r.ends, want)
		}
	}
	r.ends = nil
	g.GetMulti(t.Context(), []string{"missing", "also missing"})
	for _, e := range r.ends {
		if len(r.ends) != 3 || e.Err != nil && !errors.Is(e.Err, failed) && !errors.Is(e.Err, peercache.ErrNotFound) {
			t.Errorf("GetMulti: the spans end with %v", r.ends)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	cancel()
	r.ends = nil
	if _, err := g.Get(ctx, "x"); len(r.ends) != 1 || !errors.Is(r.ends[0].Err, err) {
		t.Errorf("with a context that has ended: %v, and the spans end with %v", err, r.ends)
	}
}

// A hit takes no memory, nor a question that is answered from a cache, with a Tracer or without.
func TestHitsAreNotTraced(t *testing.T) {
	r := &tracer{parent: someParent}
	pools, groups := traced(t, [2]*tracer{r, r})
	key := keysOf(pools[0], 1)[0]
	if _, err := groups[1].Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	h, err := pools[1].Accept(pools[0].Identity(), "")
	if err != nil {
		t.Fatal(err)
	}
	r.kinds()
	q := new(peer.Query)
	for what, hit := range map[string]func() error{
		"a hit": func() error { _, err := groups[1].Get(context.Background(), key); return err },
		"a served hit": func() error {
			*q = peer.Query{Group: "g", Key: key, Trace: someParent}
			_, err := h.Hit(q)
			return err
		},
	} {
		n := testing.AllocsPerRun(100, func() {
			if err := hit(); err != nil {
				t.Fatal(err)
			}
		})
		if kinds := r.kinds(); n > 0 || len(kinds) > 0 || len(r.extracted) > 0 {
			t.Errorf("%s takes %v allocations, and has the spans %v and %q", what, n, kinds, r.extracted)
		}
	}
}
