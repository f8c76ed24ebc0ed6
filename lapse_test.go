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
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/simnet"
)

// dictated is a Discovery that reports what a test says.
type dictated chan discovery.View

func (d dictated) Run(ctx context.Context, _ string, report func(discovery.View)) error {
	for {
		select {
		case v := <-d:
			report(v)
		case <-ctx.Done():
			return nil
		}
	}
}

// lapsing is a cluster of three that are told their views, and an origin whose values
// have a version.
type lapsing struct {
	nodes   []*node
	views   [3]dictated
	all     []string // base URLs
	origin  origin
	version atomic.Int64
}

func newLapsing(t *testing.T, network *simnet.Network, opts ...peercache.GroupOption) *lapsing {
	t.Helper()
	l := &lapsing{}
	l.origin.load = func(context.Context, string) ([]byte, error) {
		return fmt.Append(nil, "v", l.version.Load()), nil
	}
	l.version.Store(1)
	for i := range l.views {
		l.all = append(l.all, "http://"+host(i)+":8001")
	}
	for i := range l.views {
		l.views[i] = make(dictated, 1)
		l.views[i] <- discovery.View{Peers: l.all}
	}
	l.nodes = newSimCluster(t, network, len(l.views), simConfig{
		getter:    lapseOrigin{&l.origin},
		group:     opts,
		discovery: func(i int) discovery.Discovery { return l.views[i] },
	})
	return l
}

// lapseOrigin loads many keys at once, too.
type lapseOrigin struct{ *origin }

func (o lapseOrigin) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	return oneByOne(ctx, o, keys)
}

// tell gives a node a view, and waits until the pool has taken it.
func (l *lapsing) tell(i int, lapsed bool, peers ...string) {
	l.views[i] <- discovery.View{Peers: peers, Lapsed: lapsed}
	time.Sleep(100 * time.Millisecond)
}

// wants checks what a node answers, by Get and by GetMulti.
func (l *lapsing) wants(t *testing.T, when string, i int, version string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if got := l.nodes[i].get(t, key); got != version {
			t.Errorf("%s: Get of %s at node %d: %s: want %s", when, key, i, got, version)
		}
	}
	for k, r := range l.nodes[i].group.GetMulti(t.Context(), keys) {
		if r.View.String() != version || r.Err != nil {
			t.Errorf("%s: GetMulti of %s at node %d: %s, error %v: want %s", when, keys[k], i, r.View, r.Err, version)
		}
	}
}

// lapseTTL is that of the values in these tests.
const lapseTTL = 10 * time.Minute

// lapseChoices are the options of a group, and the version that it serves of what has
// changed where it did not hear of it.
var lapseChoices = []struct {
	name    string
	options []peercache.GroupOption
	serves  string
}{
	{"available", []peercache.GroupOption{peercache.WithTTL(lapseTTL)}, "v1"},
	{"consistent", []peercache.GroupOption{peercache.WithTTL(lapseTTL), peercache.WithConsistency()}, "v2"},
}

