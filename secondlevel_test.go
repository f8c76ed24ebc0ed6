package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

// shelf is a SecondLevel in memory.
type shelf struct {
	mu      sync.Mutex
	kept    map[string]peercache.Item
	permits map[string]string
	n       int
	fail    error
	hang    bool
	gets    int
}

func (s *shelf) enter(ctx context.Context) error {
	s.mu.Lock()
	if s.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.fail
}

func (s *shelf) Get(ctx context.Context, keys []string) ([]peercache.Leveled, error) {
	defer s.mu.Unlock()
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	s.gets++
	all := make([]peercache.Leveled, len(keys))
	for i, key := range keys {
		if s.permits[key] == "" {
			s.n++
			s.permits[key] = fmt.Sprint(s.n)
		}
		item, ok := s.kept[key]
		all[i] = peercache.Leveled{Item: item, Found: ok, Permit: s.permits[key]}
	}
	return all, nil
}

func (s *shelf) Set(ctx context.Context, key string, item peercache.Item, permit string) error {
	defer s.mu.Unlock()
	if err := s.enter(ctx); err != nil {
		return err
	}
	if s.permits[key] == permit {
		item.Value = bytes.Clone(item.Value)
		s.kept[key] = item
	}
	return nil
}

func (s *shelf) Remove(ctx context.Context, keys ...string) error {
	defer s.mu.Unlock()
	if err := s.enter(ctx); err != nil {
		return err
	}
	for _, key := range keys {
		delete(s.kept, key)
		delete(s.permits, key)
	}
	return nil
}

func (s *shelf) Clear(ctx context.Context) error {
	defer s.mu.Unlock()
	if err := s.enter(ctx); err != nil {
		return err
	}
	clear(s.kept)
	clear(s.permits)
	return nil
}

func (s *shelf) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func newShelf() *shelf {
	return &shelf{kept: make(map[string]peercache.Item), permits: make(map[string]string)}
}

// tally is a BatchGetter that counts, and may fail.
type tally struct {
	mu    sync.Mutex
	loads map[string]int
	fail  error
	ttl   time.Duration
	gate  chan struct{} // if not nil, a load waits for it
}

func (o *tally) Get(_ context.Context, key string) (peercache.Item, error) {
	o.mu.Lock()
	o.loads[key]++
	n, err, gate := o.loads[key], o.fail, o.gate
	o.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return peercache.Item{Value: fmt.Appendf(nil, "%s %d", key, n), TTL: o.ttl}, err
}

func (o *tally) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	items, errs := make([]peercache.Item, len(keys)), make(peercache.BatchError, len(keys))
	for i, key := range keys {
		items[i], errs[i] = o.Get(ctx, key)
	}
	return items, errs
}

// levelGroup makes a group of a process that has a shelf.
func levelGroup(t *testing.T, o *tally, s *shelf, opts ...peercache.GroupOption) *peercache.Group {
	t.Helper()
	g, err := peercache.NewGroup("test", 1<<20, o, append(opts, peercache.WithSecondLevel(s))...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func reads(t *testing.T, g *peercache.Group, key, want string) {
	t.Helper()
	if view, err := g.Get(t.Context(), key); err != nil || view.String() != want {
		t.Errorf("%s: %q, %v, want %q", key, view, err, want)
	}
}

// A value comes from the level before it comes from the getter, and is there after a load, until a change ends it.
func TestSecondLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := &tally{loads: make(map[string]int)}, newShelf()
		ttl := peercache.WithTTL(time.Minute)
		first, second := levelGroup(t, o, s, ttl), levelGroup(t, o, s, ttl)
		reads(t, first, "a", "a 1")
		reads(t, second, "a", "a 1")
		if s.kept["a"].TTL != time.Minute {
			t.Errorf("it is kept for %v", s.kept["a"].TTL)
		}
		all := second.GetMulti(t.Context(), []string{"a", "b", "c"})
		for i, want := range []string{"a 1", "b 1", "c 1"} {
			if all[i].Err != nil || all[i].View.String() != want {
				t.Errorf("%q, %v, want %q", all[i].View, all[i].Err, want)
			}
		}
		for i, r := range first.GetMulti(t.Context(), []string{"b", "c"}) {
			if want := []string{"b 1", "c 1"}[i]; r.Err != nil || r.View.String() != want {
				t.Errorf("%q, %v, want %q", r.View, r.Err, want)
			}
		}
		if err := first.Remove(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		reads(t, first, "a", "a 2")
		if err := first.Set(t.Context(), "b", peercache.Item{Value: []byte("set")}); err != nil {
			t.Error(err)
		}
		reads(t, first, "b", "set")
		reads(t, levelGroup(t, o, s), "b", "b 2")
		if err := first.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		reads(t, first, "a", "a 3")
	})
}

