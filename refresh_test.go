package peercache_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// herdOrigin counts how it is asked. A Get and a GetBatch take 50 ms each.
type herdOrigin struct{ gets, batches, keys, now, most atomic.Int64 }

func (o *herdOrigin) run() {
	n := o.now.Add(1)
	for most := o.most.Load(); n > most && !o.most.CompareAndSwap(most, n); most = o.most.Load() {
	}
	time.Sleep(50 * time.Millisecond)
	o.now.Add(-1)
}

func (o *herdOrigin) Get(context.Context, string) (peercache.Item, error) {
	o.gets.Add(1)
	o.run()
	return peercache.Item{Value: make([]byte, 200)}, nil
}

func (o *herdOrigin) GetBatch(_ context.Context, keys []string) ([]peercache.Item, error) {
	o.batches.Add(1)
	o.keys.Add(int64(len(keys)))
	o.run()
	items := make([]peercache.Item, len(keys))
	for i := range items {
		items[i].Value = make([]byte, 200)
	}
	return items, nil
}

// Values of a GetMulti that have expired, or are about to, are loaded again as they were
// loaded: in batches where the getter can do that, and a few at a time where it cannot.
// Another GetMulti meanwhile does not double that.
func TestRefreshOfAGetMultiIsNoStampede(t *testing.T) {
	for _, c := range []struct {
		name    string
		batches bool
		opt     peercache.GroupOption
		at      time.Duration // when the values are asked for again
	}{
		{"stale, in batches", true, peercache.WithStaleWhileRevalidate(time.Hour), 2 * time.Minute},
		{"stale, one by one", false, peercache.WithStaleWhileRevalidate(time.Hour), 2 * time.Minute},
		{"ahead, in batches", true, peercache.WithRefreshAhead(30 * time.Second), 40 * time.Second},
		{"ahead, one by one", false, peercache.WithRefreshAhead(30 * time.Second), 40 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := new(herdOrigin)
				getter := peercache.Getter(o)
				if !c.batches {
					getter = peercache.ItemFunc(o.Get)
				}
				g, err := peercache.NewGroup("test", 64<<20, getter, peercache.WithTTL(time.Minute), c.opt)
				if err != nil {
					t.Fatal(err)
				}
				var keys []string
				for i := range 5000 {
					keys = append(keys, fmt.Sprint(i))
				}
				g.GetMulti(t.Context(), keys)
				time.Sleep(c.at)
				gets, batches, loaded := o.gets.Load(), o.batches.Load(), o.keys.Load()
				o.most.Store(0)
				start := time.Now()
				for range 3 {
					for i, r := range g.GetMulti(t.Context(), keys) {
						if r.Err != nil {
							t.Fatalf("%s: %v", keys[i], r.Err)
						}
					}
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("the GetMultis took %v: want nobody to wait", took)
				}
				time.Sleep(9 * time.Second)
				gets, batches, loaded = o.gets.Load()-gets, o.batches.Load()-batches, o.keys.Load()-loaded
				if c.batches && (gets != 0 || batches != 5 || loaded != 5000) || !c.batches && gets != 5000 || o.most.Load() > 32 {
					t.Errorf("%d Gets, %d GetBatches of %d keys, %d at once", gets, batches, loaded, o.most.Load())
				}
				if s := g.Stats(); s.Refreshes != 5000 {
					t.Errorf("%d refreshes", s.Refreshes)
				}
			})
		})
	}
}

// The same where another peer asks for them, of whose GetMulti the owner serves the hits; and
// the asker renews its copies in few requests, and without their values.
func TestRefreshAndRenewalOfAPeersGetMulti(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := new(herdOrigin)
		nodes := newSimCluster(t, net, 2, simConfig{getter: o, group: []peercache.GroupOption{
			peercache.WithTTL(time.Minute), peercache.WithStaleWhileRevalidate(time.Hour),
		}})
		keys := keysOwnedBy(t, nodes, 0, 1, 3000)
		asked := func() (requests, renewals int64) {
			return nodes[0].statsOf(t, nodes[1]).Requests, nodes[0].group.Stats().Renewals
		}
		for range 4 { // once is not worth a copy
			nodes[0].group.GetMulti(t.Context(), keys)
		}
		time.Sleep(3 * time.Second) // more than half of their leases
		requests, renewals := asked()
		bytes := net.LinkStats(host(1), host(0)).Bytes
		nodes[0].group.GetMulti(t.Context(), keys)
		time.Sleep(time.Second)
		now, renewed := asked()
		if now-requests > 10 || renewed-renewals != 3000 {
			t.Errorf("%d requests for %d renewals: want a few for 3,000", now-requests, renewed-renewals)
		}
		if each := (net.LinkStats(host(1), host(0)).Bytes - bytes) / 3000; each > 50 {
			t.Errorf("%d bytes came with each renewal: want it to come without the value", each)
		}
		time.Sleep(2 * time.Minute)
		batches := o.batches.Load()
		nodes[0].group.GetMulti(t.Context(), keys)
		time.Sleep(time.Second)
		if n := o.batches.Load() - batches; o.gets.Load() != 0 || n < 3 || n > 8 {
			t.Errorf("%d Gets, %d GetBatches: want a batch or two for each request", o.gets.Load(), n)
		}
	})
}
