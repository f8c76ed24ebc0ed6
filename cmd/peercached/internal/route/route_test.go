package route

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
)

// record is what was done in all clusters, in its order.
type record struct {
	mu  sync.Mutex
	all []string
}

func (r *record) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf(format, args...))
}

func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// fake is a cluster whose values name it.
type fake struct {
	name    string
	did     *record
	err     error // of changes
	hang    bool  // changes wait for the end of their context
	asking  chan struct{}
	release chan struct{}
	watcher func(peercache.Invalidation)
	live    bool
	stopped bool
}

func (f *fake) Name() string { return "users" }

func (f *fake) Get(ctx context.Context, key string) (peercache.ByteView, error) {
	view, _, err := f.GetWithTTL(ctx, key)
	return view, err
}

func (f *fake) GetWithTTL(_ context.Context, key string) (peercache.ByteView, time.Duration, error) {
	f.did.add("%s get %s", f.name, key)
	return viewOf(f.name + " " + key), time.Minute, nil
}

func (f *fake) GetMulti(_ context.Context, keys []string) []peercache.Result {
	f.did.add("%s multi %s", f.name, strings.Join(keys, " "))
	if f.asking != nil {
		f.asking <- struct{}{}
		<-f.release
	}
	var all []peercache.Result
	for _, key := range keys {
		all = append(all, peercache.Result{View: viewOf(f.name + " " + key)})
	}
	return all
}

func (f *fake) change(ctx context.Context, format string, args ...any) error {
	f.did.add(f.name+" "+format, args...)
	if f.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.err
}

func (f *fake) Set(ctx context.Context, key string, item peercache.Item) error {
	return f.change(ctx, "set %s %s", key, item.Value)
}

func (f *fake) Remove(ctx context.Context, keys ...string) error {
	return f.change(ctx, "remove %s", strings.Join(keys, " "))
}

func (f *fake) Clear(ctx context.Context) error { return f.change(ctx, "clear") }

func (f *fake) Watch(w func(peercache.Invalidation)) peercache.Watch {
	f.watcher = w
	return f
}

func (f *fake) Live() bool { return f.live }
func (f *fake) Stop()      { f.stopped = true }

// viewOf makes a view, which only a group can.
func viewOf(s string) peercache.ByteView {
	g, err := peercache.NewGroup("view", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte(s), nil }))
	if err != nil {
		panic(err)
	}
	view, err := g.Get(context.Background(), "k")
	if err != nil {
		panic(err)
	}
	return view
}

// three are clusters, and a Cache whose cluster new is filled from old.
func three(t *testing.T) (c *Cache, did *record, old, new, eu *fake) {
	t.Helper()
	did = &record{}
	old, new, eu = &fake{name: "old", did: did}, &fake{name: "new", did: did}, &fake{name: "eu", did: did}
	c, err := New("users", Route{Read: new, From: old}, Route{Prefix: "eu:", Read: eu}, Route{Prefix: "eu:old:", Read: old, Warms: new})
	if err != nil {
		t.Fatal(err)
	}
	return c, did, old, new, eu
}

func expect(t *testing.T, did *record, want ...string) {
	t.Helper()
	if got := did.take(); !slices.Equal(got, want) {
		t.Errorf("done was %q, want %q", got, want)
	}
}

// The longest prefix says where a key is.
func TestLongestPrefix(t *testing.T) {
	c, _, _, _, _ := three(t)
	for key, want := range map[string]string{"": "new", "e": "new", "eu": "new", "eu:": "eu", "eu:1": "eu", "eu:old:1": "old", "eu:ol": "eu", "\xff": "new"} {
		if view, err := c.Get(t.Context(), key); err != nil || view.String() != want+" "+key {
			t.Errorf("Get(%q) = %q, %v: want that of %s", key, view, err, want)
		}
		if view, ttl, err := c.GetWithTTL(t.Context(), key); err != nil || view.String() != want+" "+key || ttl != time.Minute {
			t.Errorf("GetWithTTL(%q) = %q, %v, %v: want that of %s", key, view, ttl, err, want)
		}
	}
	if c.Name() != "users" {
		t.Errorf("the name is %q", c.Name())
	}
}

