package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// If a self was copied from another process, both would believe that they own the same keys,
// and neither would hear of the other's changes (P8). So each process looks at its own address:
// it sends requests there, and checks that it answers them itself.

// ownAddress is what is known of the address by which the peers know this process.
type ownAddress struct {
	cluster *Cluster
	conn    peer.Conn // to this process, as its peers reach it

	looked  chan struct{} // closed when the first look is over
	reached atomic.Bool   // a peer has sent a request to this address, and it came here
	// wrong says that another process answers there. This process would not be told to drop
	// what it caches: so it caches nothing.
	wrong atomic.Bool

	mu      sync.Mutex // guards the fields below
	looking bool
	last    clock.Instant // when the last look began; 0: none has
	since   clock.Instant // when the first look began without an answer; 0: there was one
	answers bool          // the last look has found this process there
	next    chan struct{} // closed, and replaced, when found may have changed
	retry   *time.Timer   // begins the next look; nil: there was no need for one
	closed  bool          // there are no more looks
}

const (
	// ownLooks is how many requests make a look: one, and then the others at the same time. If
	// two processes share an address, each request may reach another one.
	ownLooks = 8
	// ownLooksAgain is how many requests make a look after another process was found: a look
	// must not miss it by chance.
	ownLooksAgain = 32
	// ownLookEvery is the least time between two looks, and the time between them as long as
	// something is wrong.
	ownLookEvery = time.Second
	// listenWithin is the time after which it is a problem that nothing answers.
	listenWithin = 5 * time.Second
)

func newOwnAddress(c *Cluster) *ownAddress {
	return &ownAddress{cluster: c, conn: newDetachedMember(c, c.self).conn, looked: make(chan struct{}), next: make(chan struct{})}
}

// lookAgain begins a look, unless the last one began within ownLookEvery.
func (o *ownAddress) lookAgain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == 0 || clock.Now() >= o.last+clock.Instant(ownLookEvery) {
		o.begin()
	}
}

// begin begins a look, unless one is in progress. The caller holds o.mu.
func (o *ownAddress) begin() {
	if o.looking || o.closed || o.cluster.stateless {
		return
	}
	o.looking, o.last = true, clock.Now()
	go o.look(o.cluster.life)
}

// stop ends the looks.
func (o *ownAddress) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.retry != nil {
		o.retry.Stop()
	}
}

// look asks who answers at the address, and records it.
func (o *ownAddress) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, o.cluster.handshakeTimeout())
	defer cancel()
	looks := ownLooks
	if o.wrong.Load() {
		looks = ownLooksAgain
	}
	found := make([]error, looks)
	if found[0] = o.ask(ctx); o.asksMore(found[0]) {
		var all sync.WaitGroup
		for i := range found[1:] {
			all.Go(func() { found[i+1] = o.ask(ctx) })
		}
		all.Wait()
	} else {
		found = found[:1]
	}
	if o.conclude(worst(found)) { // with no lock held: a group may tell its user what it drops
		for _, g := range *o.cluster.groups.Load() {
			g.DropAll()
		}
	}
}

// asksMore reports whether a look makes more requests after its first. If nothing answers, they
// would tell no more. And each may be a line in the log of the server there: of this process's
// own that has just started, or of one that has TLS where the address has none.
func (o *ownAddress) asksMore(first error) bool {
	switch {
	case first == nil:
		return true
	case errors.Is(first, peer.ErrNotAPeer): // another process may answer too
		return o.cluster.problems.of(o.cluster.self, peer.NotAPeer) == nil
	}
	return false
}

// worst returns the first error of a look that is a peer.ErrWrongPeer, else the first error.
func worst(found []error) (first error) {
	for _, err := range found {
		if errors.Is(err, peer.ErrWrongPeer) {
			return err
		}
		first = cmp.Or(first, err)
	}
	return first
}

