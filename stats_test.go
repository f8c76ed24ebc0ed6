package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// The figures of a group say how long the getter took, and how many waited with others.
func TestStatsOfLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(slowly(10*time.Millisecond)))
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { g.Get(t.Context(), "shared") })
		}
		all.Wait()
		g.Get(t.Context(), "shared")
		g.Get(t.Context(), "other")
		s := g.Stats()
		if s.Loads != 2 || s.Shared != 4 || s.Hits != 1 {
			t.Errorf("%d loads, %d Gets shared one, %d hits: want 2, 4 and 1", s.Loads, s.Shared, s.Hits)
		}
		if n := s.LoadTime.Count(); n != 2 || s.LoadTime.Sum != 20*time.Millisecond {
			t.Errorf("%d loads took %v: want 2, and 20ms", n, s.LoadTime.Sum)
		}
		if s.Main.Capacity != 1<<20 || s.Hot.Capacity != 0 {
			t.Errorf("capacities %d and %d: want all of it and none", s.Main.Capacity, s.Hot.Capacity)
		}
	})
}

// A run of a BatchGetter is one duration, and one that fails or panics is one too.
func TestStatsOfRunsOfTheGetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			time.Sleep(time.Millisecond)
			switch key {
			case "panics":
				panic("on purpose")
			case "missing":
				return nil, peercache.ErrNotFound
			}
			return nil, errors.New("fails")
		}))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"panics", "missing", "fails"} {
			g.Get(t.Context(), key)
		}
		if s := g.Stats(); s.LoadTime.Count() != 3 || s.LoadTime.Sum != 3*time.Millisecond {
			t.Errorf("%d runs took %v: want 3, and 3ms", s.LoadTime.Count(), s.LoadTime.Sum)
		}
		batches, err := peercache.NewGroup("batches", 1<<20, batchOf(func(_ context.Context, keys []string) ([]peercache.Item, error) {
			time.Sleep(time.Millisecond)
			return make([]peercache.Item, len(keys)), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		batches.GetMulti(t.Context(), []string{"a", "b", "c"})
		if s := batches.Stats(); s.Loads != 3 || s.LoadTime.Count() != 1 {
			t.Errorf("%d loads in %d runs: want 3 in one", s.Loads, s.LoadTime.Count())
		}
	})
}

// batchOf is a BatchGetter.
type batchOf func(ctx context.Context, keys []string) ([]peercache.Item, error)

func (f batchOf) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	return f(ctx, keys)
}

func (f batchOf) Get(ctx context.Context, key string) (peercache.Item, error) {
	items, err := f(ctx, []string{key})
	if err != nil {
		return peercache.Item{}, err
	}
	return items[0], nil
}

// The figures of changes say how they ended, and how long they took.
func TestStatsOfChanges(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: peercache.GetterFunc(slowly(0))})
		n := nodes[0]
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		if err := n.group.Remove(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if err := n.group.Set(t.Context(), key, peercache.Item{Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
		if err := n.group.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		net.Crash(host(1))
		if err := n.group.Remove(t.Context(), key); err == nil {
			t.Error("a Remove whose owner is gone returned nil")
		}
		if err := n.group.Remove(t.Context(), ""); !errors.Is(err, peercache.ErrKeySize) {
			t.Error(err)
		}
		s := n.group.Stats()
		for what, c := range map[string]struct {
			stats            peercache.ChangeStats
			done, incomplete int64
		}{"Removes": {s.Removes, 1, 1}, "Sets": {s.Sets, 1, 0}, "Clears": {s.Clears, 1, 0}} {
			if c.stats.Done != c.done || c.stats.Incomplete != c.incomplete || c.stats.Time.Count() != c.done+c.incomplete || c.stats.Time.Sum < 2*time.Millisecond {
				t.Errorf("%s: %d done and %d incomplete in %v: want %d and %d, in a round trip each", what, c.stats.Done, c.stats.Incomplete, c.stats.Time.Sum, c.done, c.incomplete)
			}
		}
		if others := nodes[1].group.Stats(); others.Removes != (peercache.ChangeStats{}) {
			t.Errorf("the owner counts what another one has called: %+v", others.Removes)
		}
	})
}

