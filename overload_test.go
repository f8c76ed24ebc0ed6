package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

// busyOrigin takes a second for each load, and counts how many run at once.
type busyOrigin struct{ now, most atomic.Int64 }

func (o *busyOrigin) Get(ctx context.Context, key string) (peercache.Item, error) {
	n := o.now.Add(1)
	defer o.now.Add(-1)
	for most := o.most.Load(); n > most && !o.most.CompareAndSwap(most, n); most = o.most.Load() {
	}
	time.Sleep(time.Second)
	return peercache.Item{Value: []byte("v"), TTL: time.Minute}, nil
}

// TestMaxLoads has more keys asked for at once than may be loaded at once.
func TestMaxLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o busyOrigin
		g := newLocal(t, &o, peercache.WithMaxLoads(3))
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var served, left atomic.Int64
		var callers sync.WaitGroup
		for i := range 12 {
			callers.Go(func() {
				switch _, err := g.Get(ctx, fmt.Sprint(i)); {
				case err == nil:
					served.Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					left.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if served.Load() != 3 || left.Load() != 9 {
			t.Errorf("%d were served and %d left, want 3 and 9: callers wait under their own contexts", served.Load(), left.Load())
		}
		time.Sleep(5 * time.Second) // the loads go on
		if n := o.most.Load(); n != 3 {
			t.Errorf("%d loads at once, want 3", n)
		}
		if s := g.Stats(); s.Loads != 12 || s.Main.Items != 12 {
			t.Errorf("%+v, want 12 loads, all kept", s)
		}
	})
}

// TestMaxLoadsPrefersStale has all slots taken while a value expires.
func TestMaxLoadsPrefersStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o busyOrigin
		g := newLocal(t, &o, peercache.WithMaxLoads(1), peercache.WithStaleIfError(time.Hour))
		if _, err := g.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		go g.Get(t.Context(), "another")
		synctest.Wait()
		start := time.Now()
		if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != "v" || time.Since(start) != 0 {
			t.Errorf("%q, %v after %v: want the old value at once", v, err, time.Since(start))
		}
		time.Sleep(2 * time.Second)
		if _, err := g.Get(t.Context(), "k"); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v: want a load, when there is a slot", err, time.Since(start))
		}
	})
}

func TestMaxLoadsOption(t *testing.T) {
	if _, err := peercache.NewGroup("g", 1<<20, &busyOrigin{}, peercache.WithMaxLoads(0)); err == nil {
		t.Error("WithMaxLoads(0) is taken")
	}
}