// ask sends one request to the address. The error is a peer.ErrWrongPeer if another process
// answers, and a peer.ErrNotAPeer if something else does.
func (o *ownAddress) ask(ctx context.Context) error {
	switch who, err := o.conn.Ping(ctx); {
	case err != nil:
		return err
	case who.Process != o.cluster.agreement.process && who.Name == o.cluster.self:
		return fmt.Errorf("%w: another process answers there, and has the same self as this one: give this one its own address, by which its peers reach it", peer.ErrWrongPeer)
	case who.Process != o.cluster.agreement.process:
		return fmt.Errorf("%w: another process answers at the address that this one has as its self, and calls itself %s: want the address of this process, by which its peers reach it", peer.ErrWrongPeer, quote.Key(who.Name))
	}
	return nil
}

// conclude records what a look has found. It reports whether the groups have to drop all that
// they cache, because another process was found for the first time.
func (o *ownAddress) conclude(err error) (drop bool) {
	c := o.cluster
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looking = false
	defer o.changed()
	select {
	case <-o.looked:
	default:
		defer close(o.looked)
	}
	if o.closed {
		return false
	}
	shared := len(c.view.Load().others) > 0
	o.answers = err == nil
	switch {
	case err == nil:
		o.since = 0
		c.problems.solved(c.self, peer.WrongProcess, peer.NotAPeer, peer.NotListening, peer.Unauthenticated)
		o.wrong.Store(false)
		return false
	case errors.Is(err, peer.ErrWrongPeer):
		c.problems.solved(c.self, peer.NotAPeer, peer.NotListening)
		c.problems.found(c.self, peer.WrongProcess, err)
		drop = !o.wrong.Swap(true)
	case o.reached.Load(), !shared: // the way to itself need not be that of the peers
		c.problems.solved(c.self, peer.NotAPeer, peer.NotListening)
		if !shared {
			return false
		}
	case errors.Is(err, peer.ErrUnauthenticated):
		c.problems.found(c.self, peer.Unauthenticated, err)
	case errors.Is(err, peer.ErrNotAPeer) && !errors.Is(err, peer.ErrGateway):
		c.problems.found(c.self, peer.NotAPeer, err)
	case o.since == 0:
		o.since = clock.Now()
	case clock.Now() < o.since.Plus(listenWithin):
	case errors.Is(err, peer.ErrRefused):
		c.problems.found(c.self, peer.NotListening, fmt.Errorf("nothing answers at the address of this process itself: want its server listening there: %w", err))
	default: // its name may not be resolved before it is ready, or it has no way to itself
		c.problems.degraded(c.self, "this process does not reach its own address, and no peer has reached it: want its server listening there, where peers find it", err)
	}
	wait := ownLookEvery
	if !o.wrong.Load() && o.since != 0 && clock.Now() < o.since+clock.Instant(ownLookEvery) {
		wait = ownLookEvery / 10 // it may be about to listen
	}
	if o.retry != nil {
		o.retry.Stop()
	}
	o.retry = time.AfterFunc(wait, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.begin()
	})
	return drop
}

// found reports whether this process answers at its address, or was never looked for. The
// channel is closed when that may have changed.
func (o *ownAddress) found() (next <-chan struct{}, found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next, o.last == 0 || o.answers || o.reached.Load()
}

// markReached records that a request of a peer came that was sent to this address.
func (o *ownAddress) markReached() {
	if o.reached.Load() || o.reached.Swap(true) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed()
}

// changed closes next, because found may have changed. The caller holds o.mu.
func (o *ownAddress) changed() {
	close(o.next)
	o.next = make(chan struct{})
}

// wait returns when the first look is over, or ctx has ended. It does not wait if none has
// begun.
func (o *ownAddress) wait(ctx context.Context) {
	o.mu.Lock()
	begun := o.last != 0
	o.mu.Unlock()
	if !begun {
		return
	}
	select {
	case <-o.looked:
	case <-ctx.Done():
	}
}
