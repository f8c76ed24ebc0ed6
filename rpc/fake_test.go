package rpc

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// fake is a door.Cache that a test writes.
type fake struct {
	name string
	get  func(ctx context.Context, key string) (string, time.Duration, error)
	// change answers Set (with an item), Remove (with keys) and Clear.
	change func(ctx context.Context, item *peercache.Item, keys ...string) error

	mu       sync.Mutex
	live     bool                                        // guarded by mu
	watchers map[*fakeWatch]func(peercache.Invalidation) // guarded by mu
}

func newFake(name string) *fake {
	return &fake{
		name: name, live: true, watchers: make(map[*fakeWatch]func(peercache.Invalidation)),
		get: func(_ context.Context, key string) (string, time.Duration, error) {
			return "value of " + key, time.Minute, nil
		},
		change: func(context.Context, *peercache.Item, ...string) error { return nil },
	}
}

func (f *fake) Name() string { return f.name }

func (f *fake) Get(ctx context.Context, key string) (peercache.ByteView, error) {
	view, _, err := f.GetWithTTL(ctx, key)
	return view, err
}

func (f *fake) GetWithTTL(ctx context.Context, key string) (peercache.ByteView, time.Duration, error) {
	value, ttl, err := f.get(ctx, key)
	return peercache.ViewOfString(value), ttl, err
}

func (f *fake) GetMulti(ctx context.Context, keys []string) []peercache.Result {
	all := make([]peercache.Result, len(keys))
	for i, key := range keys {
		all[i].View, all[i].Err = f.Get(ctx, key)
	}
	return all
}

func (f *fake) Set(ctx context.Context, key string, item peercache.Item) error {
	return f.change(ctx, &item, key)
}

func (f *fake) Remove(ctx context.Context, keys ...string) error { return f.change(ctx, nil, keys...) }

func (f *fake) Clear(ctx context.Context) error { return f.change(ctx, nil) }

type fakeWatch struct{ of *fake }

func (f *fake) Watch(fn func(peercache.Invalidation)) peercache.Watch {
	w := &fakeWatch{f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[w] = fn
	return w
}

func (w *fakeWatch) Live() bool {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return w.of.live
}

func (w *fakeWatch) Stop() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	delete(w.of.watchers, w)
}

// tell tells the watchers, and sets whether they are live from then on.
func (f *fake) tell(in peercache.Invalidation, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fn := range f.watchers {
		fn(in)
	}
	f.live = live
}

func (f *fake) watched() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers)
}

// within returns a context that ends when a test gives up.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// serve serves caches, and returns the server with a connection to it.
func serve(t testing.TB, caches []door.Cache, opts ...Option) (*Server, *grpc.ClientConn) {
	t.Helper()
	s, err := New(caches, opts...)
	if err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(64 << 10)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, dial(t, l)
}

func dial(t testing.TB, l *bufconn.Listener) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///test", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

// client serves one fake.
func client(t testing.TB, f *fake, opts ...Option) cachepb.CacheClient {
	_, cc := serve(t, []door.Cache{f}, opts...)
	return cachepb.NewCacheClient(cc)
}

// tokens returns the option WithTokens.
func tokens(t testing.TB, rights map[string]door.Rights) Option {
	t.Helper()
	all, err := door.NewTokens(rights)
	if err != nil {
		t.Fatal(err)
	}
	return WithTokens(all)
}

// withToken returns a context with a token for calls.
func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