// A process is cut off until its lease has run out and it has been replaced. What the
// others remove meanwhile, a consistent group does not serve, then and when it is back;
// the other one serves it for its TTL.
func TestP8Lapse(t *testing.T) {
	for _, choice := range lapseChoices {
		t.Run(choice.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, network *simnet.Network) {
				l := newLapsing(t, network, choice.options...)
				own, other := keyOwnedBy(t, l.nodes, 0, 0), keyOwnedBy(t, l.nodes, 0, 1)
				for i := range l.nodes {
					l.wants(t, "at first", i, "v1", own, other)
				}
				network.Isolate(host(0))
				l.tell(0, true, l.all...)
				l.tell(1, false, l.all[1:]...)
				l.tell(2, false, l.all[1:]...)
				time.Sleep(peercache.DefaultLease) // in which nobody asks for copies
				l.version.Store(2)
				if err := l.nodes[1].group.Remove(inside(t), own, other); err != nil {
					t.Fatalf("Remove where the cluster goes on: %v", err)
				}
				l.wants(t, "after a Remove", 1, "v2", own, other)
				before := l.nodes[0].group.Stats()
				l.wants(t, "lapsed", 0, choice.serves, own)
				l.checkLapsed(t, own, choice.serves == "v2", before)

				network.Rejoin(host(0))
				for i := range l.nodes {
					l.tell(i, false, l.all...)
				}
				if choice.serves == "v2" { // the other one may be offered the new value, or not
					l.wants(t, "back", 0, "v2", own)
					l.wants(t, "back", 1, "v2", own, other)
					l.wants(t, "back", 0, "v2", other)
					if hits := l.nodes[0].group.Stats().Hits; hits == before.Hits {
						t.Error("back: no hits, the caches are not used again")
					}
				}
				if err := l.nodes[0].group.Remove(inside(t), own); err != nil {
					t.Errorf("Remove of who is back: %v", err)
				}
				time.Sleep(lapseTTL)
				l.wants(t, "after the TTL", 0, "v2", own, other)
			})
		})
	}
}

// checkLapsed checks the figures of node 0 after the Gets of one key, two of them, and
// what changes return there.
func (l *lapsing) checkLapsed(t *testing.T, key string, consistent bool, before peercache.Stats) {
	t.Helper()
	group := l.nodes[0].group
	after := group.Stats()
	hits, loads := after.Hits-before.Hits, after.Loads-before.Loads
	if consistent && (hits != 0 || loads != 2) || !consistent && (hits != 2 || loads != 0) || after.Gets-before.Gets != 2 {
		t.Errorf("%d Gets, %d hits, %d loads of 2 Gets", after.Gets-before.Gets, hits, loads)
	}
	if !consistent {
		return
	}
	for name, change := range map[string]func(context.Context) error{
		"Remove": func(ctx context.Context) error { return group.Remove(ctx, key) },
		"Set":    func(ctx context.Context) error { return group.Set(ctx, key, peercache.Item{Value: []byte("v3")}) },
		"Clear":  group.Clear,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := change(ctx); !errors.Is(err, peercache.ErrLapsed) {
			t.Errorf("%s of who has lapsed: error %v: want ErrLapsed", name, err)
		}
		cancel()
	}
	l.wants(t, "lapsed, after a Set", 0, "v2", key)
}

// Who has lapsed answers the peers that do not know, or have lapsed as well, by loads
// too, and they keep no copies of that.
func TestP8LapsedOwner(t *testing.T) {
	for _, choice := range lapseChoices {
		t.Run(choice.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, network *simnet.Network) {
				l := newLapsing(t, network, choice.options...)
				key := keyOwnedBy(t, l.nodes, 0, 0)
				l.wants(t, "at first", 1, "v1", key)
				l.tell(0, true, l.all...)
				l.version.Store(2) // and a process that is not known here removed it
				time.Sleep(peercache.DefaultLease)
				l.wants(t, "of a lapsed owner", 1, choice.serves, key)

				_, err := l.nodes[0].group.ServeGet(t.Context(), peercache.Query{Group: "test", Key: key, CachedOnly: true})
				if consistent := choice.serves == "v2"; consistent != (err != nil) {
					t.Errorf("handed over: error %v: want one: %t", err, consistent)
				}
				if choice.serves == "v2" {
					l.version.Store(3)
					l.wants(t, "of a lapsed owner, again", 1, "v3", key)
				}
			})
		})
	}
}

