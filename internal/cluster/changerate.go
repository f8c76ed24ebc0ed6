package cluster

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// changeRate bounds how many changes of values a second each peer may send, and all strangers
// together. A peer that sends more is slowed down first: its changes wait. A change is refused if it
// would have to wait for longer than mostChangeDelay, or at all if it is a stranger's. Then its
// sender's Remove returns an error. No change is dropped silently (P8).
type changeRate struct {
	perSecond int // 0: any number

	mu sync.Mutex
	// paid is until when the time of each peer is used up by its changes. At most a second of it is
	// left over from before: so many may come at once.
	paid   map[string]clock.Instant // guarded by mu; by name, those that are in no list under ""
	prunes int                      // guarded by mu; how many entries paid has when it is looked through
}

const (
	// changeBurst is for how long a peer's unused time is kept.
	changeBurst = time.Second
	// mostChangeDelay is how long a change waits at most.
	mostChangeDelay = time.Second
	// keysOfOneChange is how many keys count as one more change.
	keysOfOneChange = 64
	// fewestPaid is how many entries are not looked through.
	fewestPaid = 64
)

// reserve returns how long a change of a peer has to wait. It reports false if that is longer than most.
func (r *changeRate) reserve(name string, keys int, most time.Duration) (wait time.Duration, ok bool) {
	if r.perSecond <= 0 {
		return 0, true
	}
	n := min(1+keys/keysOfOneChange, r.perSecond) // what is alone may have any size
	now := clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	paid := max(r.paid[name], now.Plus(-changeBurst)).Plus(time.Duration(n) * time.Second / time.Duration(r.perSecond))
	if wait = time.Duration(paid - now); wait > most {
		return 0, false
	}
	if r.paid == nil {
		r.paid = make(map[string]clock.Instant)
	}
	r.paid[name] = paid
	if len(r.paid) > max(r.prunes, fewestPaid) {
		maps.DeleteFunc(r.paid, func(_ string, paid clock.Instant) bool { return paid <= now.Plus(-changeBurst) })
		r.prunes = 2 * len(r.paid)
	}
	return max(0, wait), true
}

// admitChange waits until a change of values may be made. It returns an error if it may not, for the
// sender, and warns. It returns how long it has waited.
func (c *Cluster) admitChange(ctx context.Context, from string, change *peer.Change) (waited time.Duration, err error) {
	if len(change.Keys) == 0 && !change.All {
		return 0, nil
	}
	name, shown, most := from, from, mostChangeDelay
	if !c.view.Load().lists(from) { // nothing waits for strangers: there may be thousands of them
		name, shown, most = "", c.self, 0
	}
	wait, ok := c.changeRate.reserve(name, len(change.Keys), most)
	if !ok {
		err = fmt.Errorf("more than %d changes a second of one peer, which is what this process takes (Limits.ChangesPerSecond)", c.changeRate.perSecond)
		c.problems.degraded(shown, "changes of a peer are refused, and its Removes fail", err)
		return 0, peer.Refuse(err.Error())
	}
	if wait > 0 {
		clock.Pause(ctx, wait)
		err = ctx.Err()
	}
	return wait, err
}
