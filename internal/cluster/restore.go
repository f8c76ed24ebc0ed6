package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// While a process was down, its peers have changed keys that are in its snapshot (P8). So a
// snapshot is validated: when the peers have this process's view, it asks them which keys were
// changed since its departure. Of later changes it is told. A value of the snapshot is used if
// no answer has the bit of its key (changelog.go), and one of these holds:
//
//   - The next peer on the ring, which owned the key meanwhile, has recorded all changes since it
//     heard of the departure.
//   - All peers of then are back, and each of them knows, from its own snapshot, what was changed
//     before it was down as well. So it is if all processes are restarted: one that was down itself
//     cannot know what was changed meanwhile, but then another one was there, which is asked too. A
//     process that was alone then may use its snapshot if it still is.
//
// In the second case nobody else may have made changes meanwhile. Whoever did has heard who was
// absent, and only a listed peer is told that (stateFor). So the process and its peers of then are
// a closed circle if they all had the same list when they left: whoever comes later is told by one
// of them, which has it on its list.

const (
	// askAgainAfter is the time until the peers are asked again if not all of then were there.
	askAgainAfter = time.Second
	// logsAtOnce is how many change logs are sent at the same time. They take a processor, and
	// are in memory until they are sent.
	logsAtOnce = 4
)

// Validation is what the peers of a view know of the changes since a departure: it says which
// values of a snapshot may be used.
type Validation struct {
	// Departure is the number of the departure.
	Departure uint64
	// Since is when the ring of the view came into place whose peers were asked.
	Since clock.Instant

	circle uint64 // stands for this process and its peers of then

	mu       sync.Mutex      // guards the fields below, while the peers are asked
	changed  []byte          // the bits of the keys that were changed, as in a changeLog
	unbroken map[string]bool // peers that have recorded all changes since
	known    map[string]bool // peers that have answered, and whether they know of the departure
	answered int             // how many sent a log
	complete bool            // all that were there then know of it, and all that are here now have answered
}

// errNotYet says that a peer may still come that knows what was changed.
var errNotYet = errors.New("not all peers of then are back")

// Restore waits for a view that the peers have, and validates a snapshot. It calls use with the
// result, again as long as more of the snapshot may be of use then, and for no longer than the
// handover may take. record is the departure record in the snapshot. The error says why nothing
// was used, or not all. It is peer.ErrClosed if the process ends.
func (c *Cluster) Restore(departure uint64, record *pb.Farewell, use func(*Validation) error) error {
	select {
	case <-c.viewed:
	case <-c.life.Done():
		return peer.ErrClosed
	}
	ctx, cancel := context.WithTimeout(c.life, c.handover.time)
	defer cancel()
	err := errNotYet
	for errors.Is(err, errNotYet) && ctx.Err() == nil {
		c.Agree(ctx)
		next, v := c.Agreement().Next, c.view.Load()
		var t *Validation
		if t, err = c.validate(ctx, v, departure, record); err == nil {
			if err = use(t); err == nil && c.view.Load().since != v.since {
				err = errNotYet // the view has changed meanwhile
			}
			continue
		}
		clock.Outlast(ctx, next, time.Now().Add(askAgainAfter))
	}
	if errors.Is(err, errNotYet) {
		err = fmt.Errorf("%w: %s", err, quote.Some(quote.All(record.GetPeers())))
	}
	return err
}

// validate asks the peers of the view what was changed since the departure. The error says why
// nothing of the snapshot may be used. It is errNotYet if that may change.
func (c *Cluster) validate(ctx context.Context, v *view, departure uint64, record *pb.Farewell) (*Validation, error) {
	t := &Validation{
		Departure: departure, Since: v.moved, circle: circle(c.self, record),
		changed: make([]byte, logBytes), unbroken: make(map[string]bool), known: make(map[string]bool),
	}
	ctx, cancel := context.WithTimeout(ctx, c.handshakeTimeout())
	defer cancel()
	forEach(maps.Values(v.named), announceAtOnce, func(m *Member) {
		t.ask(ctx, m, departures(m.name, departure, record))
	})
	missing, ignorant := false, false
	for _, name := range record.GetPeers() {
		if _, there := t.known[name]; !there {
			missing = true
		} else if !t.known[name] {
			ignorant = true
		}
	}
	// If no peer was there then, none has heard of the departure, and peers that have come
	// since were told of no change before. So only a process that is still alone knows all
	// changes.
	ignorant = ignorant || len(record.GetPeers()) == 0 && len(v.others) > 0
	t.complete = !missing && !ignorant && t.answered == len(v.others)
	switch {
	case t.complete, len(t.unbroken) > 0:
		return t, nil
	case ignorant:
		return nil, errors.New("no peer knows what was changed since it was written")
	}
	return nil, errNotYet
}

// departures returns the departures since which a peer may know what was changed: that of this
// process, if the peer is a witness of it, and the peer's own, if that came first.
func departures(name string, departure uint64, record *pb.Farewell) (known []uint64) {
	if slices.Contains(record.GetWitnesses(), name) {
		known = append(known, departure)
	}
	for _, log := range slices.Backward(record.GetLogs()) {
		if log.GetPeer() == name {
			return append(known, log.GetDeparture())
		}
	}
	return known
}

// circle returns a number, not 0, for a process and those who may make changes after it has left, as
// its departure record says: the same number for the same processes.
func circle(self string, record *pb.Farewell) uint64 {
	return viewID(append(record.GetPeers()[:len(record.GetPeers()):len(record.GetPeers())], self), nil)
}

// ask asks one peer what was changed since one of the departures, and adds its answer.
func (t *Validation) ask(ctx context.Context, m *Member, since []uint64) {
	if len(since) == 0 {
		since = []uint64{0} // all that the peer knows since it started
	}
	answer, err := m.send(ctx, peer.Change{Since: since})
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[m.name] = false
	if len(answer.Log) != logBytes {
		return
	}
	t.answered++
	for i, b := range answer.Log {
		t.changed[i] |= b
	}
	t.known[m.name] = answer.SinceDeparture && (answer.Unbroken || answer.Circle == t.circle)
	if answer.Unbroken {
		t.unbroken[m.name] = true
	}
}

// Changed reports whether a key may have been changed since, as some peer says.
func (t *Validation) Changed(group, key string) bool { return bitOf(t.changed, group, key) }

// Covers reports whether all changes of a key are known. next is the next peer on the ring,
// which owned the key meanwhile, or nil.
func (t *Validation) Covers(next peer.Peer) bool {
	return t.complete || next != nil && t.unbroken[next.Name()]
}

// answerLog adds to an answer what is known of the changes since one of the departures:
// nothing, while this process has lapsed.
func (c *Cluster) answerLog(departures []uint64, answer *peer.Changed) {
	if c.Lapsed() {
		return
	}
	c.logSlots <- struct{}{}
	defer func() { <-c.logSlots }()
	inView := map[string]bool{c.self: true}
	v := c.view.Load()
	for _, name := range ownersOf(v.names, v.nonOwners) {
		inView[name] = true
	}
	departures = departures[:min(len(departures), mostLogs)]
	c.logs.since(departures, inView, answer)
}
