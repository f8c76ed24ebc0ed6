package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// Shutdown ends the pool's part in the cluster so that nobody notices:
//
//  1. It tells the peers, which take this process out of their views, also where they
//     were given those by Set, until it announces itself again.
//  2. It hands over what is cached here to the new owners, as far as WithHandover
//     allows, and in not more than half of the time that ctx leaves. Up to here it
//     goes on answering its peers.
//  3. If Join has made it known, it withdraws that.
//  4. It refuses new Gets of peers, though it still obeys their Removes, and waits for
//     those in progress and for all loads and fetches, also the abandoned ones, until
//     ctx ends; its error is then ctx.Err.
//  5. It saves the groups that have a WithSnapshot, which takes as long as the disk needs,
//     whatever ctx says.
//
// The groups can still be asked, and load by themselves what they have not cached; their
// Remove still reaches the peers, but when the next process has come at the address of this
// one it is an error: that one does not hear of it. Ready returns ErrClosed from then on.
//
// A process ends in this order: it stops taking users' requests, shuts down the
// pool, and only then the server that serves the pool.
func (p *HTTPPool) Shutdown(ctx context.Context) error {
	p.leave(ctx)
	left := p.membership.leave(ctx)
	// The view stays: Remove needs it. What is no longer asked of the peers are
	// Gets, see httpPeer.
	p.mu.Lock()
	p.closed.Store(true)
	for _, peer := range p.known {
		peer.breaker.end() // also if ctx ends before the links do
	}
	p.mu.Unlock()
	p.end()
	p.own.end()
	p.watch.end()
	err := cmp.Or(left, p.drain(ctx))
	if err := errors.Join(err, p.saveSnapshots()); err != nil {
		return fmt.Errorf("peercache: shutdown: %w", err)
	}
	for _, rt := range []http.RoundTripper{p.transport, p.upgrades, p.signs} {
		closeIdle(rt)
	}
	return nil
}

// leave takes this process out of its own view, as the peers do with theirs, and waits
// until it has handed over what it owned.
func (p *HTTPPool) leave(ctx context.Context) {
	if p.compat { // golang/groupcache cannot be told
		return
	}
	p.mu.Lock()
	p.beginEnding()
	p.leaving.Store(true)
	p.resetView()
	p.mu.Unlock()
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	for v := p.view.Load(); ; v = p.view.Load() {
		select {
		case <-v.handed:
		case <-ctx.Done():
			return
		}
		if p.view.Load().since == v.since { // else others have left, who may own what this one had
			return
		}
	}
}

// resetView puts the view of the peers in place that are present now. p.mu is held.
func (p *HTTPPool) resetView() {
	if p.closed.Load() {
		return
	}
	if err := p.setView(false); err != nil { // the peers were good enough when they were listed
		p.log.Error("a peer has left or is back, and the last view stands", "err", err)
	}
}

// absentee is a peer that has said that it leaves, and has not announced itself since.
//
// It is listed, so that it may be back at any time, and this process may not have heard:
// it still counts where values are to be dropped. But as a rule it has ended, and then
// nothing listens at its address.
type absentee struct {
	*httpPeer
	process uint32             // that leaves, see consent; 0: not known
	end     context.CancelFunc // of the visits
}

// left takes a peer out of the view whose process has said that it leaves.
func (p *HTTPPool) left(name string, process uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() || p.absent[name] != nil || !slices.Contains(p.listed, name) {
		return
	}
	ctx, cancel := context.WithCancel(p.life)
	a := &absentee{newToldPeer(p, name), process, cancel}
	p.absent[name] = a
	p.changeView()
	p.background.Go(func() { a.visits(ctx) })
}

// back puts a peer that had left into the view again, because of what a process at its
// address has said. It is not the one that left: that does not change its mind, though what
// it said before may come after.
func (p *HTTPPool) back(name string, process uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.absent[name]; a != nil && (process == 0 || process != a.process) {
		a.end()
		delete(p.absent, name)
		p.changeView()
	}
}

// Change implements Peer. It succeeds where there is nobody to tell.
func (a *absentee) Change(ctx context.Context, c Change) ([]Holder, error) {
	ctx, cancel := context.WithTimeout(ctx, a.pool.detectionTime())
	defer cancel()
	held, leaving, err := a.tell(ctx, c)
	if err != nil && ctx.Err() == nil && !peer.Gone(err) { // it may just have ended
		held, leaving, err = a.tell(ctx, c)
	}
	if peer.Gone(err) {
		return nil, nil
	}
	if err == nil && !leaving {
		a.pool.back(a.url, 0)
	}
	return held, err
}

// visitEvery is how often a peer that has left is asked whether it is back. As a rule it
// says so before.
const visitEvery = 2 * time.Second

// visits looks for the peer until it is back or counts no more.
func (a *absentee) visits(ctx context.Context) {
	a.pool.pace.trying.Add(1)
	defer a.pool.pace.trying.Add(-1)
	for ctx.Err() == nil {
		clock.Pause(ctx, clock.Jitter(a.pool.pace.wait(visitEvery)))
		a.Change(ctx, Change{})
	}
}

// drain waits for what is in progress: what peers asked for, by either way, what
// the groups load and fetch, and the links, which then have nothing to do.
func (p *HTTPPool) drain(ctx context.Context) error {
	p.mu.Lock()
	servers := slices.Collect(maps.Keys(p.servers))
	p.mu.Unlock()
	var streams errgroup.Group
	for _, s := range servers {
		streams.Go(func() error { return s.Close(ctx) })
	}
	if err := streams.Wait(); err != nil {
		return err
	}
	if err := p.serving.Acquire(ctx, math.MaxInt64); err != nil {
		return err
	}
	defer p.serving.Release(math.MaxInt64) // closed refuses requests from now on
	for _, g := range *p.groups.Load() {
		if err := g.wait(ctx); err != nil {
			return err
		}
	}
	var parting sync.WaitGroup // apart: another Shutdown may be waiting for the background
	p.mu.Lock()
	for _, peer := range p.known {
		parting.Go(func() { peer.part(ctx) })
	}
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		parting.Wait()
		p.background.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
