package peercache

import (
	"context"
	"time"
)

// previous returns the peer that owned key before the view changed, for a while after;
// nil, if there is none but this process.
func (g *Group) previous(key string) Peer {
	v, ok := g.peers.(viewer)
	if !ok {
		return nil
	}
	peer, since := v.before(key)
	if Now() >= since+Instant(g.times.standIn) {
		return nil
	}
	return peer
}

// handedOver gets key from its previous owner, if it is cached there: so a change of the
// view costs no loads.
func (g *Group) handedOver(ctx context.Context, key string, previous Peer) (Entry, bool) {
	asked := Now()
	ctx, cancel := context.WithTimeout(ctx, min(g.loadTimeout/4, mostHandover))
	defer cancel()
	a, err := previous.Get(ctx, Query{Group: g.name, Key: key, CachedOnly: true})
	if err != nil || a.TTL < 0 {
		return Entry{}, false
	}
	fresh := expiry(asked, a.TTL)
	if fresh != 0 && fresh <= Now() { // who has come meanwhile must not get it
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
// get the value from here.
func (g *Group) viewChanged(at Instant) {
	g.main.Range(func(key string, e Entry) bool {
		if e.Lease == 0 && g.rank(key) != asOwner {
			e.Lease, e.Former = at+Instant(g.times.standIn), true
			g.main.Renew(key, e)
		}
		return true
	})
}
