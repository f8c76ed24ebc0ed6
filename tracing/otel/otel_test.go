package otel_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/tracing/otel"
)

// node is a process of a cluster, with spans of its own.
type node struct {
	name     string
	pool     *peercache.HTTPPool
	group    *peercache.Group
	recorder *tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
	loads    chan trace.SpanContext // the spans that the getter's contexts had
}

// cluster are three processes that trace.
type cluster []*node

func newCluster(t *testing.T, getter peercache.ItemFunc, opts ...peercache.GroupOption) cluster {
	return newClusterOf(t, getter, nil, opts...)
}

func newClusterOf(t *testing.T, getter peercache.ItemFunc, of []peercache.PoolOption, opts ...peercache.GroupOption) cluster {
	t.Helper()
	var c cluster
	var names []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n := &node{name: "http://" + l.Addr().String(), recorder: tracetest.NewSpanRecorder(), loads: make(chan trace.SpanContext, 100)}
		n.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(n.recorder))
		if n.pool, err = peercache.NewHTTPPool(n.name, of...); err != nil {
			t.Fatal(err)
		}
		load := peercache.ItemFunc(func(ctx context.Context, key string) (peercache.Item, error) {
			n.loads <- trace.SpanContextFromContext(ctx)
			return getter(ctx, key)
		})
		all := append([]peercache.GroupOption{peercache.WithPeers(n.pool), peercache.WithTracer(otel.New(n.provider, otel.WithKeys()))}, opts...)
		if n.group, err = peercache.NewGroup("scores", 64<<20, load, all...); err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: n.pool}
		go server.Serve(l)
		t.Cleanup(func() {
			n.pool.Shutdown(context.Background())
			server.Close()
		})
		c, names = append(c, n), append(names, n.name)
	}
	for _, n := range c {
		if err := n.pool.Set(names...); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c {
		if err := n.pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// keysOf returns keys that the i-th process owns.
func (c cluster) keysOf(i, n int) (keys []string) {
	for at := 0; len(keys) < n; at++ {
		key := fmt.Sprintf("key %d", at)
		if c[i].pool.Pick(key, 0) == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// in runs f in a span of the i-th process, and returns the spans of its trace in all processes,
// when all have ended.
func (c cluster) in(i int, f func(ctx context.Context)) spans {
	ctx, root := c[i].provider.Tracer("test").Start(context.Background(), "caller")
	f(ctx)
	root.End()
	return c.trace(root.SpanContext().TraceID())
}

// trace waits until the spans of a trace have ended, and returns them.
func (c cluster) trace(id trace.TraceID) (all spans) {
	for {
		all = spans{byID: make(map[trace.SpanID]sdktrace.ReadOnlySpan), at: make(map[trace.SpanID]int)}
		open := 0
		for i, n := range c {
			open += len(n.recorder.Started()) - len(n.recorder.Ended())
			for _, s := range n.recorder.Ended() {
				if s.SpanContext().TraceID() == id {
					all.byID[s.SpanContext().SpanID()] = s
					all.at[s.SpanContext().SpanID()] = i
				}
			}
		}
		if open == 0 {
			return all
		}
		runtime.Gosched()
	}
}

// spans are those of one trace.
type spans struct {
	byID map[trace.SpanID]sdktrace.ReadOnlySpan
	at   map[trace.SpanID]int
}

// paths returns the path to each span that has none inside, with the processes where they are.
func (s spans) paths() (paths []string) {
	parents := make(map[trace.SpanID]bool)
	for _, span := range s.byID {
		parents[span.Parent().SpanID()] = true
	}
	for id := range s.byID {
		if parents[id] {
			continue
		}
		path := ""
		for ; id.IsValid(); id = s.byID[id].Parent().SpanID() {
			if s.byID[id] == nil {
				path = "lost " + path
				break
			}
			path = fmt.Sprintf("%s@%d %s", strings.TrimPrefix(s.byID[id].Name(), "peercache."), s.at[id], path)
		}
		paths = append(paths, strings.TrimSpace(path))
	}
	slices.Sort(paths)
	return paths
}

func (s spans) named(name string) (named []sdktrace.ReadOnlySpan) {
	for _, span := range s.byID {
		if span.Name() == "peercache."+name {
			named = append(named, span)
		}
	}
	return named
}

func want(t *testing.T, s spans, paths ...string) {
	t.Helper()
	if got := s.paths(); !slices.Equal(got, paths) {
		t.Errorf("the paths of the spans are\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(paths, "\n\t"))
	}
}

func attributeOf(s sdktrace.ReadOnlySpan, key attribute.Key) (v attribute.Value) {
	for _, a := range s.Attributes() {
		if a.Key == key {
			v = a.Value
		}
	}
	return v
}

func valueOf(size int) peercache.ItemFunc {
	return func(context.Context, string) (peercache.Item, error) {
		return peercache.Item{Value: make([]byte, size)}, nil
	}
}

// TestOneTraceShowsAskerOwnerAndOrigin gets a key by each way.
func TestOneTraceShowsAskerOwnerAndOrigin(t *testing.T) {
	for name, tt := range map[string]struct {
		size int
		opts []peercache.GroupOption
		of   []peercache.PoolOption
	}{
		"stream":                       {size: 10},
		"large":                        {size: 2 << 20},
		"plain":                        {size: 10, of: []peercache.PoolOption{peercache.WithoutStream()}},
		"stream, with a context codec": {size: 10, opts: []peercache.GroupOption{codec}},
		"plain, with a context codec":  {size: 10, opts: []peercache.GroupOption{codec}, of: []peercache.PoolOption{peercache.WithoutStream()}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClusterOf(t, valueOf(tt.size), tt.of, tt.opts...)
			keys := c.keysOf(1, 2)
			for range 2 { // the first opens the stream
				key := keys[0]
				keys = keys[1:]
				all := c.in(0, func(ctx context.Context) {
					if _, err := c[0].group.Get(ctx, key); err != nil {
						t.Error(err)
					}
				})
				load := all.named("load")
				if len(load) != 1 {
					t.Fatalf("%d spans of loads: %q", len(load), all.paths())
				}
				if in := <-c[1].loads; in.SpanID() != load[0].SpanContext().SpanID() {
					t.Errorf("the getter's context has the span %v, want that of the load", in.SpanID())
				}
				paths := all.paths()
				if tt.size > 1<<20 { // where it is loaded it does not fit on the stream, and is asked for again
					paths = slices.DeleteFunc(paths, func(path string) bool { return path == "caller@0 miss@0 fetch@0" })
				}
				if len(paths) != 1 || paths[0] != "caller@0 miss@0 fetch@0 serve@1 load@1" {
					t.Errorf("paths %q", all.paths())
				}
				fetch, serve := all.byID[all.byID[load[0].Parent().SpanID()].Parent().SpanID()], all.byID[load[0].Parent().SpanID()]
				host, port, _ := net.SplitHostPort(strings.TrimPrefix(c[1].name, "http://"))
				if fetch.SpanKind() != trace.SpanKindClient || attributeOf(fetch, "server.address").AsString() != host || fmt.Sprint(attributeOf(fetch, "server.port").AsInt64()) != port {
					t.Errorf("the fetch: %v, %v, want the address %s", fetch.SpanKind(), fetch.Attributes(), c[1].name)
				}
				if serve.SpanKind() != trace.SpanKindServer || attributeOf(serve, "client.address").AsString() != host {
					t.Errorf("the serve: %v, %v", serve.SpanKind(), serve.Attributes())
				}
				for _, s := range []sdktrace.ReadOnlySpan{fetch, serve, load[0]} {
					if attributeOf(s, "peercache.group").AsString() != "scores" || attributeOf(s, "peercache.key").AsString() != key || attributeOf(s, "peercache.keys").AsInt64() != 1 {
						t.Errorf("%s: attributes %v", s.Name(), s.Attributes())
					}
				}
			}
		})
	}
}

type tenantKey struct{}

var codec = peercache.WithContextCodec(peercache.ContextCodec{
	Encode: func(ctx context.Context) []byte { return []byte("tenant") },
	Decode: func(ctx context.Context, b []byte) context.Context {
		return context.WithValue(ctx, tenantKey{}, string(b))
	},
})

// TestNoSpansForHits gets what is cached, here and at a peer.
func TestNoSpansForHits(t *testing.T) {
	c := newCluster(t, valueOf(10))
	own, other := c.keysOf(0, 1)[0], c.keysOf(1, 2)
	get := func(i int, key string) spans {
		return c.in(i, func(ctx context.Context) {
			if _, err := c[i].group.Get(ctx, key); err != nil {
				t.Error(err)
			}
		})
	}
	want(t, get(0, own), "caller@0 miss@0 load@0")
	want(t, get(0, own), "caller@0")
	want(t, get(1, other[0]), "caller@1 miss@1 load@1")
	want(t, get(1, other[1]), "caller@1 miss@1 load@1")
	want(t, get(0, other[0]), "caller@0 miss@0 fetch@0") // a hit there
	some := c.in(0, func(ctx context.Context) { c[0].group.GetMulti(ctx, []string{own, other[0], other[1]}) })
	if paths := slices.Compact(some.paths()); !slices.Equal(paths, []string{"caller@0 miss@0 fetch@0"}) {
		t.Errorf("a GetMulti of what is cached at a peer: %q", paths)
	}
	want(t, c.in(0, func(ctx context.Context) { c[0].group.GetMulti(ctx, []string{own}) }), "caller@0")
}

// TestGetMulti asks for keys of all.
func TestGetMulti(t *testing.T) {
	c := newCluster(t, valueOf(10))
	for range 2 { // the first opens the streams
		for _, n := range c {
			if err := n.group.Clear(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		keys := slices.Concat(c.keysOf(0, 2), c.keysOf(1, 3), c.keysOf(2, 1))
		all := c.in(0, func(ctx context.Context) {
			for i, r := range c[0].group.GetMulti(ctx, keys) {
				if r.Err != nil {
					t.Error(keys[i], r.Err)
				}
			}
		})
		miss := all.named("miss")
		if len(miss) != 1 || attributeOf(miss[0], "peercache.keys").AsInt64() != 6 || attributeOf(miss[0], "peercache.key").AsString() != "" {
			t.Errorf("%d spans of misses: want one with 6 keys: %q", len(miss), all.paths())
		}
		loads := 0
		for _, path := range all.paths() {
			switch path {
			case "caller@0 miss@0 load@0", "caller@0 miss@0 fetch@0 serve@1 load@1", "caller@0 miss@0 fetch@0 serve@2 load@2":
				loads++
			default:
				t.Errorf("path %q", path)
			}
		}
		if loads != 6 {
			t.Errorf("%d loads: %q", loads, all.paths())
		}
	}
}

// TestChanges follows a change to those who hold the value.
func TestChanges(t *testing.T) {
	c := newCluster(t, valueOf(10), peercache.WithLease(time.Minute))
	key := c.keysOf(1, 1)[0]
	for name, change := range map[string]func(ctx context.Context) error{
		"remove": func(ctx context.Context) error { return c[0].group.Remove(ctx, key) },
		"set":    func(ctx context.Context) error { return c[0].group.Set(ctx, key, peercache.Item{Value: []byte("v")}) },
		"clear":  c[0].group.Clear,
	} {
		all := c.in(0, func(ctx context.Context) {
			if err := change(ctx); err != nil {
				t.Error(err)
			}
		})
		owner := false
		for _, s := range all.byID {
			if s.Name() == "caller" {
				continue
			}
			// A Set is a Remove for all but the owner.
			if got := attributeOf(s, "peercache.change").AsString(); got != name && (name != "set" || got != "remove" || s.Name() == "peercache.change") {
				t.Errorf("%s: %s of the change %q", name, s.Name(), got)
			}
			kind := map[string]trace.SpanKind{"change": trace.SpanKindInternal, "tell": trace.SpanKindClient, "apply": trace.SpanKindServer}[strings.TrimPrefix(s.Name(), "peercache.")]
			if s.SpanKind() != kind {
				t.Errorf("%s: %s is of the kind %v", name, s.Name(), s.SpanKind())
			}
		}
		for _, path := range all.paths() {
			owner = owner || path == "caller@0 change@0 tell@0 apply@1"
			if !strings.HasPrefix(path, "caller@0 change@0 tell@0 apply@") {
				t.Errorf("%s: path %q", name, path)
			}
		}
		if !owner {
			t.Errorf("%s: no path to the owner: %q", name, all.paths())
		}
	}
}

// TestErrors records failures, and that a key is not found is none.
func TestErrors(t *testing.T) {
	c := newCluster(t, func(_ context.Context, key string) (peercache.Item, error) {
		return peercache.Item{}, errors.New("no origin")
	})
	key := c.keysOf(1, 1)[0]
	all := c.in(0, func(ctx context.Context) {
		if _, err := c[0].group.Get(ctx, key); err == nil {
			t.Error("no error")
		}
	})
	for name, kind := range map[string]string{"miss": "remote", "fetch": "remote", "serve": "_OTHER", "load": "_OTHER"} {
		for _, s := range all.named(name) {
			if s.Status().Code != codes.Error || !strings.Contains(s.Status().Description, "no origin") || attributeOf(s, "error.type").AsString() != kind {
				t.Errorf("%s: %+v, %v", name, s.Status(), s.Attributes())
			}
		}
	}
	want(t, all, "caller@0 miss@0 fetch@0 serve@1 load@1")

	c = newCluster(t, func(context.Context, string) (peercache.Item, error) { return peercache.Item{}, peercache.ErrNotFound })
	all = c.in(0, func(ctx context.Context) { c[0].group.Get(ctx, key) })
	for _, s := range all.byID {
		if s.Name() != "caller" && (s.Status().Code != codes.Unset || !attributeOf(s, "peercache.not_found").AsBool()) {
			t.Errorf("%s of what is not found: %+v, %v", s.Name(), s.Status(), s.Attributes())
		}
	}
}

// local returns a group without peers and what it records.
func local(t *testing.T, getter peercache.ItemFunc, opts []otel.Option, more ...peercache.GroupOption) (*peercache.Group, cluster) {
	t.Helper()
	n := &node{recorder: tracetest.NewSpanRecorder()}
	n.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(n.recorder))
	g, err := peercache.NewGroup("g", 1<<20, getter, append(more, peercache.WithTracer(otel.New(n.provider, opts...)))...)
	if err != nil {
		t.Fatal(err)
	}
	return g, cluster{n}
}

// TestKeysArePrivate checks that nothing is recorded of keys, nor of texts that may have them in them.
func TestKeysArePrivate(t *testing.T) {
	g, c := local(t, func(_ context.Context, key string) (peercache.Item, error) {
		return peercache.Item{}, fmt.Errorf("no row for %s", key)
	}, nil)
	all := c.in(0, func(ctx context.Context) {
		g.Get(ctx, "tom@example.com")
		g.GetMulti(ctx, []string{"tom@example.com", "ann@example.com"})
		g.Remove(ctx, "tom@example.com")
	})
	for _, s := range all.byID {
		if text := fmt.Sprint(s.Name(), s.Attributes(), s.Status(), s.Events()); strings.Contains(text, "example.com") {
			t.Errorf("%s says %s", s.Name(), text)
		}
	}
	if len(all.named("miss")) != 2 {
		t.Errorf("spans %q", all.paths())
	}
}

// TestLoadsThatEndBadly checks that spans end when a getter panics, or ends its goroutine.
func TestLoadsThatEndBadly(t *testing.T) {
	g, c := local(t, func(_ context.Context, key string) (peercache.Item, error) {
		if key == "panic" {
			panic("planted")
		}
		runtime.Goexit()
		return peercache.Item{}, nil
	}, nil)
	for _, key := range []string{"panic", "goexit"} {
		all := c.in(0, func(ctx context.Context) {
			if _, err := g.Get(ctx, key); err == nil {
				t.Errorf("%s: no error", key)
			}
		})
		want(t, all, "caller@0 miss@0 load@0")
		for _, s := range all.named("load") {
			if s.Status().Code != codes.Error || attributeOf(s, "error.type").AsString() != "panic" {
				t.Errorf("%s: %+v, %v", key, s.Status(), s.Attributes())
			}
		}
	}
}

// TestSharedLoad has two callers get one key: the load is inside of the first one's miss.
func TestSharedLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		g, c := local(t, func(context.Context, string) (peercache.Item, error) {
			<-end
			return peercache.Item{}, nil
		}, nil)
		var callers [2]trace.Span
		for i := range callers {
			var ctx context.Context
			ctx, callers[i] = c[0].provider.Tracer("test").Start(context.Background(), "caller")
			go func() {
				if _, err := g.Get(ctx, "k"); err != nil {
					t.Error(err)
				}
				callers[i].End()
			}()
			synctest.Wait()
		}
		close(end)
		synctest.Wait()
		for i, path := range []string{"caller@0 miss@0 load@0", "caller@0 miss@0"} {
			all := c.trace(callers[i].SpanContext().TraceID())
			want(t, all, path)
			if shared := attributeOf(all.named("miss")[0], "peercache.shared").AsBool(); shared != (i > 0) {
				t.Errorf("caller %d: shared is %v", i, shared)
			}
		}
	})
}

// TestBackground checks that a refresh has a trace of its own, with a link to the hit's.
func TestBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := local(t, func(context.Context, string) (peercache.Item, error) {
			return peercache.Item{TTL: time.Second}, nil
		}, nil, peercache.WithStaleWhileRevalidate(time.Hour))
		g.Get(t.Context(), "k")
		time.Sleep(2 * time.Second)
		all := c.in(0, func(ctx context.Context) {
			g.Get(ctx, "k")
			synctest.Wait()
		})
		want(t, all, "caller@0")
		ended := c[0].recorder.Ended()
		i := slices.IndexFunc(ended, func(s sdktrace.ReadOnlySpan) bool { return len(s.Links()) > 0 })
		if i < 0 {
			t.Fatal("no span has a link")
		}
		s := ended[i]
		for id := range all.byID {
			if s.Links()[0].SpanContext.SpanID() != id {
				t.Errorf("the link goes to %v, want %v", s.Links()[0].SpanContext, id)
			}
		}
		if s.Name() != "peercache.load" || s.Parent().IsValid() || !attributeOf(s, "peercache.background").AsBool() {
			t.Errorf("%s, inside of %v, %v", s.Name(), s.Parent(), s.Attributes())
		}
	})
}

// TestAnOuterSpanStays checks that what a server's middleware has begun is the parent.
func TestAnOuterSpanStays(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	tracer := otel.New(provider)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx, span := provider.Tracer("test").Start(t.Context(), "middleware")
	defer span.End()
	if got := trace.SpanContextFromContext(tracer.Extract(ctx, parent, "")); got.SpanID() != span.SpanContext().SpanID() {
		t.Errorf("the span is %v, want the middleware's", got)
	}
	got := trace.SpanContextFromContext(tracer.Extract(t.Context(), parent, "a=1"))
	if !got.IsRemote() || got.TraceState().Get("a") != "1" || !got.IsSampled() {
		t.Errorf("the span is %+v, want the one that came", got)
	}
	if got := trace.SpanContextFromContext(tracer.Extract(t.Context(), parent, "=,=,")); !got.IsValid() || got.TraceState().Len() > 0 {
		t.Errorf("with a broken tracestate, the span is %+v, want it without", got)
	}
}
