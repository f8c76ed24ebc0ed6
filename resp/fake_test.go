package resp_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/resp/codec"
)

// fake is a group that has what was set, and what load returns.
type fake struct {
	name string
	load func(ctx context.Context, key string) (string, error) // nil: nothing

	mu       sync.Mutex
	values   map[string]fakeValue
	watchers map[*fakeWatch]bool
	dead     bool // watches are not live
	gets     int
	multis   int
	refuse   error // what changes return
}

type fakeValue struct {
	text string
	end  time.Time // zero: none
}

type fakeWatch struct {
	of *fake
	f  func(peercache.Invalidation)
}

func (w *fakeWatch) Live() bool {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return !w.of.dead
}

func (w *fakeWatch) Stop() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	delete(w.of.watchers, w)
}

func newFake(name string) *fake {
	return &fake{name: name, values: make(map[string]fakeValue), watchers: make(map[*fakeWatch]bool)}
}

var _ door.Cache = (*fake)(nil)

func (f *fake) Name() string { return f.name }

func (f *fake) Get(ctx context.Context, key string) (peercache.ByteView, error) {
	view, _, err := f.GetWithTTL(ctx, key)
	return view, err
}

func (f *fake) GetWithTTL(ctx context.Context, key string) (peercache.ByteView, time.Duration, error) {
	f.mu.Lock()
	f.gets++
	v, ok := f.values[key]
	load := f.load
	f.mu.Unlock()
	ttl := time.Duration(0)
	if !v.end.IsZero() {
		ttl = time.Until(v.end)
		ok = ok && ttl > 0
	}
	if ok {
		return peercache.ViewOfString(v.text), ttl, nil
	}
	if load == nil {
		return peercache.ByteView{}, 0, fmt.Errorf("group %s: %w", f.name, peercache.ErrNotFound)
	}
	text, err := load(ctx, key)
	return peercache.ViewOfString(text), 0, err
}

func (f *fake) GetMulti(ctx context.Context, keys []string) []peercache.Result {
	f.mu.Lock()
	f.multis++
	f.mu.Unlock()
	results := make([]peercache.Result, len(keys))
	var getting sync.WaitGroup
	for i, key := range keys {
		getting.Go(func() { results[i].View, results[i].Err = f.Get(ctx, key) })
	}
	getting.Wait()
	return results
}

func (f *fake) Set(ctx context.Context, key string, item peercache.Item) error {
	return f.change(peercache.Invalidation{Keys: []string{key}}, func() {
		v := fakeValue{text: string(item.Value)}
		if item.TTL > 0 {
			v.end = time.Now().Add(item.TTL)
		}
		f.values[key] = v
	})
}

func (f *fake) Remove(ctx context.Context, keys ...string) error {
	return f.change(peercache.Invalidation{Keys: keys}, func() {
		for _, key := range keys {
			delete(f.values, key)
		}
	})
}

func (f *fake) Clear(ctx context.Context) error {
	return f.change(peercache.Invalidation{All: true}, func() { clear(f.values) })
}

func (f *fake) change(inv peercache.Invalidation, change func()) error {
	f.mu.Lock()
	if f.refuse != nil {
		defer f.mu.Unlock()
		return f.refuse
	}
	change()
	var watchers []*fakeWatch
	for w := range f.watchers {
		watchers = append(watchers, w)
	}
	f.mu.Unlock()
	for _, w := range watchers {
		w.f(inv)
	}
	return nil
}

func (f *fake) Watch(told func(peercache.Invalidation)) peercache.Watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &fakeWatch{f, told}
	f.watchers[w] = true
	return w
}

func (f *fake) set(key, text string) {
	f.Set(context.Background(), key, peercache.Item{Value: []byte(text)})
}

// start serves caches on a port of this machine, until the test ends.
func start(t testing.TB, caches []door.Cache, opts ...resp.Option) (*resp.Server, string) {
	t.Helper()
	s, err := resp.New(caches, opts...)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

// client is a connection with a server.
type client struct {
	t  testing.TB
	nc net.Conn
	r  *codec.Replies
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &client{t, nc, codec.NewReplies(nc)}
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := c.nc.Write([]byte(raw)); err != nil {
		c.t.Fatal(err)
	}
}

// cmd sends a command of words.
func (c *client) cmd(words ...string) {
	c.t.Helper()
	c.send(string(codec.AppendCommand(nil, words...)))
}

// read returns the next reply, as text.
func (c *client) read() string {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	r, err := c.r.Read()
	if err != nil {
		c.t.Fatalf("no reply: %v", err)
	}
	return show(r)
}

// do sends a line of words and returns the reply.
func (c *client) do(line string) string {
	c.t.Helper()
	c.cmd(strings.Fields(line)...)
	return c.read()
}

// show returns a reply as text: +OK, $value, :1, (nil), [$a $b].
func show(r codec.Reply) string {
	if r.Null {
		return "(nil" + map[byte]string{'*': " array", '$': "", '_': ""}[r.Kind] + ")"
	}
	switch r.Kind {
	case ':', '#':
		return fmt.Sprintf("%c%d", r.Kind, r.Int)
	case '*', '~', '>', '%', '|':
		parts := make([]string, len(r.List))
		for i, p := range r.List {
			parts[i] = show(p)
		}
		return strings.TrimPrefix(string(r.Kind), "*") + "[" + strings.Join(parts, " ") + "]"
	}
	return string(r.Kind) + r.Text
}

// want checks a reply.
func (c *client) want(want, line string) {
	c.t.Helper()
	if got := c.do(line); got != want {
		c.t.Errorf("%s: %s, want %s", line, got, want)
	}
}
