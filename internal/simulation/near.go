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

// nearGets puts caches in front of some processes, and returns the Gets of their clients. What is drawn
// changes nothing of the rest.
func (g *generator) nearGets() (gets []step) {
	r := generator{Rand: rand.New(rand.NewPCG(g.seed, 2))}
	if g.near = r.Perm(g.hosts)[:[]int{0, 1, 2}[r.IntN(3)]]; len(g.near) == 0 {
		return nil
	}
	for _, s := range g.steps {
		if s.do != doGet || r.IntN(2) == 0 {
			continue
		}
		s.do, s.at, s.host = doNearGet, s.at+r.between(0, 20*time.Millisecond), g.near[r.IntN(len(g.near))]
		gets = append(gets, s)
	}
	return gets
}

// hasNear reports whether there is a cache in front of the process on a host.
func (s *scenario) hasNear(host int) bool { return slices.Contains(s.near, host) }
