package peercache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// nestedGetter takes a second for each load, and then does what inner says, with the
// context that it was given.
type nestedGetter struct {
	inner     func(ctx context.Context, key string) error
	now, most atomic.Int64 // loads at the same time that are in their second
}

func (n *nestedGetter) Get(ctx context.Context, key string) (peercache.Item, error) {
	count := n.now.Add(1)
	for most := n.most.Load(); count > most && !n.most.CompareAndSwap(most, count); most = n.most.Load() {
	}
	sleep(ctx, time.Second)
	n.now.Add(-1)
	return peercache.Item{Value: []byte("value of " + key)}, n.inner(ctx, key)
}

// nestedBatches is one that can load many at once.
type nestedBatches struct{ *nestedGetter }

func (n nestedBatches) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	return oneByOne(ctx, n, keys)
}

// getAll gets keys of a group, each in a goroutine of its own. None may fail or take
// longer than most.
func getAll(t *testing.T, g *peercache.Group, most time.Duration, keys ...string) (wait func()) {
	var all sync.WaitGroup
	start := time.Now()
	for _, key := range keys {
		all.Go(func() {
			if _, err := g.Get(t.Context(), key); err != nil || time.Since(start) > most {
				t.Errorf("Get %q: %v after %v: want the value within %v", key, err, time.Since(start), most)
			}
		})
	}
	return all.Wait
}

// Loads that hold all the slots Get other keys of their group: those of one more level, two
// and three, alone, with GetMulti, and from GetBatch.
func TestMaxLoadsNestedInOneGroup(t *testing.T) {
	for _, batches := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var g *peercache.Group
			n := &nestedGetter{inner: func(ctx context.Context, key string) error {
				if len(key) > 2 {
					return nil
				}
				if _, err := g.Get(ctx, key+"x"); err != nil {
					return err
				}
				for _, r := range g.GetMulti(ctx, []string{key + "a", key + "b"}) {
					if r.Err != nil {
						return r.Err
					}
				}
				return nil
			}}
			getter := peercache.Getter(n)
			if batches {
				getter = nestedBatches{n}
			}
			g = newLocal(t, getter, peercache.WithMaxLoads(4), peercache.WithLoadTimeout(time.Minute))
			getAll(t, g, time.Minute, "1", "2", "3", "4", "5", "6")()
		})
	}
}

// A load that holds a slot waits for one that began outside of any, and waits for a slot.
func TestMaxLoadsNestedWaitsForOneThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *peercache.Group
		n := &nestedGetter{inner: func(ctx context.Context, key string) error {
			if key == "outer" {
				if r := g.GetMulti(ctx, []string{"inner", "other"}); r[0].Err != nil || r[1].Err != nil {
					return fmt.Errorf("%v", r)
				}
			}
			return nil
		}}
		g = newLocal(t, n, peercache.WithMaxLoads(1))
		wait := getAll(t, g, 2*time.Second, "outer")
		synctest.Wait()
		getAll(t, g, 2*time.Second, "inner")()
		wait()
	})
}

// The same through a group that has no bound, whose load began outside of any: what it waits
// for must not wait for the slot either.
func TestMaxLoadsNestedThroughAnotherGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bounded, free *peercache.Group
		bounded = newLocal(t, &nestedGetter{inner: func(ctx context.Context, key string) error {
			if key != "outer" {
				return nil
			}
			_, err := free.Get(ctx, "middle")
			return err
		}}, peercache.WithMaxLoads(1))
		free = newLocal(t, &nestedGetter{inner: func(ctx context.Context, key string) error {
			time.Sleep(time.Second)
			_, err := bounded.Get(ctx, "inner")
			return err
		}})
		wait := getAll(t, bounded, 4*time.Second, "outer")
		time.Sleep(time.Second / 2)
		getAll(t, free, 4*time.Second, "middle")()
		wait()
	})
}

// The bound is still one: for loads that begin outside of any, and for those inside of a load
// of a group without a bound.
func TestMaxLoadsBoundsWhatIsNotNestedInASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nestedGetter{inner: func(context.Context, string) error { return nil }}
		bounded := newLocal(t, n, peercache.WithMaxLoads(2), peercache.WithLoadTimeout(time.Minute))
		free := newLocal(t, &nestedGetter{inner: func(ctx context.Context, key string) error {
			_, err := bounded.Get(ctx, key)
			return err
		}}, peercache.WithLoadTimeout(time.Minute))
		var keys []string
		for i := range 10 {
			keys = append(keys, fmt.Sprint(i))
		}
		getAll(t, free, 10*time.Second, keys...)()
		if most := n.most.Load(); most != 2 {
			t.Errorf("%d loads at once: want 2", most)
		}
	})
}

