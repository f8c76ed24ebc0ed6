package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// While a process was down, its peers have changed keys that are in its snapshot (P8). So
// it asks them which, when they have its view: what is changed from then on, it is told.
// A value of the file is used if the key's bit is in no answer, and one of these holds:
//
//   - The next peer on the ring, which owned the key meanwhile, has taken note of all
//     changes since it heard of the departure.
//   - All peers of then are back, and each of them knows, from its own snapshot, what was
//     changed before it was down as well. So it is if all processes are restarted: who was
//     down itself cannot know what was changed meanwhile, but then somebody else was there,
//     who is asked too. A process that was alone then vouches for its file if it still is.

// Validation is what the peers of a view say of a departure: which values of a snapshot may be
// used.
type Validation struct {
	// Departure is the number of the departure.
	Departure uint64
	// Since is when the view began whose peers were asked.
	Since clock.Instant

	mu       sync.Mutex // guards what follows, while the peers are asked
	changed  []byte     // the keys, as in a changeLog
	unbroken map[string]bool
	known    map[string]bool
	answered int
	complete bool // that were there then know of it, and all that are here now have answered
}

// errNotYet says that somebody may still come who knows what was changed.
var errNotYet = errors.New("not all peers of then are back")

// validate asks the peers of the view what was changed since the departure. The error says why
// nothing of the file may be used; it is errNotYet if that may change.
func (c *Cluster) validate(ctx context.Context, v *view, departure uint64, f *pb.Farewell) (*Validation, error) {
	t := &Validation{Departure: departure, Since: v.since, changed: make([]byte, logBytes), unbroken: make(map[string]bool), known: make(map[string]bool)}
	ctx, cancel := context.WithTimeout(ctx, c.handshakeTimeout())
	defer cancel()
	var asks errgroup.Group
	asks.SetLimit(announceAtOnce)
	for _, other := range v.others {
		asks.Go(func() error {
			t.ask(ctx, other.(*Member), departures(other.Name(), departure, f))
			return nil
		})
	}
	asks.Wait()
	missing, ignorant := false, false
	for _, name := range f.GetPeers() {
		if _, there := t.known[name]; !there {
			missing = true
		} else if !t.known[name] {
			ignorant = true
		}
	}
	// Where nobody was there then, nobody has heard of the departure. Who has come since was
	// told of no change before, so only a process that is still alone can vouch for itself.
	ignorant = ignorant || len(f.GetPeers()) == 0 && len(v.others) > 0
	t.complete = !missing && !ignorant && t.answered == len(v.others)
	switch {
	case t.complete, len(t.unbroken) > 0:
		return t, nil
	case ignorant:
		return nil, errors.New("no peer knows what was changed since it was written")
	}
	return nil, errNotYet
}

// departures returns by which numbers a peer may know what was changed: by this process's
// departure, if it is a witness of that; by its own, if that came first.
func departures(name string, departure uint64, f *pb.Farewell) (known []uint64) {
	if slices.Contains(f.GetWitnesses(), name) {
		known = append(known, departure)
	}
	for _, log := range slices.Backward(f.GetLogs()) {
		if log.GetPeer() == name {
			return append(known, log.GetDeparture())
		}
	}
	return known
}

// hear asks one peer.
func (t *Validation) ask(ctx context.Context, m *Member, since []uint64) {
	if len(since) == 0 {
		since = []uint64{0} // what it knows since it started
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
	t.known[m.name] = answer.SinceDeparture
	if answer.Unbroken {
		t.unbroken[m.name] = true
	}
}

// Changed reports whether a key may have been changed since, as some peer says.
func (t *Validation) Changed(group, key string) bool { return bitOf(t.changed, group, key) }

// Covers reports whether it is known of all changes of a key that next owned meanwhile, the next
// peer on the ring, or nil.
func (t *Validation) Covers(next peer.Peer) bool {
	return t.complete || next != nil && t.unbroken[next.Name()]
}

// sincesAtOnce is how many are told at the same time what was changed since. It takes a
// processor, and what has to be told is in memory until it is sent.
const logsAtOnce = 4

// answerSince says what is known of the changes since a departure: nothing, while others may
// have a view without this process.
func (c *Cluster) answerLog(departures []uint64, answer *peer.Changed) {
	if c.Lapsed() {
		return
	}
	c.logSlots <- struct{}{}
	defer func() { <-c.logSlots }()
	inView := map[string]bool{c.self: true}
	for _, other := range c.Peers() {
		inView[other.Name()] = true
	}
	departures = departures[:min(len(departures), mostLogs)]
	answer.Log, answer.SinceDeparture, answer.Unbroken = c.logs.since(departures, inView)
}

// Restore waits for a view that the peers have, asks them what was changed since the departure,
// and calls use, with what they say, for as long as more of the snapshot may be of use then. It
// takes no longer than the handover may. f is what the process that wrote the snapshot knew of its
// end. The error says why nothing was used, or not all; it is ErrClosed if the process ends.
func (c *Cluster) Restore(departure uint64, f *pb.Farewell, use func(*Validation) error) error {
	select {
	case <-c.viewedC():
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
		if t, err = c.validate(ctx, v, departure, f); err == nil {
			if err = use(t); err == nil && c.view.Load().since != v.since {
				err = errNotYet // the view has changed meanwhile
			}
			continue
		}
		clock.Outlast(ctx, next, time.Now().Add(askAgainAfter))
	}
	if errors.Is(err, errNotYet) {
		err = fmt.Errorf("%w: %s", err, quote.Some(quote.All(f.GetPeers())))
	}
	return err
}

// askAgainAfter is when the peers are asked again, if not all were there.
const askAgainAfter = time.Second
