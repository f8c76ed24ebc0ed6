package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// A coordinator tells the peers of a view which of them have it, in batches: the first announcement
// goes at once, alone, and each batch waits twice as long as the one before, up to a time that grows
// with the number of peers. So few peers are told in no time, and many of them get no more batches
// than that time allows.

const (
	// firstBatch is the time between the first two batches.
	firstBatch = 4 * time.Millisecond
	// batchForPeer times the peers of a view is the longest time between two batches.
	batchForPeer = 500 * time.Microsecond
	// relaysKept is of how many views a process goes on being the coordinator, when it has another
	// one: the others may need longer.
	relaysKept = 8
)

// batches says when the next batch may begin: the first at once, and each twice as long after the
// one before as that was, up to the longest time, as long as they follow each other.
type batches struct {
	interval time.Duration
	next     clock.Instant // when the next batch may begin
}

// wait returns how long the next batch has to wait.
func (b *batches) wait() time.Duration { return max(0, time.Duration(b.next-clock.Now())) }

// begin records that a batch begins. The time until the second is the shortest, and none is longer
// than the longest.
func (b *batches) begin(shortest, longest time.Duration) {
	now := clock.Now()
	if now > b.next.Plus(2*longest) {
		b.interval = shortest / 2
	}
	b.interval = min(2*b.interval, longest)
	b.next = now.Plus(b.interval)
}

// longestBatch is the longest time between two batches of a view of that many peers.
func (c *Cluster) longestBatch(peers int) time.Duration {
	return max(firstBatch, min(time.Duration(peers)*batchForPeer, c.detectionTime()/2))
}

// relay is what this process does as the coordinator of one view.
type relay struct {
	c       *Cluster
	view    uint64
	since   clock.Instant // when this process got the view
	members []*Member     // all but this process; never written to

	// mu guards the fields below. It is taken after all others, see Cluster.
	mu      sync.Mutex
	pending []*announcement
	running bool // run is in progress
	batches batches
	hung    map[*Member]bool // those that did not answer the last batch in time: others tell them directly
}

// announcement is that of one process, which waits until all peers were told.
type announcement struct {
	name      string // empty: that of this process
	statement peer.Statement
	done      chan struct{} // closed when the fields below are set
	roll      peer.Roll     // of those that were told
	told      []string      // their names, of the own announcement
	ok        bool
}

func newRelay(c *Cluster, v *view) *relay {
	r := &relay{c: c, view: v.id, since: v.since, members: make([]*Member, len(v.others)), hung: make(map[*Member]bool)}
	for i, p := range v.others {
		r.members[i] = p.(*Member)
	}
	return r
}

// answerRelay has all peers of the view told that a process has it, and answers it with the roll.
// Its state must have come with a proof: what is passed on is a fact for the others.
func (c *Cluster) answerRelay(ctx context.Context, from string, s *peer.State, answer *peer.Changed) {
	r := c.awaitRelay(ctx, s.View)
	if r == nil {
		return
	}
	a := &announcement{
		name: from, done: make(chan struct{}),
		statement: statementOf(from, s),
	}
	if c.planted == failpoint.RelayEarly {
		c.answerEarly(r, a, answer)
		return
	}
	if !r.add(a) {
		return
	}
	select {
	case <-a.done:
		answer.Relayed, answer.Roll = a.ok, a.roll
	case <-ctx.Done():
	}
}

// awaitRelay returns what this process does as the coordinator of a view. It waits for the view if
// it has not come here yet. nil means that it does not come in time.
func (c *Cluster) awaitRelay(ctx context.Context, view uint64) *relay {
	ctx, cancel := context.WithTimeout(ctx, c.holdTime(len(c.view.Load().names)))
	defer cancel()
	a := &c.agreement
	for {
		a.mu.Lock()
		i, next := slices.IndexFunc(a.relays, func(r *relay) bool { return r.view == view }), a.next
		var r *relay
		if i >= 0 {
			r = a.relays[i]
		}
		a.mu.Unlock()
		if r != nil {
			return r
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil
		case <-c.life.Done():
			return nil
		}
	}
}

// keepRelay keeps what this process does as the coordinator of a view that it has now. The caller
// holds a.mu.
func (a *viewAgreement) keepRelay(r *relay) {
	a.relays = slices.DeleteFunc(a.relays, func(old *relay) bool { return old.view == r.view })
	if a.relays = append(a.relays, r); len(a.relays) > relaysKept {
		a.relays = slices.Delete(a.relays, 0, 1)
	}
}

// relayOwn has this process, as the coordinator of v, tell the others of itself.
func (c *Cluster) relayOwn(ctx context.Context, v *view, told map[string]bool) bool {
	r := c.awaitRelay(ctx, v.id)
	if r == nil {
		return false
	}
	a := &announcement{done: make(chan struct{})}
	if !r.add(a) {
		return false
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return false
	}
	for _, name := range a.told {
		told[name] = true
	}
	return a.ok
}

// add adds an announcement to the next batch. It reports whether there will be one.
func (r *relay) add(a *announcement) bool {
	r.c.mu.Lock() // nothing begins in the background after Leave
	defer r.c.mu.Unlock()
	if r.c.closed.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, a)
	if !r.running {
		r.running = true
		r.c.background.Go(r.run)
	}
	return true
}