// Who has lapsed asks nobody for what may have changed: not the owners, which may have
// been replaced as well, nor those that were until its view changed.
func TestP8LapsedAsksNobody(t *testing.T) {
	simulate(t, func(t *testing.T, network *simnet.Network) {
		l := newLapsing(t, network, peercache.WithConsistency())
		own, others := keysOwnedBy(t, l.nodes, 0, 0, 2), keysOwnedBy(t, l.nodes, 0, 1, 20)
		l.wants(t, "at first", 0, "v1", own...)
		l.wants(t, "at first", 1, "v1", others...)
		l.tell(0, true, l.all...)
		l.version.Store(2)
		l.wants(t, "lapsed", 0, "v2", own...)
		l.wants(t, "lapsed", 0, "v2", others...)
		l.tell(0, true, l.all[0], l.all[2])
		l.wants(t, "in another view", 0, "v2", others...)
	})
}

// Who is back while the others do not know it yet, and do not tell it of changes, keeps
// nothing for them to remove.
func TestP8BackBeforeTheOthersKnow(t *testing.T) {
	simulate(t, func(t *testing.T, network *simnet.Network) {
		l := newLapsing(t, network, peercache.WithConsistency())
		key := keyOwnedBy(t, l.nodes, 0, 0)
		l.tell(0, true, l.all...)
		l.tell(1, false, l.all[1:]...)
		l.tell(2, false, l.all[1:]...)
		time.Sleep(10 * time.Minute) // nobody tells those that left of changes any more
		l.tell(0, false, l.all...)
		l.wants(t, "back", 0, "v1", key)
		l.version.Store(2)
		if err := l.nodes[1].group.Remove(inside(t), key); err != nil {
			t.Fatalf("Remove by one who does not know: %v", err)
		}
		l.wants(t, "after a Remove", 0, "v2", key)
	})
}

// clearing is a Cache that has something happen before and after a Clear.
type clearing struct {
	peercache.Cache
	before, after func()
}

func (c *clearing) Clear() {
	c.before()
	c.Cache.Clear()
	c.after()
}

// At the end of a lapse, neither what was cached before is served, nor is what a load
// brings that began before kept: whatever comes in between.
func TestP8EndOfLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		views := make(dictated)
		pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithInsecure(), peercache.WithDiscovery(views))
		if err != nil {
			t.Fatal(err)
		}
		var version atomic.Int64
		version.Store(1)
		slow, arrived := make(chan struct{}), make(chan struct{})
		getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			v := version.Load()
			if key == "slow" && v == 1 {
				<-slow
			}
			return fmt.Append(nil, "v", v), nil
		})
		var group *peercache.Group
		wants := func(when, key, want string) {
			t.Helper()
			if view, err := group.Get(t.Context(), key); view.String() != want || err != nil {
				t.Errorf("%s: Get of %s: %s, error %v: want %s", when, key, view, err, want)
			}
		}
		var once sync.Once
		before := func() {
			if version.Load() == 2 {
				wants("before the caches are cleared", "cached", "v2")
			}
		}
		after := func() {
			if version.Load() == 2 {
				once.Do(func() {
					close(slow)
					<-arrived
				})
			}
		}
		group, err = peercache.NewGroup("test", 1<<20, getter, peercache.WithPeers(pool), peercache.WithConsistency(),
			peercache.WithCache(func(maxBytes int64, onLeave func(string, peercache.Entry, peercache.Reason)) (peercache.Cache, error) {
				c, err := peercache.NewStore(maxBytes, onLeave)
				return &clearing{c, before, after}, err
			}))
		if err != nil {
			t.Fatal(err)
		}
		report := func(lapsed bool) { views <- discovery.View{Peers: []string{"http://10.0.0.1:8001"}, Lapsed: lapsed} }
		go report(false)
		if err := pool.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer pool.Shutdown(t.Context())
		wants("at first", "cached", "v1")
		go func() {
			defer close(arrived)
			wants("asked before", "slow", "v1")
		}()
		synctest.Wait()
		report(true)
		version.Store(2)
		report(false)
		synctest.Wait()
		wants("back", "cached", "v2")
		wants("back", "slow", "v2")
		version.Store(3)
		wants("back", "cached", "v2") // it is a cache again
		wants("back", "slow", "v2")
	})
}
