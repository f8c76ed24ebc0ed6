package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// fake is a door.Cache of values that a test gives it.
type fake struct {
	name string

	mu      sync.Mutex
	values  map[string]string        // guarded by mu
	ttls    map[string]time.Duration // guarded by mu
	errs    map[string]error         // guarded by mu; of Get
	change  error                    // guarded by mu; of Set, Remove and Clear
	ctx     context.Context          // guarded by mu; of the last call
	removed []string                 // guarded by mu
	set     peercache.Item           // guarded by mu; the last one

	block func(ctx context.Context) error // called by each method, if not nil
}

func newFake(name string, pairs ...string) *fake {
	f := &fake{name: name, values: make(map[string]string), ttls: make(map[string]time.Duration), errs: make(map[string]error)}
	for i := 0; i < len(pairs); i += 2 {
		f.values[pairs[i]] = pairs[i+1]
	}
	return f
}

func (f *fake) Name() string { return f.name }

func (f *fake) Get(ctx context.Context, key string) (peercache.ByteView, error) {
	view, _, err := f.GetWithTTL(ctx, key)
	return view, err
}

func (f *fake) GetWithTTL(ctx context.Context, key string) (peercache.ByteView, time.Duration, error) {
	if f.block != nil {
		if err := f.block(ctx); err != nil {
			return peercache.ByteView{}, 0, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ctx = ctx
	if key == "" {
		return peercache.ByteView{}, 0, peercache.ErrKeySize
	}
	if err := f.errs[key]; err != nil {
		return peercache.ByteView{}, 0, err
	}
	value, ok := f.values[key]
	if !ok {
		return peercache.ByteView{}, 0, peercache.ErrNotFound
	}
	return peercache.ViewOfString(value), f.ttls[key], nil
}

func (f *fake) GetMulti(ctx context.Context, keys []string) []peercache.Result {
	results := make([]peercache.Result, len(keys))
	for i, key := range keys {
		results[i].View, results[i].Err = f.Get(ctx, key)
	}
	return results
}

func (f *fake) Set(ctx context.Context, key string, item peercache.Item) error {
	return f.changed(ctx, func() {
		item.Value = []byte(string(item.Value))
		f.values[key], f.ttls[key], f.set = string(item.Value), item.TTL, item
	})
}

func (f *fake) Remove(ctx context.Context, keys ...string) error {
	return f.changed(ctx, func() {
		for _, key := range keys {
			delete(f.values, key)
		}
		f.removed = append(f.removed, keys...)
	})
}

func (f *fake) Clear(ctx context.Context) error {
	return f.changed(ctx, func() { clear(f.values) })
}

func (f *fake) changed(ctx context.Context, change func()) error {
	if f.block != nil {
		if err := f.block(ctx); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ctx = ctx
	change()
	return f.change
}

func (f *fake) Watch(func(peercache.Invalidation)) peercache.Watch { panic("not used") }

// handlerOf makes a handler for groups.
func handlerOf(t testing.TB, caches []door.Cache, opts ...api.Option) *api.Handler {
	t.Helper()
	h, err := api.New(caches, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// tokens returns the option WithTokens.
func tokens(t testing.TB, rights map[string]door.Rights) api.Option {
	t.Helper()
	all, err := door.NewTokens(rights)
	if err != nil {
		t.Fatal(err)
	}
	return api.WithTokens(all)
}

// ask has a handler answer a request. The headers are given as "Name: value".
func ask(t testing.TB, h http.Handler, method, target, body string, headers ...string) *http.Response {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, in)
	for _, one := range headers {
		name, value, _ := strings.Cut(one, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return string(b)
}