// Two processes, all of whose slots are taken by loads that wait for keys of the other one:
// whether these are asked for by such a load first, or by somebody else before.
func TestMaxLoadsNestedAcrossProcesses(t *testing.T) {
	for _, stream := range []bool{true, false} {
		for _, joined := range []bool{false, true} {
			for _, multi := range []bool{false, true} {
				t.Run(fmt.Sprint("stream=", stream, "/joined=", joined, "/multi=", multi), func(t *testing.T) {
					simulate(t, func(t *testing.T, net *simnet.Network) {
						nestedAcross(t, net, stream, joined, multi)
					})
				})
			}
		}
	}
}

func nestedAcross(t *testing.T, net *simnet.Network, stream, joined, multi bool) {
	var nodes []*node
	inner := make(map[string]string) // the key that the getter of a key asks for
	at := make(map[string]int)       // which node loads that key
	n := &nestedGetter{inner: func(ctx context.Context, key string) error {
		next := inner[key]
		switch {
		case next == "":
			return nil
		case multi:
			return nodes[at[key]].group.GetMulti(ctx, []string{next})[0].Err
		}
		_, err := nodes[at[key]].group.Get(ctx, next)
		return err
	}}
	c := simConfig{getter: n, group: []peercache.GroupOption{peercache.WithMaxLoads(2)}}
	if !stream {
		c.pool = func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithoutStream()} }
	}
	nodes = newSimCluster(t, net, 2, c)
	var outer, middle [2][]string
	for i := range nodes {
		mine, others := keysOwnedBy(t, nodes, 0, i, 6), keysOwnedBy(t, nodes, 0, 1-i, 12)[6:]
		outer[i], middle[i] = mine[:2], others[:2]
		for j := range 2 { // outer here, middle there, last here again
			inner[outer[i][j]], inner[middle[i][j]] = middle[i][j], mine[2+j]
			at[outer[i][j]], at[middle[i][j]] = i, 1-i
		}
	}
	var waits []func()
	for i, n := range nodes {
		waits = append(waits, getAll(t, n.group, 5*time.Second, outer[i]...))
	}
	time.Sleep(time.Second / 2)
	if joined {
		for i, n := range nodes {
			waits = append(waits, getAll(t, n.group, 5*time.Second, middle[i]...))
		}
	}
	for _, wait := range waits {
		wait()
	}
}

// A value that is loaded again in the background, because a getter asked for it, waits for a
// slot of its own: nobody waits for it.
func TestMaxLoadsRefreshInsideOfALoadTakesASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *peercache.Group
		n := &nestedGetter{inner: func(ctx context.Context, key string) error {
			if !strings.HasPrefix(key, "outer") {
				return nil
			}
			_, err := g.Get(ctx, "in"+key[3:])
			return err
		}}
		g = newLocal(t, n, peercache.WithMaxLoads(2), peercache.WithTTL(time.Minute), peercache.WithStaleWhileRevalidate(time.Hour))
		var outers, inners []string
		for i := range 6 {
			outers, inners = append(outers, fmt.Sprint("outer", i)), append(inners, fmt.Sprint("inter", i))
		}
		getAll(t, g, time.Minute, inners...)()
		time.Sleep(2 * time.Minute)
		n.most.Store(0)
		getAll(t, g, 10*time.Second, outers...)()
		time.Sleep(10 * time.Second)
		if most := n.most.Load(); most != 2 {
			t.Errorf("%d loads at once: want 2", most)
		}
	})
}

// A load without a slot waits for a key of another process, when a load there that has the slot
// comes to wait for it: what was asked must not wait for the slot any more.
func TestMaxLoadsUrgesWhatWasAsked(t *testing.T) {
	for _, multi := range []bool{false, true} {
		t.Run(fmt.Sprint("multi=", multi), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var nodes []*node
				var outer, middle, inner string
				n := &nestedGetter{inner: func(ctx context.Context, key string) (err error) {
					switch {
					case key == outer:
						_, err = nodes[1].group.Get(ctx, middle)
					case key == middle && multi:
						err = nodes[0].group.GetMulti(ctx, []string{inner})[0].Err
					case key == middle:
						_, err = nodes[0].group.Get(ctx, inner)
					}
					return err
				}}
				nodes = newSimCluster(t, net, 2, simConfig{getter: n, own: func(i int) []peercache.GroupOption {
					if i == 1 {
						return []peercache.GroupOption{peercache.WithMaxLoads(1)}
					}
					return nil
				}})
				theirs := keysOwnedBy(t, nodes, 0, 1, 3)
				outer, inner, middle = theirs[0], theirs[1], keysOwnedBy(t, nodes, 0, 0, 1)[0]
				nodes[0].get(t, theirs[2]) // they are connected
				waits := []func(){getAll(t, nodes[0].group, 4*time.Second, middle)}
				time.Sleep(time.Second / 2)
				waits = append(waits, getAll(t, nodes[1].group, 4*time.Second, outer))
				for _, wait := range waits {
					wait()
				}
			})
		})
	}
}
