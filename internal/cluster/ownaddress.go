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

// ownAddress is what is known of the address by which the peers know this process. It asks
// there itself: a self that was copied from another process would have both believe that
// they own the same keys, and neither would hear of the other's changes (P8).
type ownAddress struct {
	pool *Cluster
	conn peer.Conn // to this process, by the way that its peers have

	looked  chan struct{} // closed when the first look is over
	reached atomic.Bool   // a request came that was sent to this address
	// wrong says that another process answers there. What is cached under the name of that
	// one would not be dropped: so nothing is kept.
	wrong atomic.Bool

	mu      sync.Mutex
	looking bool          // guarded by mu
	last    clock.Instant // guarded by mu; when the last look began; 0: none has
	since   clock.Instant // guarded by mu; when the first look began without an answer; 0: there was one
	answers bool          // guarded by mu; the last look found this process there
	next    chan struct{} // guarded by mu; closed, and made anew, when found may have changed
	retry   *time.Timer   // guarded by mu; nil, or of the next look
	closed  bool          // guarded by mu; no looks any more
}

const (
	// ownLooks is how many requests make a look, one and then the others at the same time.
	// Where two processes share an address, not each of them leads to the same.
	ownLooks = 8
	// ownLooksAgain is how many do where another process was found: a lucky look must not
	// make all seem well.
	ownLooksAgain = 32
	// ownLookEvery is the time between two looks, at least, as long as something is wrong.
	ownLookEvery = time.Second
	// listenWithin is after what time without an answer it is a problem that there is none.
	listenWithin = 5 * time.Second
)

func newOwnAddress(c *Cluster) *ownAddress {
	return &ownAddress{pool: c, conn: newToldMember(c, c.self).conn, looked: make(chan struct{}), next: make(chan struct{})}
}

// lookAgain looks whether this process is found at its address, unless that was just done.
func (a *ownAddress) lookAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == 0 || clock.Now() >= a.last+clock.Instant(ownLookEvery) {
		a.begin()
	}
}

// begin begins a look, unless one is in progress. The caller holds a.mu.
func (a *ownAddress) begin() {
	if a.looking || a.closed || a.pool.stateless {
		return
	}
	a.looking, a.last = true, clock.Now()
	go a.look(a.pool.life)
}

// end makes no more looks.
func (a *ownAddress) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.retry != nil {
		a.retry.Stop()
	}
}

// look asks who answers at the address, and draws the conclusions.
func (a *ownAddress) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.pool.handshakeTimeout())
	defer cancel()
	looks := ownLooks
	if a.wrong.Load() {
		looks = ownLooksAgain
	}
	found := make([]error, looks)
	if found[0] = a.ask(ctx); a.others(found[0]) {
		var all sync.WaitGroup
		for i := range found[1:] {
			all.Go(func() { found[i+1] = a.ask(ctx) })
		}
		all.Wait()
	} else {
		found = found[:1]
	}
	if a.conclude(worst(found)) { // with no lock held: the user is told what leaves
		for _, g := range *a.pool.groups.Load() {
			g.DropAll()
		}
	}
}

// others reports whether a look makes more requests after its first. Where nothing answers,
// they would tell no more. Each may be a line in the log of the server there, which may be this
// process's own that has just begun, or one that has TLS where the address has none.
func (a *ownAddress) others(first error) bool {
	switch {
	case first == nil:
		return true
	case errors.Is(first, peer.ErrNotAPeer): // another process may answer as well
		return a.pool.problems.of(a.pool.self, NotAPeer) == nil
	}
	return false
}

// worst returns the first error of a look that says that another process is there, else the
// first of all.
func worst(found []error) (first error) {
	for _, err := range found {
		if errors.Is(err, peer.ErrWrongPeer) {
			return err
		}
		first = cmp.Or(first, err)
	}
	return first
}

// ask sends one request to the address. The error is an peer.ErrWrongPeer where another process
// answers, an peer.ErrNotAPeer where something else does.
func (a *ownAddress) ask(ctx context.Context) error {
	switch who, err := a.conn.Ping(ctx); {
	case err != nil:
		return err
	case who.Process != a.pool.consent.process && who.Name == a.pool.self:
		return fmt.Errorf("%w: another process answers there, and has the same self as this one: give this one its own address, by which its peers reach it", peer.ErrWrongPeer)
	case who.Process != a.pool.consent.process:
		return fmt.Errorf("%w: another process answers at the address that this one has as its self, and calls itself %s: want the address of this process, by which its peers reach it", peer.ErrWrongPeer, quote.Key(who.Name))
	}
	return nil
}

// conclude records what a look has found, and reports whether what is cached has to be
// dropped, because another process was found for the first time.
func (a *ownAddress) conclude(err error) (drop bool) {
	p := a.pool
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looking = false
	defer a.changed()
	select {
	case <-a.looked:
	default:
		defer close(a.looked)
	}
	if a.closed {
		return false
	}
	shared := len(p.view.Load().others) > 0
	a.answers = err == nil
	switch {
	case err == nil:
		a.since = 0
		p.problems.solved(p.self, WrongProcess, NotAPeer, NotListening)
		a.wrong.Store(false)
		return false
	case errors.Is(err, peer.ErrWrongPeer):
		p.problems.solved(p.self, NotAPeer, NotListening)
		p.problems.found(p.self, WrongProcess, err)
		drop = !a.wrong.Swap(true)
	case a.reached.Load(), !shared: // the way to itself need not be the peers'
		p.problems.solved(p.self, NotAPeer, NotListening)
		if !shared {
			return false
		}
	case errors.Is(err, peer.ErrNotAPeer) && !errors.Is(err, peer.ErrGateway):
		p.problems.found(p.self, NotAPeer, err)
	case a.since == 0:
		a.since = clock.Now()
	case clock.Now() < a.since.Plus(listenWithin):
	case errors.Is(err, peer.ErrRefused):
		p.problems.found(p.self, NotListening, fmt.Errorf("nothing answers at the address of this process itself: want its server listening there: %w", err))
	default: // its name may not be known before it is ready, or it has no way to itself
		p.problems.degraded(p.self, "this process does not reach its own address, and no peer has reached it: want its server listening there, where peers find it", err)
	}
	wait := ownLookEvery
	if !a.wrong.Load() && a.since != 0 && clock.Now() < a.since+clock.Instant(ownLookEvery) {
		wait = ownLookEvery / 10 // it is just about to listen
	}
	if a.retry != nil {
		a.retry.Stop()
	}
	a.retry = time.AfterFunc(wait, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.begin()
	})
	return drop
}

// found reports whether this process answers at its address, as far as is known. The channel
// is closed when that may have changed.
func (a *ownAddress) found() (next <-chan struct{}, found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next, a.last == 0 || a.answers || a.reached.Load()
}

// reach records that a request came that was sent to this address.
func (a *ownAddress) reach() {
	if a.reached.Load() || a.reached.Swap(true) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed()
}

// changed has those look again who wait for found. The caller holds a.mu.
func (a *ownAddress) changed() {
	close(a.next)
	a.next = make(chan struct{})
}

// wait returns when the first look is over, if one has begun, or ctx has ended.
func (a *ownAddress) wait(ctx context.Context) {
	a.mu.Lock()
	begun := a.last != 0
	a.mu.Unlock()
	if !begun {
		return
	}
	select {
	case <-a.looked:
	case <-ctx.Done():
	}
}