// GetMulti asks each cluster once, all at the same time, and keeps the order of the keys.
func TestGetMulti(t *testing.T) {
	c, did, old, new, eu := three(t)
	asking, release := make(chan struct{}), make(chan struct{})
	for _, one := range []*fake{old, new, eu} {
		one.asking, one.release = asking, release
	}
	go func() {
		for range 3 {
			<-asking // a cluster that is asked after another one has answered never comes here
		}
		close(release)
	}()
	keys := []string{"b", "eu:1", "a", "eu:old:1", "eu:1", "b"}
	var got []string
	for _, r := range c.GetMulti(t.Context(), keys) {
		got = append(got, r.View.String())
	}
	if want := []string{"new b", "eu eu:1", "new a", "old eu:old:1", "eu eu:1", "new b"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	done := did.take()
	slices.Sort(done)
	if want := []string{"eu multi eu:1 eu:1", "new multi b a b", "old multi eu:old:1"}; !slices.Equal(done, want) {
		t.Errorf("asked was %q, want %q", done, want)
	}
	if all := c.GetMulti(t.Context(), nil); len(all) != 0 {
		t.Errorf("%v for no keys", all)
	}
}

// A change is made in the cluster that another one is filled from, and then in that one.
func TestOrderOfChanges(t *testing.T) {
	c, did, _, _, _ := three(t)
	item := peercache.Item{Value: []byte("v")}
	for _, step := range []struct {
		do   func() error
		want []string
	}{
		{func() error { return c.Remove(t.Context(), "1", "2") }, []string{"old remove 1 2", "new remove 1 2"}},
		{func() error { return c.Remove(t.Context(), "eu:1") }, []string{"eu remove eu:1"}},
		{func() error { return c.Remove(t.Context(), "eu:old:1") }, []string{"old remove eu:old:1", "new remove eu:old:1"}},
		{func() error { return c.Remove(t.Context()) }, nil},
		{func() error { return c.Set(t.Context(), "1", item) }, []string{"old remove 1", "new set 1 v"}},
		{func() error { return c.Set(t.Context(), "eu:1", item) }, []string{"eu set eu:1 v"}},
		{func() error { return c.Set(t.Context(), "eu:old:1", item) }, []string{"old set eu:old:1 v", "new remove eu:old:1"}},
	} {
		if err := step.do(); err != nil {
			t.Error(err)
		}
		expect(t, did, step.want...)
	}
	if err := c.Remove(t.Context(), "1", "eu:1"); err != nil {
		t.Error(err)
	}
	done := did.take()
	if slices.Index(done, "old remove 1") > slices.Index(done, "new remove 1") || len(done) != 3 {
		t.Errorf("done was %q", done)
	}
	if err := c.Clear(t.Context()); err != nil {
		t.Error(err)
	}
	if done = did.take(); len(done) != 3 || done[2] != "new clear" {
		t.Errorf("done was %q: want the cluster that is filled last", done)
	}
}

// A change that fails in one cluster is made in the others, and the error says who has the old values.
func TestErrorsOfChanges(t *testing.T) {
	c, did, old, new, eu := three(t)
	until := time.Now().Add(time.Minute)
	of := func(peer string) error {
		return fmt.Errorf("wrapped: %w", &peercache.InvalidationError{Group: "users", Pending: []peercache.Pending{{Peer: peer, Until: until, Err: peercache.ErrClosed}}})
	}
	pending := func(err error) (all []string) {
		e, ok := errors.AsType[*peercache.InvalidationError](err)
		if !ok {
			t.Fatalf("%v: want an InvalidationError", err)
		}
		for _, p := range e.Pending {
			all = append(all, fmt.Sprint(p.Peer, " ", !p.Until.IsZero()))
		}
		return all
	}
	old.err = of("http://o")
	err := c.Remove(t.Context(), "1")
	expect(t, did, "old remove 1", "new remove 1")
	if got := pending(err); !slices.Equal(got, []string{"http://o false"}) || !errors.Is(err, peercache.ErrClosed) {
		t.Errorf("%v: pending %q: want no end, because new may be filled from there", err, got)
	}
	new.err, eu.err = of("http://n"), of("http://e")
	if got := pending(c.Remove(t.Context(), "1", "eu:1")); !slices.Equal(got, []string{"http://e true", "http://n true", "http://o false"}) {
		t.Errorf("pending %q: want all of them", got)
	}
	did.take()
	if got := pending(c.Clear(t.Context())); !slices.Equal(got, []string{"http://e false", "http://n true", "http://o false"}) {
		t.Errorf("pending %q: want all of them", got)
	}
	if len(did.take()) != 3 {
		t.Error("a Clear that fails in one cluster has left out another one")
	}
	old.err, eu.err = errors.New("broken"), nil
	if err := c.Remove(t.Context(), "1"); !strings.Contains(err.Error(), "broken") || !slices.Equal(pending(err), []string{"http://n true"}) {
		t.Errorf("%v: want both errors", err)
	}
	new.err = nil
	if err := c.Set(t.Context(), "1", peercache.Item{}); err == nil || !errors.Is(err, old.err) {
		t.Errorf("%v, want that of old", err)
	}
	old.err = nil
	if err := c.Remove(t.Context(), "1"); err != nil {
		t.Error(err)
	}
}

// A cluster that does not answer leaves time for the change in the other one.
func TestSlowClusterLeavesTime(t *testing.T) {
	c, did, old, _, _ := three(t)
	old.hang = true
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Remove(ctx, "1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want that the time is over", err)
	}
	if ctx.Err() != nil {
		t.Error("all of the time was used up")
	}
	expect(t, did, "old remove 1", "new remove 1")
}

