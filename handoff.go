package peercache

import (
	"context"
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
)

// pullFromPreviousOwner gets key from the peer that owned it before the view changed, if it is
// cached there: so a change of the view costs no loads.
func (g *Group) pullFromPreviousOwner(ctx context.Context, key string) (Entry, bool) {
	previous := g.previousOwner(key)
	if previous == nil {
		return Entry{}, false
	}
	return g.pull(ctx, key, previous)
}

// pullAllFromPreviousOwners does what pullFromPreviousOwner does for many keys, several at a
// time. It calls got, concurrently, with the place of each key that it got.
func (g *Group) pullAllFromPreviousOwners(ctx context.Context, keys []string, got func(i int, e Entry)) {
	var pulls errgroup.Group
	pulls.SetLimit(mostAtOnce)
	for i, key := range keys {
		previous := g.previousOwner(key)
		if previous == nil { // as a rule: no goroutine for that
			continue
		}
		pulls.Go(func() error {
			if e, ok := g.pull(ctx, key, previous); ok {
				got(i, e)
			}
			return nil
		})
	}
	pulls.Wait()
}

// pull gets key from a peer that had it before, if it is cached there.
func (g *Group) pull(ctx context.Context, key string, from Peer) (Entry, bool) {
	asked := clock.Now()
	ctx, cancel := context.WithTimeout(ctx, g.pullTime)
	defer cancel()
	a, err := from.Get(ctx, Query{Group: g.name, Key: key, CachedOnly: true, MaxBytes: g.maxValue})
	if err != nil || a.TTL < 0 || len(a.Value) > g.maxValue {
		return Entry{}, false
	}
	expires := clock.Expiry(asked, a.TTL)
	if expires != 0 && expires <= clock.Now() { // callers who came meanwhile must not get it
		return Entry{}, false
	}
	e := Entry{View: viewOfOwn(a.Value)}
	e.Expires = g.times.end(e, expires)
	g.caches.counts.handovers.Add(1)
	return e, true
}

// mostPull bounds the time for which a load waits for the previous owner. It waits for a quarter
// of its own time, if that is less.
const mostPull = time.Second

// pullOffered gets a value that a peer offers, unless there is one. The peer left the view at
// that instant; zero means that it is in the view.
func (g *Group) pullOffered(ctx context.Context, key string, from Peer, departed clock.Instant) {
	for g.checkKey(key) == nil && ctx.Err() == nil {
		since, ok := g.handoffsSince(key)
		if !ok || g.lapsed() || !g.wants(key) || g.changedBefore(key, departed) {
			return
		}
		e, ok := g.pull(ctx, key, from)
		if !ok || !g.wants(key) {
			return
		}
		changed := g.changedSince(key, since)
		_, kept := g.addOwn(key, e, taintedBy(func() bool { return changed() || g.changedBefore(key, departed) }))
		if now, _ := g.handoffsSince(key); kept || now == since {
			return
		}
		// The view has changed meanwhile: the marks are of the new one, and nobody offers
		// the value again to the owner of before.
	}
}

// wants reports whether a value of key that another peer had is of use here: this process
// owns the key, and has no value that may be newer.
func (g *Group) wants(key string) bool {
	if g.rank(key) != asOwner {
		return false
	}
	e, there := g.main.Get(key)
	now := clock.Now()
	return !there || e.Former || e.Expires != 0 && e.Expires <= now || e.Lease != 0 && e.Lease <= now
}

// viewChanged limits the time of the values that this process keeps as an owner and does not own
// any more. Until that time is over, changes go to everybody, and the new owner may get the
// value from here. It returns the values to offer to new owners. The cluster offers them
// to its own members alone. If moved is false, no key has another owner than before.
func (g *Group) viewChanged(at clock.Instant, moved bool) (all []cluster.Moved) {
	g.holders.Forget(g.peers.Knows)
	if !moved {
		return nil
	}
	ranker, _ := g.main.(Ranker)
	g.main.Range(func(key string, e Entry) bool {
		owner := g.pick(key, 0)
		switch {
		case e.Lease == 0 && g.rank(key) != asOwner:
			e.Lease, e.Former = at.Plus(g.times.standIn), true
			g.main.Renew(key, e)
		case !e.Former:
			return true
		default: // it was offered to the owner before, unless that is another one
			if before, _ := g.peers.Before(key); before == owner {
				return true
			}
		}
		if owner == nil {
			return true
		}
		m := cluster.Moved{Key: strings.Clone(key), Owner: owner, Bytes: int64(len(key) + e.View.Len())}
		if ranker != nil {
			m.Worth = ranker.Worth(key)
		}
		all = append(all, m)
		return true
	})
	return all
}

// previousOwner returns the peer that owned key before the view changed, for the time of a
// stand-in after that. It returns nil if that is this process, or the key was changed since.
func (p *placement) previousOwner(key string) Peer {
	if owner, _, ok := p.before(key); ok {
		return owner
	}
	return nil
}

// handoffsSince returns when the view changed, and reports whether a value of key may be taken
// over from a peer that had it before: for the time of a stand-in, unless the key was changed
// since.
func (p *placement) handoffsSince(key string) (since clock.Instant, ok bool) {
	_, since, ok = p.before(key)
	return since, ok
}