// A load that began before a Remove leaves nothing in the level (P8).
func TestSecondLevelBesideALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, change := range map[string]func(g *peercache.Group) error{
			"Remove": func(g *peercache.Group) error { return g.Remove(t.Context(), "a") },
			"Clear":  func(g *peercache.Group) error { return g.Clear(t.Context()) },
		} {
			o, s := &tally{loads: make(map[string]int), gate: make(chan struct{})}, newShelf()
			slow, other := levelGroup(t, o, s), levelGroup(t, o, s)
			var all sync.WaitGroup
			all.Go(func() { reads(t, slow, "a", "a 1") })
			synctest.Wait()
			if err := change(other); err != nil {
				t.Error(err)
			}
			close(o.gate)
			all.Wait()
			if _, ok := s.kept["a"]; ok {
				t.Errorf("%s: the old value is in the level", name)
			}
			reads(t, other, "a", "a 2")
		}
	})
}

// Where the level fails, loads go on, and changes say so.
func TestSecondLevelThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o, s := &tally{loads: make(map[string]int)}, newShelf()
		g := levelGroup(t, o, s, peercache.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		down := errors.New("out of order")
		s.set(func() { s.fail = down })
		reads(t, g, "a", "a 1")
		if !strings.Contains(log.String(), "the second level could not be asked") || !strings.Contains(log.String(), "out of order") {
			t.Errorf("the log says %s", &log)
		}
		for name, err := range map[string]error{
			"Remove": g.Remove(t.Context(), "a"), "Clear": g.Clear(t.Context()),
			"Set": g.Set(t.Context(), "b", peercache.Item{Value: []byte("set")}),
		} {
			if !errors.Is(err, down) || !strings.Contains(err.Error(), "the second level may still have old values") {
				t.Errorf("%s: %v", name, err)
			}
		}
		reads(t, g, "a", "a 2") // this process has dropped it all the same

		s.set(func() { s.fail, s.hang = nil, true })
		start := time.Now()
		reads(t, g, "c", "c 1")
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		start = time.Now()
		if err := g.Remove(t.Context(), "c"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
			t.Errorf("Remove: %v after %v", err, time.Since(start))
		}
	})
}

// A value that is about to expire is loaded again, and the level has what there is if that fails.
func TestSecondLevelAndRefreshAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := &tally{loads: make(map[string]int)}, newShelf()
		s.kept["a"] = peercache.Item{Value: []byte("old"), TTL: time.Second}
		opts := []peercache.GroupOption{peercache.WithTTL(time.Minute), peercache.WithRefreshAhead(5 * time.Second)}
		reads(t, levelGroup(t, o, s, opts...), "a", "a 1")
		s.set(func() { s.kept["a"] = peercache.Item{Value: []byte("old"), TTL: time.Second} })
		o.fail = errors.New("out of order")
		reads(t, levelGroup(t, o, s, opts...), "a", "old")
		o.fail = peercache.ErrNotFound
		if _, err := levelGroup(t, o, s, opts...).Get(t.Context(), "a"); !errors.Is(err, peercache.ErrNotFound) {
			t.Errorf("%v, want that it is not there", err)
		}
	})
}

func TestSecondLevelNil(t *testing.T) {
	if _, err := peercache.NewGroup("test", 1<<20, &tally{}, peercache.WithSecondLevel(nil)); err == nil {
		t.Error("no error")
	}
}

// A value that could end while the level keeps it is not kept there: callers who came meanwhile would get it after its end. Nor
// does what the level had stand in for an error once it has ended.
func TestSecondLevelOfShortLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := &tally{loads: make(map[string]int), ttl: 10 * time.Millisecond}, newShelf()
		g := levelGroup(t, o, s)
		reads(t, g, "a", "a 1")
		if len(s.kept) > 0 {
			t.Errorf("kept: %v", s.kept)
		}

		o.ttl = time.Minute
		g = levelGroup(t, o, s, peercache.WithTTL(time.Minute), peercache.WithRefreshAhead(10*time.Second))
		s.kept["b"] = peercache.Item{Value: []byte("old"), TTL: 5 * time.Second} // so it is loaded ahead
		o.fail, o.gate = errors.New("down"), make(chan struct{})
		time.AfterFunc(6*time.Second, func() { close(o.gate) })
		if view, err := g.Get(t.Context(), "b"); err == nil {
			t.Errorf("%q, which has ended", view)
		}
	})
}
