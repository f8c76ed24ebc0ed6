package simulation

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache"
)

// nearCache is a cache in front of a group, as Group.Watch describes it. What it returns must keep P8
// as if the group had returned it.
type nearCache struct {
	group *peercache.Group
	watch peercache.Watch

	mu     sync.Mutex
	values map[string]nearValue         // guarded by mu
	asking map[string]map[*nearAsk]bool // guarded by mu; who asks for a key now
	hits   int64                        // guarded by mu
}

// nearValue is a value that a nearCache keeps.
type nearValue struct {
	view  peercache.ByteView
	until time.Time // the zero Time: without end
}

// nearAsk is a note that a key is being asked for. The mu of the nearCache guards it.
type nearAsk struct{ told bool }

func newNearCache(g *peercache.Group) *nearCache {
	n := &nearCache{group: g, values: make(map[string]nearValue), asking: make(map[string]map[*nearAsk]bool)}
	n.watch = g.Watch(n.hear)
	return n
}

// hear drops what may be old, and has nobody keep it who asks for it now.
func (n *nearCache) hear(i peercache.Invalidation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i.All {
		clear(n.values)
		for _, asks := range n.asking {
			for ask := range asks {
				ask.told = true
			}
		}
	}
	for _, key := range i.Keys {
		delete(n.values, key)
		for ask := range n.asking[key] {
			ask.told = true
		}
	}
}

// get does what Group.Get does, for a client of this cache.
func (n *nearCache) get(ctx context.Context, key string) (peercache.ByteView, error) {
	live, now := n.watch.Live(), time.Now()
	ask := new(nearAsk)
	n.mu.Lock()
	v, ok := n.values[key]
	if ok && live && (v.until.IsZero() || now.Before(v.until)) {
		n.hits++
		n.mu.Unlock()
		return v.view, nil
	}
	if n.asking[key] == nil {
		n.asking[key] = make(map[*nearAsk]bool)
	}
	n.asking[key][ask] = true
	n.mu.Unlock()
	live = n.watch.Live()
	view, ttl, err := n.group.GetWithTTL(ctx, key)
	n.mu.Lock()
	defer n.mu.Unlock()
	if delete(n.asking[key], ask); len(n.asking[key]) == 0 {
		delete(n.asking, key)
	}
	if err != nil || !live || ask.told || ttl < 0 {
		return view, err
	}
	v = nearValue{view: view}
	if ttl > 0 {
		v.until = time.Now().Add(ttl)
	}
	n.values[key] = v
	return view, nil
}

// nearGet gets key from the cache in front of a process, if there is one.
func (c *player) nearGet(p *node, key string, patience time.Duration, final bool) {
	if p.near == nil {
		return
	}
	ctx, cancel := c.context(patience)
	defer cancel()
	r := &read{what: "Get of the cache in front", key: key, who: p.process, patience: patience, final: final}
	c.history.record(func(now moment) {
		r.begin = now
		c.history.reads = append(c.history.reads, r)
	})
	view, err := p.near.get(ctx, key)
	c.history.record(func(now moment) { r.end, r.value, r.err = now, view.String(), err })
}

// nearGets returns the Gets of clients. What is drawn changes nothing of the rest.
func (g *generator) nearGets() (gets []step) {
	if len(g.near) == 0 {
		return nil
	}
	r := generator{Rand: rand.New(rand.NewPCG(g.seed, 2))}
	for _, s := range g.steps {
		if s.do != doGet || r.IntN(2) == 0 {
			continue
		}
		s.do, s.at, s.host = doNearGet, s.at+r.between(0, 20*time.Millisecond), g.near[r.IntN(len(g.near))]
		gets = append(gets, s)
	}
	return gets
}

// missedChanges puts caches in front of some processes. It adds changes that such a process cannot be
// told of, from an instant on at which nobody changes views, and returns when that is over.
func (g *generator) missedChanges(at time.Duration) time.Duration {
	r := generator{Rand: rand.New(rand.NewPCG(g.seed, 3))}
	g.near = r.Perm(g.hosts)[:[]int{0, 1, 2}[r.IntN(3)]]
	at += g.standIn + time.Second
	for range 3 {
		for _, i := range g.near {
			others := slices.DeleteFunc(slices.Clone(g.finally), func(host int) bool { return host == i })
			if len(others) < 2 || len(others) == len(g.finally) {
				continue
			}
			key := g.keys[r.IntN(len(g.keys))]
			for range 2 {
				g.steps = append(g.steps, step{at: at, do: doNearGet, host: i, keys: []string{key}})
				at += r.between(0, 2*longestLoad)
			}
			over := at + g.freshness.lease + r.between(100*time.Millisecond, 200*time.Millisecond)
			g.fault(step{at: at, host: i}, doFreeze, doThaw, over)
			change := step{at: at + r.between(0, g.freshness.lease/2), do: doRemove, host: others[r.IntN(len(others))], keys: []string{key}, probes: []int{i}}
			g.steps = append(g.steps, change)
			at = over + r.between(0, g.freshness.lease)
		}
	}
	return at
}

// hasNear reports whether there is a cache in front of the process on a host.
func (s *scenario) hasNear(host int) bool { return slices.Contains(s.near, host) }