// A watcher hears of the changes in all clusters that are read, and is live if all are.
func TestWatch(t *testing.T) {
	c, _, old, new, eu := three(t)
	heard := 0
	w := c.Watch(func(peercache.Invalidation) { heard++ })
	all := []*fake{old, new, eu}
	for _, one := range all {
		if w.Live() {
			t.Error("it is live though one is not")
		}
		one.live = true
		one.watcher(peercache.Invalidation{All: true})
	}
	if !w.Live() || heard != 3 {
		t.Errorf("live %v, heard %d times: want true, 3", w.Live(), heard)
	}
	w.Stop()
	for _, one := range all {
		if !one.stopped {
			t.Errorf("the watch of %s goes on", one.name)
		}
	}
	only, err := New("users", Route{Read: new, From: old})
	if err != nil {
		t.Fatal(err)
	}
	old.live = false
	if !only.Watch(func(peercache.Invalidation) {}).Live() {
		t.Error("a cluster from which nothing is read counts")
	}
}

// Routes that cannot be kept are refused.
func TestNewRefuses(t *testing.T) {
	a, b, c := &fake{name: "a"}, &fake{name: "b"}, &fake{name: "c"}
	for name, routes := range map[string][]Route{
		"none":       nil,
		"no rest":    {{Prefix: "x", Read: a}},
		"both ways":  {{Read: a, From: b}, {Prefix: "x", Read: b, From: a}},
		"a chain":    {{Read: a, From: b}, {Prefix: "x", Read: b, From: c}},
		"both sides": {{Read: a, From: b, Warms: c}},
	} {
		if _, err := New("g", routes...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	var _ door.Cache = a
}

// source has values with TTLs.
type source map[string]time.Duration

func (s source) GetWithTTL(_ context.Context, key string) (peercache.ByteView, time.Duration, error) {
	ttl, ok := s[key]
	if !ok {
		return peercache.ByteView{}, 0, peercache.ErrNotFound
	}
	return viewOf("there " + key), ttl, nil
}

// origin is asked for what the source lacks.
type origin struct{ asked []string }

func (o *origin) Get(_ context.Context, key string) (peercache.Item, error) {
	o.asked = append(o.asked, key)
	if strings.HasPrefix(key, "no") {
		return peercache.Item{}, peercache.ErrNotFound
	}
	return peercache.Item{Value: []byte("origin " + key)}, nil
}

type batchOrigin struct {
	origin
	err error
}

func (o *batchOrigin) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	if o.err != nil {
		return nil, o.err
	}
	items, errs := make([]peercache.Item, len(keys)), make(peercache.BatchError, len(keys))
	failed := false
	for i, key := range keys {
		items[i], errs[i] = o.Get(ctx, key)
		failed = failed || errs[i] != nil
	}
	if failed {
		return items, errs
	}
	return items, nil
}

// The source is asked first, its TTLs go along, and the origin is asked for the rest.
func TestGetter(t *testing.T) {
	from := source{"a": time.Minute, "b": 0, "old": -1}
	o := &origin{}
	g := Getter(from, time.Second, o)
	for key, want := range map[string]peercache.Item{
		"a": {Value: []byte("there a"), TTL: time.Minute}, "b": {Value: []byte("there b")}, "old": {Value: []byte("origin old")}, "x": {Value: []byte("origin x")},
	} {
		if item, err := g.Get(t.Context(), key); err != nil || !reflect.DeepEqual(item, want) {
			t.Errorf("Get(%q) = %q, %v, %v: want %q, %v", key, item.Value, item.TTL, err, want.Value, want.TTL)
		}
	}
	if _, err := g.Get(t.Context(), "nobody"); !errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	if slices.Sort(o.asked); !slices.Equal(o.asked, []string{"nobody", "old", "x"}) {
		t.Errorf("the origin was asked for %q", o.asked)
	}
	if _, ok := g.(peercache.BatchGetter); ok {
		t.Error("it takes batches, and its origin does not")
	}
	if _, err := Away.Get(t.Context(), "x"); err == nil || errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("%v: want that nobody is there", err)
	}
}