// before does what previousOwner and handoffsSince do.
func (p *placement) before(key string) (owner Peer, since clock.Instant, ok bool) {
	owner, since = p.peers.Before(key)
	if since == 0 || clock.Now() >= since.Plus(p.standIn) { // there was no view before, or long ago
		return owner, since, false
	}
	c := p.changed.Load()
	return owner, since, c == nil || c.since < since || !c.has(key)
}

// changedSince returns a func that reports whether key or the view has changed since that
// instant. A value taken over must not be cached if it has. There is no flight that a Remove
// could taint, but a Remove marks its keys before it drops anything.
func (p *placement) changedSince(key string, since clock.Instant) (changed func() bool) {
	return func() bool {
		now, ok := p.handoffsSince(key)
		return (!ok || now != since) && p.planted != failpoint.OfferWins
	}
}

// changedBefore reports whether key may have been changed since a peer left the view, which was
// then not told and may offer the value of before. The view may have changed again, after the
// key did: so the marks of the views before count as well. All peers are told of each change
// for the time of a stand-in after it left; later nothing is taken from it. It is false for a
// peer that is still in the view (departed is 0): if such a peer cannot be told, the change
// itself fails.
func (p *placement) changedBefore(key string, departed clock.Instant) bool {
	if departed == 0 || p.planted == failpoint.OfferWins {
		return false
	}
	if clock.Now() >= departed.Plus(p.standIn) {
		return true
	}
	n := 0
	for c := p.changed.Load(); c != nil && c.since >= departed; c = c.before.Load() {
		if n++; n > mostChanged || c.has(key) {
			return true
		}
	}
	return false
}

// refuseHandoffs marks the keys of c, if their values could be taken over: they are not any
// more.
func (p *placement) refuseHandoffs(c *Change) {
	_, since := p.peers.Before("")
	if clock.Now() >= since.Plus(p.standIn) {
		return
	}
	changed := p.changed.Load()
	for changed == nil || changed.since < since {
		now := &changedKeys{since: since, seed: maphash.MakeSeed()}
		now.before.Store(changed)
		if p.changed.CompareAndSwap(changed, now) {
			now.forget(clock.Now().Plus(-p.standIn))
		}
		changed = p.changed.Load()
	}
	if c.All {
		for i := range changed.bits {
			changed.bits[i].Store(^uint64(0))
		}
	}
	for _, key := range c.Keys {
		word, mask := changed.bit(key)
		word.Or(mask)
	}
}

// changedKeys are the keys that were changed since the view did. This process does not
// take their values over any more. Else:
//
//	the new owner hears of a Remove, and drops nothing
//	the new owner takes the old value over, and keeps it
//	the previous owner hears of the Remove, and drops the value: too late
//
// Other keys that share a bit with one of them are loaded as well.
type changedKeys struct {
	since  clock.Instant               // when the view changed
	before atomic.Pointer[changedKeys] // of the views before; see changedBefore
	seed   maphash.Seed
	bits   [changedBits / 64]atomic.Uint64
}

// mostChanged is how many changedKeys are kept for the views before.
const mostChanged = 8

// forget drops the changedKeys before c that nobody looks at any more: those of before oldest,
// and those beyond mostChanged.
func (c *changedKeys) forget(oldest clock.Instant) {
	for n := 0; c != nil; c = c.before.Load() {
		if n++; n > mostChanged || c.since <= oldest {
			c.before.Store(nil)
		}
	}
}

// changedBits is so high that of ten thousand changes in the time of a stand-in
// most other keys do not notice.
const changedBits = 1 << 16

func (c *changedKeys) bit(key string) (word *atomic.Uint64, mask uint64) {
	at := maphash.String(c.seed, key) % changedBits
	return &c.bits[at/64], 1 << (at % 64)
}

func (c *changedKeys) has(key string) bool {
	word, mask := c.bit(key)
	return word.Load()&mask != 0
}

// keep puts what a load found into the main cache: for good if this process owns the
// key, and for a time if it stands in for the owner. The time is counted from when the
// load began, because that is what a change which does not reach this process waits
// for. It returns e with that time, which bounds what peers are told of it, and with a value that
// is not in the getter's memory.
func (g *Group) keep(key string, e Entry, began clock.Instant, f *flight) Entry {
	switch g.rank(key) {
	case asOwner:
	case asStandIn:
		e.Lease = began.Plus(g.times.standIn)
	case asNonReplica:
		return e.clone()
	}
	if e.Expires != 0 && e.Expires <= clock.Now() {
		if _, there := g.main.Get(key); !there {
			return e.clone()
		}
		// What is cached is older than this one: it is replaced, although this one has expired
		// too.
	}
	own, _ := g.addOwn(key, e, g.taint(f))
	return own
}

// addOwn puts an entry into the main cache. The view may have changed after the caller looked
// at the rank. Then viewChanged may have missed this entry, and nothing would end its time. So
// addOwn removes it again. It returns what addMain does.
func (g *Group) addOwn(key string, e Entry, t tainter) (own Entry, kept bool) {
	own, kept = g.addMain(key, e, t)
	if kept && e.Lease == 0 && g.rank(key) != asOwner {
		g.main.Remove(key)
	}
	return own, kept
}
