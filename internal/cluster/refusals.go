package cluster

import (
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A peer that does not let this process do something (peer.ErrUnauthorized) is a problem if that
// goes on. In a deploy it does for a moment: the lists of peers do not change at the same time.

// refusal is what a peer has refused this process since it has last agreed with it.
type refusal struct {
	since, last clock.Instant
	err         error // the last one
}

// refusalLasts is how long a refusal is a problem if no other follows.
const refusalLasts = 10 * time.Second

// ObserveRefusal records that the peer has refused something, by an error that is an ErrUnauthorized.
func (m *Member) ObserveRefusal(err error) { m.cluster.watch.observeRefusal(m.name, err) }

// observeRefusal records that a peer has refused something.
func (w *configWatch) observeRefusal(name string, err error) {
	now := clock.Now()
	w.mu.Lock()
	r, known := w.refused[name]
	if !known {
		r.since = now
	}
	r.last, r.err = now, err
	w.refused[name] = r
	w.mu.Unlock()
	w.begin()
}

// forgetRefusals forgets what a peer has refused before it came to have the view of this process.
func (w *configWatch) forgetRefusals(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.refused[name]; ok {
		delete(w.refused, name)
		w.cluster.problems.solved(name, peer.Unauthorized)
	}
}

// checkRefusals records which refusals are a problem by now, and forgets those that are over. The
// caller holds w.mu.
func (w *configWatch) checkRefusals() {
	c, now := w.cluster, clock.Now()
	for name, r := range w.refused {
		switch {
		case now > r.last.Plus(refusalLasts), !c.Knows(name):
			delete(w.refused, name)
			c.problems.solved(name, peer.Unauthorized)
		case now >= r.since.Plus(min(differAfter, c.handover.time/2)):
			c.problems.found(name, peer.Unauthorized, r.err)
		}
	}
}