// Status says where a process stands, and its sums keep what was asked of peers that have left.
func TestStatusSumsNeverGoBack(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 4, simConfig{getter: peercache.GetterFunc(slowly(0)), bytes: 1 << 20,
			group: []peercache.GroupOption{peercache.WithHotShare(0)}})
		p := nodes[0].pool
		var last peercache.PeerStats
		check := func(when string) peercache.PoolStatus {
			s := p.Status()
			now := s.All
			if now.Requests < last.Requests || now.Keys < last.Keys || now.BytesIn < last.BytesIn || now.BytesOut < last.BytesOut ||
				now.Reconnects < last.Reconnects || now.Latency.Count() < last.Latency.Count() || now.Disagreements < last.Disagreements {
				t.Errorf("%s: a sum went back, from %+v to %+v", when, last, now)
			}
			last = now
			return s
		}
		for i := range 200 {
			nodes[0].get(t, fmt.Sprint("key", i))
		}
		s := check("in use")
		if !s.Ready || s.Lapsed || s.Problem != "" || s.Peers != 4 || s.Disagreeing != 0 || s.Failing != 0 || s.Misconfigured != 0 || s.ViewAge < settling {
			t.Errorf("the status of a healthy process: %+v", s)
		}
		var sum int64
		for _, peer := range p.Stats() {
			sum += peer.Keys
		}
		if s.All.Keys != sum || sum < 100 {
			t.Errorf("%d keys were asked for, and %d of each peer together", s.All.Keys, sum)
		}
		before := s.ViewChanges

		introduce(t, nodes[:2], nodes[:2]...) // and the other two are told nothing
		for i := range 40 {                   // longer than departed peers are told of changes
			time.Sleep(4 * time.Second)
			nodes[0].get(t, fmt.Sprint("key", i))
			check("after two have left")
		}
		s = check("at the end")
		if s.Peers != 2 || s.ViewChanges != before+1 || s.ViewAge < 2*time.Minute {
			t.Errorf("after two have left: %+v", s)
		}
		if s.All.Keys < sum {
			t.Errorf("%d keys in all, of %d that were asked for before two left", s.All.Keys, sum)
		}
		if got := p.Stats(); len(got) != 1 || got[0].Keys >= sum {
			t.Errorf("the figures of one peer: %+v", got)
		}
	})
}

// Who gives values to a new owner counts them, as the one who takes them does.
func TestStatsOfHandovers(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := simConfig{getter: peercache.GetterFunc(slowly(0))}
		nodes := newSimCluster(t, net, 2, c)
		for i := range 100 {
			nodes[0].get(t, fmt.Sprint("key", i))
		}
		newcomer := startSimNode(t, net, 2, c)
		introduce(t, append(nodes, newcomer), append(nodes, newcomer)...)
		if err := newcomer.pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		taken := newcomer.group.Stats().Handovers
		if given := nodes[0].group.Stats().HandoversGiven + nodes[1].group.Stats().HandoversGiven; taken == 0 || given != taken {
			t.Errorf("%d values were taken over, and %d given", taken, given)
		}
	})
}

// A process that leaves, or has a dissenter or a peer that is gone, says so.
func TestStatusSaysWhatIsWrong(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: peercache.GetterFunc(slowly(0))})
		introduce(t, nodes[2:], nodes[1], nodes[2]) // another list
		time.Sleep(time.Second)
		if s := nodes[1].pool.Status(); s.Disagreeing != 1 || !s.Ready {
			t.Errorf("a peer has another list: %+v", s)
		}
		introduce(t, nodes[2:], nodes...)
		time.Sleep(settling)
		if s := nodes[1].pool.Status(); s.Disagreeing != 0 {
			t.Errorf("all have one list again: %+v", s)
		}
		net.Crash(host(2))
		nodes[0].group.Get(t.Context(), keysOwnedBy(t, nodes, 0, 2, 1)[0])
		if s := nodes[0].pool.Status(); s.Failing != 1 || s.All.BreakerOpened != 1 {
			t.Errorf("a peer is gone: %+v", s)
		}
		if err := nodes[1].pool.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := nodes[1].pool.Status(); s.Ready {
			t.Errorf("a process that has left: %+v", s)
		}
	})
}
