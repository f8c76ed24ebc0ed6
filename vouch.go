package peercache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
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

// testimony is what the peers of a view say of a departure. It is a voucher.
type testimony struct {
	group     *Group
	departure uint64
	view      *view

	mu       sync.Mutex // guards what follows, while the peers are asked
	changed  []byte     // the keys, as in a changeLog
	unbroken map[string]bool
	known    map[string]bool
	answered int
	all      bool // that were there then know of it, and all that are here now have answered
}

// errNotYet says that somebody may still come who knows what was changed.
var errNotYet = errors.New("not all peers of then are back")

// ask asks the peers of the view what was changed since the departure. The error says why
// nothing of the file may be used; it is errNotYet if that may change.
func (g *Group) ask(ctx context.Context, p *HTTPPool, v *view, departure uint64, f *pb.Farewell) (*testimony, error) {
	t := &testimony{group: g, departure: departure, view: v, changed: make([]byte, logBytes), unbroken: make(map[string]bool), known: make(map[string]bool)}
	ctx, cancel := context.WithTimeout(ctx, p.handshakeTimeout())
	defer cancel()
	var asks errgroup.Group
	asks.SetLimit(announceAtOnce)
	for _, peer := range v.others {
		asks.Go(func() error {
			t.hear(ctx, peer.(*httpPeer), departures(peer.Name(), departure, f))
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
	t.all = !missing && !ignorant && t.answered == len(v.others)
	switch {
	case t.all, len(t.unbroken) > 0:
		return t, nil
	case ignorant:
		return nil, errors.New("no peer knows what was changed since it was written")
	}
	return nil, errNotYet
}

// departures returns by which numbers a peer may know what was changed: by this process's
// departure, if it is a witness of that; by its own, if that came first.
func departures(peer string, departure uint64, f *pb.Farewell) (known []uint64) {
	if slices.Contains(f.GetWitnesses(), peer) {
		known = append(known, departure)
	}
	for _, log := range slices.Backward(f.GetLogs()) {
		if log.GetPeer() == peer {
			return append(known, log.GetDeparture())
		}
	}
	return known
}

// hear asks one peer.
func (t *testimony) hear(ctx context.Context, h *httpPeer, since []uint64) {
	if len(since) == 0 {
		since = []uint64{0} // what it knows since it started
	}
	resp, err := h.change(ctx, &pb.ChangeRequest{Since: since})
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[h.url] = false
	if len(resp.GetChanged()) != logBytes {
		return
	}
	t.answered++
	for i, b := range resp.GetChanged() {
		t.changed[i] |= b
	}
	t.known[h.url] = resp.GetSinceDeparture()
	if resp.GetUnbroken() {
		t.unbroken[h.url] = true
	}
}

// sincesAtOnce is how many are told at the same time what was changed since. It takes a
// processor, and what has to be told is in memory until it is sent.
const sincesAtOnce = 4

// answerSince says what is known of the changes since a departure: nothing, while others may
// have a view without this process.
func (p *HTTPPool) answerSince(departures []uint64, resp *pb.ChangeResponse) {
	if p.lapsed() {
		return
	}
	p.sinces <- struct{}{}
	defer func() { <-p.sinces }()
	inView := map[string]bool{p.self: true}
	for _, peer := range p.Peers() {
		inView[peer.Name()] = true
	}
	departures = departures[:min(len(departures), mostLogs)]
	resp.Changed, resp.SinceDeparture, resp.Unbroken = p.logs.since(departures, inView)
}

// knows implements voucher.
func (t *testimony) knows(departure uint64) bool { return departure == t.departure }

// vouch implements voucher.
func (t *testimony) vouch(key string) (changed func() bool, ok bool) {
	g := t.group
	since, ok := g.handoversSince(key)
	if !ok || since != t.view.since || g.lapsed() || bitOf(t.changed, g.name, key) && g.planted != failpoint.LogsIgnored {
		return nil, false
	}
	if next := g.pick(key, 1); !t.all && (next == nil || !t.unbroken[next.Name()]) {
		return nil, false
	}
	return g.marked(key, since), true
}

// restore restores a group's snapshot when there is a view, and the peers have it. It takes
// no longer than WithHandover allows.
func (p *HTTPPool) restore(g *Group) {
	s := g.snapshot
	defer close(s.restored)
	defer s.drop()
	select {
	case <-p.viewed():
	case <-p.life.Done():
		return
	}
	ctx, cancel := context.WithTimeout(p.life, p.handover.time)
	defer cancel()
	n, err := 0, errNotYet
	for errors.Is(err, errNotYet) && ctx.Err() == nil {
		p.agree(ctx)
		next, v := p.agreement().next, p.view.Load()
		var t *testimony
		if t, err = g.ask(ctx, p, v, s.departure, s.farewell); err == nil {
			var more int
			more, err = g.restore(t)
			n += more
			if err == nil && p.view.Load().since != v.since {
				err = errNotYet // the view has changed meanwhile
			}
			continue
		}
		clock.Outlast(ctx, next, time.Now().Add(askAgainAfter))
	}
	if errors.Is(err, errNotYet) {
		err = fmt.Errorf("%w: %s", err, quote.Some(quote.All(s.farewell.GetPeers())))
	}
	g.sayRestored(n, err)
}

// askAgainAfter is when the peers are asked again, if not all were there.
const askAgainAfter = time.Second
