package lease

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// A peer may have a lease on all keys: it keeps values of which nobody here knows, such as those of
// caches in front of it, and renews the lease without asking whether they are still the same. So a
// renewal must not hide that the peer has missed a change. A lease has an id, and is renewed under the
// same id only if the peer was told of every change since it began. Else the peer gets another id, and
// knows that what it has may be old.
//
// A change that the peer is being told of is not missed yet. It may be in the end, when the lease that
// there was when the telling began is over. So until then a renewal lasts no longer than that lease.

// leasesOfAll are the leases on all keys, and the tellings in progress.
type leasesOfAll struct {
	given atomic.Int32 // how many there are in of

	mu       sync.Mutex
	of       map[string]*leaseOfAll // guarded by mu; by the name of the peer
	tellings map[string][]*Telling  // guarded by mu; likewise
}

// leaseOfAll is a lease of one peer. The mu of leasesOfAll guards it.
type leaseOfAll struct {
	id    uint64 // 0: the peer may have missed a change
	epoch uint64 // in which it was given
	until clock.Instant
}

// Telling is a change that a holder is being told of.
type Telling struct {
	// Until is when the last lease of the holder ends: then it need not be told any more.
	Until clock.Instant
	peer  string
	of    *leasesOfAll
}

// LeaseAll gives a peer a lease on all keys, or renews that of the given id. It does not renew one
// that was given in another epoch: the peer may have been out of the view between the two. It returns
// for how long the lease lasts, which may be less than d, and its id. If it is not given, that is zero.
func (h *Table) LeaseAll(peer string, d time.Duration, id, epoch uint64) (granted time.Duration, given uint64) {
	if d <= 0 || d > h.lease { // the process after this one takes it that none lasts longer: see allUntil
		return 0, 0
	}
	a, now := &h.all, clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.of[peer]
	if l == nil {
		if a.of == nil {
			a.of = make(map[string]*leaseOfAll)
		}
		l = new(leaseOfAll)
		a.of[peer] = l
		a.given.Store(int32(len(a.of)))
	}
	if id == 0 || l.id != id || l.epoch != epoch || l.until <= now {
		l.id, l.epoch = max(1, rand.Uint64()), epoch
	}
	l.until = max(l.until, now.Plus(d))
	for _, t := range a.tellings[peer] {
		d = min(d, time.Duration(t.Until-now))
	}
	if d <= 0 {
		return 0, 0
	}
	return d, l.id
}

// Tell begins to tell a holder of a change. It has leases up to an instant, and perhaps one on all
// keys. The caller calls End.
func (h *Table) Tell(peer string, until clock.Instant) *Telling {
	a := &h.all
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.of[peer]; l != nil {
		until = max(until, l.until)
	}
	t := &Telling{until, peer, a}
	if a.tellings == nil {
		a.tellings = make(map[string][]*Telling)
	}
	a.tellings[peer] = append(a.tellings[peer], t)
	return t
}

// End ends a telling. told says that the holder has dropped what it had, or that Until has come.
func (t *Telling) End(told bool) {
	a := t.of
	a.mu.Lock()
	defer a.mu.Unlock()
	if left := without(a.tellings[t.peer], t); len(left) > 0 {
		a.tellings[t.peer] = left
	} else {
		delete(a.tellings, t.peer)
	}
	if !told || clock.Now() >= t.Until {
		a.miss(t.peer)
	}
}

// without returns the tellings but for one.
func without(all []*Telling, t *Telling) (left []*Telling) {
	for _, other := range all {
		if other != t {
			left = append(left, other)
		}
	}
	return left
}

// Missed records that a peer may have missed a change: its lease on all keys is not renewed.
func (h *Table) Missed(peer string) {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	h.all.miss(peer)
}

// miss does what Missed does. The caller holds a.mu.
func (a *leasesOfAll) miss(peer string) {
	if l := a.of[peer]; l != nil {
		l.id = 0
	}
}

// add adds the peers that have leases on all keys to the holders of a key.
func (a *leasesOfAll) add(found map[string]clock.Instant, now clock.Instant) {
	if a.given.Load() == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for peer, l := range a.of {
		if l.until > now {
			found[peer] = max(found[peer], l.until)
		}
	}
}

// forget forgets the leases that are over, of peers that are not known any more.
func (a *leasesOfAll) forget(known func(string) bool) {
	now := clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for peer, l := range a.of {
		if l.until <= now && !known(peer) {
			delete(a.of, peer)
		}
	}
	a.given.Store(int32(len(a.of)))
}