// A batch asks the origin once, for what the source lacks.
func TestGetterBatch(t *testing.T) {
	o := &batchOrigin{}
	g := Getter(source{"a": time.Minute, "b": 0, "old": -1}, time.Second, o).(peercache.BatchGetter)
	items, err := g.GetBatch(t.Context(), []string{"x", "a", "old", "b"})
	if err != nil || len(items) != 4 || string(items[0].Value) != "origin x" || string(items[1].Value) != "there a" || items[1].TTL != time.Minute || string(items[2].Value) != "origin old" {
		t.Errorf("%v, %v", items, err)
	}
	if !slices.Equal(o.asked, []string{"x", "old"}) {
		t.Errorf("the origin was asked for %q", o.asked)
	}
	if _, err := g.GetBatch(t.Context(), []string{"a", "b"}); err != nil || len(o.asked) != 2 {
		t.Errorf("%v, and the origin was asked for %q", err, o.asked)
	}
	items, err = g.GetBatch(t.Context(), []string{"a", "nobody", "x"})
	each, ok := errors.AsType[peercache.BatchError](err)
	if !ok || each[0] != nil || !errors.Is(each[1], peercache.ErrNotFound) || each[2] != nil || string(items[0].Value) != "there a" || string(items[2].Value) != "origin x" {
		t.Errorf("%v, %v", items, err)
	}
	o.err = errors.New("broken")
	items, err = g.GetBatch(t.Context(), []string{"a", "x"})
	if each, ok := errors.AsType[peercache.BatchError](err); !ok || each[0] != nil || each[1] != o.err || string(items[0].Value) != "there a" {
		t.Errorf("%v, %v: want the error for one key", items, err)
	}
}