// run relays batches as long as there are announcements.
func (r *relay) run() {
	longest := r.c.longestBatch(len(r.members))
	for {
		r.mu.Lock()
		wait := r.batches.wait()
		r.mu.Unlock()
		if wait > 0 {
			clock.Pause(r.c.life, wait)
		}
		r.mu.Lock()
		batch := r.pending
		r.pending = nil
		if len(batch) == 0 {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.batches.begin(firstBatch, longest)
		r.mu.Unlock()
		r.c.background.Go(func() { r.relay(batch) })
	}
}

// relay tells all peers of a batch of announcements. Then it answers these.
func (r *relay) relay(batch []*announcement) {
	ctx, cancel := context.WithTimeout(r.c.life, r.c.detectionTime()/2) // those that take longer are told directly
	defer cancel()
	change := peer.Change{Roll: peer.Roll{View: r.view}}
	var stated []*announcement // those in the roll, in its order
	for _, a := range batch {
		if a.name == "" {
			change.Announced = true
			continue
		}
		change.Roll.Add(a.statement)
		stated = append(stated, a)
	}
	places := r.places()
	got := &batchAnswers{answers: make([]*peer.Changed, len(r.members)), most: len(places) - len(places)/4, enough: make(chan struct{})}
	began, all := clock.Now(), make(chan struct{})
	r.c.background.Go(func() {
		defer close(all)
		forEach(slices.Values(places), announceAtOnce, func(i int) {
			if ctx.Err() == nil {
				got.set(i, r.tell(ctx, r.members[i], change, len(stated)))
			}
		})
	})
	select {
	case <-all:
	case <-got.enough:
		late := time.NewTimer(time.Duration(clock.Now()-began) + leastLate)
		defer late.Stop()
		select {
		case <-all:
		case <-late.C:
		}
	}
	r.conclude(batch, stated, got.end())
	<-all
}

// leastLate is the least time that peers have to answer after most of the others have. They have as
// long again as these took. Who takes longer may be cut off from the coordinator, and those that can
// reach it must not wait for that: they tell it directly.
const leastLate = 5 * time.Millisecond

// batchAnswers are what the peers that are told of a batch answer.
type batchAnswers struct {
	most   int           // of how many answers there are enough
	enough chan struct{} // closed when there are

	mu      sync.Mutex
	answers []*peer.Changed // guarded by mu; by the places of the members; nil: it was not told
	count   int             // guarded by mu
	ended   bool            // guarded by mu; what comes later does not count
}

// set records an answer. nil means that the peer was not told.
func (b *batchAnswers) set(i int, changed *peer.Changed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.answers[i] = changed
	if b.count++; b.count == b.most {
		close(b.enough)
	}
}

// end returns the answers. There will be no others.
func (b *batchAnswers) end() []*peer.Changed {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	return b.answers
}

// places returns the places of the members that are to be told.
func (r *relay) places() (places []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, m := range r.members {
		if !r.hung[m] {
			places = append(places, i)
		}
	}
	return places
}

// tell tells one peer. nil means that it has not recorded it.
func (r *relay) tell(ctx context.Context, m *Member, change peer.Change, statements int) *peer.Changed {
	changed, err := m.send(ctx, change)
	if err != nil && ctx.Err() != nil && r.c.life.Err() == nil {
		r.mu.Lock()
		r.hung[m] = true
		r.mu.Unlock()
	}
	s := &changed.State
	if err != nil || changed.Unheard || s.Leaving || s.Process == 0 || statements > 0 && !changed.Relayed {
		return nil
	}
	return &changed
}

// conclude answers the announcements of a batch. Each gets a roll of the peers that were told of
// it. stated are those that were in the roll, by their places.
func (r *relay) conclude(batch, stated []*announcement, answers []*peer.Changed) {
	all, partly := peer.Roll{View: r.view}, false
	for i, changed := range answers {
		if changed != nil {
			all.Add(statementInAnswer(r.members[i], changed))
			partly = partly || len(changed.Untold) > 0
		}
	}
	ok := r.c.life.Err() == nil
	for place, a := range stated {
		a.roll, a.ok = all, ok
		if !partly {
			continue
		}
		a.roll = peer.Roll{View: r.view}
		for i, changed := range answers {
			if changed != nil && !hasBit(changed.Untold, place) {
				a.roll.Add(statementInAnswer(r.members[i], changed))
			}
		}
	}
	for _, a := range batch {
		if a.name == "" {
			a.ok = ok
			for i, changed := range answers {
				if changed != nil {
					a.told = append(a.told, r.members[i].name)
				}
			}
		}
		close(a.done)
	}
}

// statementOf returns what a process says of itself by an announcement.
func statementOf(name string, s *peer.State) peer.Statement {
	return peer.Statement{ID: peer.StatementID(name, s.Process), Number: s.Number, View: s.View, Began: s.Number}
}

// statementInAnswer returns what a peer says of itself in an answer.
func statementInAnswer(m *Member, changed *peer.Changed) peer.Statement {
	s := &changed.State
	return peer.Statement{ID: peer.StatementID(m.name, s.Process), Number: s.Number, View: s.View, Began: s.Began}
}

// answerEarly is the bug RelayEarly: it answers as if all had been told.
func (c *Cluster) answerEarly(r *relay, a *announcement, answer *peer.Changed) {
	answer.Relayed, answer.Roll.View = true, r.view
	c.agreement.mu.Lock()
	for _, m := range r.members {
		if last, known := c.agreement.observed[m.name]; known {
			answer.Roll.Add(peer.Statement{ID: peer.StatementID(m.name, last.process), Number: last.number, View: last.view, Began: last.number})
		}
	}
	c.agreement.mu.Unlock()
	r.add(a)
}
