package peercache

import (
	"context"
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
)

// previous returns the peer that owned key before the view changed, for a while after;
// nil, if there is none but this process, or the key was changed since.
func (g *Group) previous(key string) Peer {
	if _, ok := g.handoversSince(key); !ok {
		return nil
	}
	owner, _ := g.peers.Before(key)
	return owner
}

// handoversSince returns when the view changed, and whether a value of key may be taken
// over from who had it before: for a while, unless the key was changed since.
func (g *Group) handoversSince(key string) (since clock.Instant, ok bool) {
	if g.peers == nil {
		return 0, false
	}
	_, since = g.peers.Before(key)
	if clock.Now() >= since.Plus(g.times.standIn) {
		return since, false
	}
	c := g.changed.Load()
	return since, c == nil || c.since < since || !c.has(key)
}

// marked returns what refuses a value of key that comes from before a change, of the key or of
// the view, since that instant. There is no flight that a Remove could taint, but a Remove
// leaves its mark before it drops anything.
func (g *Group) marked(key string, since clock.Instant) (refused func() bool) {
	return func() bool {
		now, ok := g.handoversSince(key)
		return (!ok || now != since) && g.planted != failpoint.OfferWins
	}
}

// handedOver gets key from its previous owner, if it is cached there: so a change of the
// view costs no loads.
func (g *Group) handedOver(ctx context.Context, key string, previous Peer) (Entry, bool) {
	asked := clock.Now()
	ctx, cancel := context.WithTimeout(ctx, min(g.loadTimeout/4, mostHandover))
	defer cancel()
	a, err := previous.Get(ctx, Query{Group: g.name, Key: key, CachedOnly: true})
	if err != nil || a.TTL < 0 {
		return Entry{}, false
	}
	fresh := clock.Expiry(asked, a.TTL)
	if fresh != 0 && fresh <= clock.Now() { // who has come meanwhile must not get it
		return Entry{}, false
	}
	e := Entry{View: viewOfOwn(a.Value)}
	e.Expires = g.times.end(e, fresh)
	g.stats.handovers.Add(1)
	return e, true
}

// mostHandover is how long a load waits for the previous owner, if a quarter of its time is
// more.
const mostHandover = time.Second

// viewChanged limits the time of the values that this process keeps as an owner and does
// not own any more. Until it is over, changes go to everybody, and the new owner may
// get the value from here. It returns those that can be offered to a new owner: not where
// a PeerPicker of the user's own stands between the group and its pool.
func (g *Group) viewChanged(at clock.Instant) (all []cluster.Moved) {
	g.holders.Forget(g.peers.Knows)
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

// changedKeys are the keys that were changed since the view did. This process does not
// take their values over any more:
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

// changedBefore reports whether key may have been changed since a peer left the view, which
// was then not told and may offer the value of before. The view may have changed again, after
// the key did: so the marks of the views before count as well. All peers are told of each
// change for the time of a stand-in after it left; later nothing is taken from it. It is false
// for a peer of the view, for which left is 0: who could not be told there has the change fail.
func (g *Group) changedBefore(key string, left clock.Instant) bool {
	if left == 0 || g.planted == failpoint.OfferWins {
		return false
	}
	if clock.Now() >= left+clock.Instant(g.times.standIn) {
		return true
	}
	n := 0
	for c := g.changed.Load(); c != nil && c.since >= left; c = c.before.Load() {
		if n++; n > mostChanged || c.has(key) {
			return true
		}
	}
	return false
}

// forget forgets those before c of which nobody asks any more: what came before oldest, and
// more than are looked at.
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

// stopHandover takes note of what c changes, if it could be taken over.
func (g *Group) stopHandover(c *Change) {
	if g.peers == nil {
		return
	}
	_, since := g.peers.Before("")
	if clock.Now() >= since.Plus(g.times.standIn) {
		return
	}
	changed := g.changed.Load()
	for changed == nil || changed.since < since {
		now := &changedKeys{since: since, seed: maphash.MakeSeed()}
		now.before.Store(changed)
		if g.changed.CompareAndSwap(changed, now) {
			now.forget(clock.Now() - clock.Instant(g.times.standIn))
		}
		changed = g.changed.Load()
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

// takeOver gets a value that a peer offers, which may have left the view, unless there is
// one.
func (g *Group) takeOver(ctx context.Context, key string, from Peer, left clock.Instant) {
	for g.checkKey(key) == nil && ctx.Err() == nil {
		since, ok := g.handoversSince(key)
		if !ok || g.lapsed() || !g.wants(key) || g.changedBefore(key, left) {
			return
		}
		e, ok := g.handedOver(ctx, key, from)
		if !ok || !g.wants(key) {
			return
		}
		marked := g.marked(key, since)
		kept := g.addOwn(key, e, func() bool { return marked() || g.changedBefore(key, left) })
		if now, _ := g.handoversSince(key); kept || now == since {
			return
		}
		// The view has changed meanwhile: the marks are of the new one, and the value is
		// not offered again to who was to have it before.
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
