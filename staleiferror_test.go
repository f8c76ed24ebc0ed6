package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// outage is an origin that answers "old" until something befalls it. It is a BatchGetter.
type outage struct {
	ill   atomic.Pointer[func(context.Context) error] // of every load, if not nil
	loads atomic.Int64                                // of keys
}

func (o *outage) Get(ctx context.Context, _ string) (peercache.Item, error) {
	o.loads.Add(1)
	if ill := o.ill.Load(); ill != nil {
		return peercache.Item{}, (*ill)(ctx)
	}
	return peercache.Item{Value: []byte("old")}, nil
}

func (o *outage) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	items := make([]peercache.Item, len(keys))
	for i := range keys {
		var err error
		if items[i], err = o.Get(ctx, keys[i]); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// outages are the ways in which an origin fails.
var outages = map[string]func(context.Context) error{
	"an error":                 func(context.Context) error { return errOutOfOrder },
	"hangs to its time":        func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	"hangs beyond its time":    func(context.Context) error { time.Sleep(10 * time.Minute); return errOutOfOrder },
	"says that it is canceled": func(context.Context) error { return context.Canceled },
	"panics":                   func(context.Context) error { panic("boom") },
	"ends its goroutine":       func(context.Context) error { runtime.Goexit(); return nil },
}

// Whatever way the origin fails in, WithStaleIfError serves the old value: to callers here
// and on other peers, by both ways, of Get and of GetMulti.
func TestP7StaleIfErrorWhateverTheFailure(t *testing.T) {
	ways := map[string]func(int) []peercache.PoolOption{
		"stream": nil, "plain": func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithoutStream()} },
	}
	for name, ill := range outages {
		for way, pool := range ways {
			for _, batches := range []bool{true, false} {
				t.Run(fmt.Sprint(name, "/", way, "/batches=", batches), func(t *testing.T) {
					simulate(t, func(t *testing.T, net *simnet.Network) {
						o := new(outage)
						getter := peercache.Getter(o)
						if !batches {
							getter = peercache.ItemFunc(o.Get)
						}
						nodes := newSimCluster(t, net, 2, simConfig{getter: getter, pool: pool, group: []peercache.GroupOption{
							peercache.WithTTL(time.Minute), peercache.WithStaleIfError(24 * time.Hour), peercache.WithLoadTimeout(time.Second),
						}})
						keys := keysOwnedBy(t, nodes, 0, 1, 5)
						nodes[1].group.GetMulti(t.Context(), keys)
						o.ill.Store(&ill)
						for _, n := range nodes {
							time.Sleep(2 * time.Minute)
							n.brings(t, keys[0], "old")
							for i, r := range n.group.GetMulti(t.Context(), keys) {
								if r.Err != nil || r.View.String() != "old" {
									t.Errorf("GetMulti at %s: %s: %q, %v: want the old value", n.url, keys[i], r.View, r.Err)
								}
							}
						}
						time.Sleep(15 * time.Minute) // those that hang end
					})
				})
			}
		}
	}
}

// A caller whose own context ends before the load timeout gets the error of that.
func TestP3StaleIfErrorIsNotForTheEndOfACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(outage)
		n := local(t, o, peercache.WithTTL(time.Minute), peercache.WithStaleIfError(time.Hour))
		n.wants(t, "k", "old")
		time.Sleep(2 * time.Minute)
		ill := outages["hangs to its time"]
		o.ill.Store(&ill)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		patient := make(chan error)
		go func() {
			_, err := n.group.Get(t.Context(), "k")
			patient <- err
		}()
		if v, err := n.group.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q, %v: want the error of the context", v, err)
		}
		if err := <-patient; err != nil {
			t.Errorf("who waited for the load timeout got %v, want the old value", err)
		}
	})
}

// Where all slots are taken, a batch gets the old values it may have, and waits for the rest.
func TestMaxLoadsPrefersStaleInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(outage)
		g := newLocal(t, o, peercache.WithMaxLoads(1), peercache.WithTTL(time.Minute), peercache.WithStaleIfError(time.Hour))
		g.GetMulti(t.Context(), []string{"a", "b"})
		time.Sleep(2 * time.Minute)
		slow := func(context.Context) error { time.Sleep(time.Second); return errOutOfOrder }
		o.ill.Store(&slow)
		go g.Get(t.Context(), "another")
		synctest.Wait()
		o.ill.Store(nil)
		start := time.Now()
		for i, r := range g.GetMulti(t.Context(), []string{"a", "b"}) {
			if r.Err != nil || r.View.String() != "old" || time.Since(start) != 0 {
				t.Errorf("%d: %q, %v after %v: want the old value at once", i, r.View, r.Err, time.Since(start))
			}
		}
		before := o.loads.Load()
		g.GetMulti(t.Context(), []string{"a", "b", "c", "d"})
		if n := o.loads.Load() - before; n != 2 || time.Since(start) != time.Second {
			t.Errorf("%d keys were loaded after %v: want the two that are not there, when there is a slot", n, time.Since(start))
		}
	})
}
