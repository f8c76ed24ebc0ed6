package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// ending is what the next process has to know of the end of this one, to use its
// snapshots.
type ownDeparture struct {
	departure uint64          // written once, before leaving is set
	peers     map[string]bool // all that may make changes when this process has left
	witnesses map[string]bool // those that have said that they know of the departure
}

// beginEnding takes note of who is there. The caller holds c.mu.
func (c *Cluster) beginDeparture() {
	if c.leaving.Load() {
		return
	}
	c.departure = ownDeparture{max(rand.Uint64(), 1), make(map[string]bool), make(map[string]bool)}
	for _, name := range c.listed {
		c.departure.peers[name] = true
	}
	// What this process changes when it has left, the next one at its address can tell
	// the others by this log.
	c.logs.begin(c.departure.departure, c.self)
}

// witness takes note that a peer knows of the departure.
func (c *Cluster) recordWitness(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.departure.witnesses[name] = true
}

// farewell returns what is saved in each snapshot.
func (c *Cluster) departureRecord() *pb.Farewell {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &pb.Farewell{Logs: c.logs.forSnapshot(), Witnesses: slices.Sorted(maps.Keys(c.departure.witnesses))}
	peers := maps.Clone(c.departure.peers)
	for _, name := range c.listed {
		peers[name] = true
	}
	for _, log := range f.Logs { // they may be back
		peers[log.Peer] = true
	}
	delete(peers, c.self)
	f.Peers = slices.Sorted(maps.Keys(peers))
	return f
}

// SaveSnapshots saves the groups that have a WithSnapshot. It comes when the peers have
// heard of the departure, and nothing is loaded any more.
//
// What others change from now on need not touch the files. A Remove that returns nil was
// told to this process while it lived, or its caller knew of the departure. Then it has
// told all peers, twice: the second time after this process was found to be gone, and by
// then the witnesses had begun their logs. A change that this process makes by itself
// removes the files (OutdateSnapshots).
func (c *Cluster) SaveSnapshots() error {
	if c.stateless {
		return nil
	}
	note := func() ([]byte, error) { return proto.Marshal(c.departureRecord()) }
	var errs []error
	for _, g := range *c.groups.Load() {
		if !g.HasSnapshot() {
			continue
		}
		if err := g.Save(c.departure.departure, note); err != nil {
			err = fmt.Errorf("the snapshot of group %q: %w", g.Name(), err)
			c.log.Warn("the next process begins cold", "err", err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// OutdateSnapshots removes the files, because this process has made a change that they do
// not know of. If it cannot, the change is not complete.
func (c *Cluster) OutdateSnapshots() error {
	if !c.leaving.Load() { // none is written before
		return nil
	}
	var errs []error
	for _, g := range *c.groups.Load() {
		errs = append(errs, g.OutdateSnapshot())
	}
	return errors.Join(errs...)
}

// past is what the snapshots say that this process began with.
type earlierDeparture struct {
	departure uint64
	// lost is set if a group found no file, or one of another departure: then there was a
	// process in between, or a change that the files do not know of.
	lost bool
}

// Regain takes up what the process before this one knew of changes, as its files say; f is
// nil if a group has none.
func (c *Cluster) Regain(departure uint64, f *pb.Farewell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f == nil, c.earlier.lost, c.earlier.departure != 0 && c.earlier.departure != departure:
		c.earlier.lost = true
		c.logs.discard(false)
	default:
		c.earlier.departure = departure
		c.logs.adopt(f.GetLogs())
	}
}

// Leave takes this process out of the views of its peers, hands over what it owned, and withdraws
// what the discovery has made known. From then on it answers no Gets.
func (c *Cluster) Leave(ctx context.Context) error {
	c.leaveView(ctx)
	err := c.membership.leave(ctx)
	// The view stays: Remove needs it. What is no longer asked of the peers are
	// Gets, see member.
	c.mu.Lock()
	c.closed.Store(true)
	c.mu.Unlock()
	c.cancelLife()
	c.own.stop()
	c.watch.stop()
	return err
}

// leave takes this process out of its own view, as the peers do with theirs, and waits
// until it has handed over what it owned.
func (c *Cluster) leaveView(ctx context.Context) {
	if c.stateless { // they cannot be told
		return
	}
	c.mu.Lock()
	c.beginDeparture()
	c.leaving.Store(true)
	c.refreshView()
	c.mu.Unlock()
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	for v := c.view.Load(); ; v = c.view.Load() {
		select {
		case <-v.handedOver:
		case <-ctx.Done():
			return
		}
		if c.view.Load().since == v.since { // else others have left, who may own what this one had
			return
		}
	}
}

// Drain waits for what the groups load and fetch, for the connections, which then have nothing to
// do, and for what goes on in the background.
func (c *Cluster) Drain(ctx context.Context) error {
	for _, g := range *c.groups.Load() {
		if err := g.Drain(ctx); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	go func() {
		c.CloseConns(ctx)
		c.background.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CloseConns closes the connections to the peers, when what is in flight on them is answered, or
// ctx has ended. The peers can still be told of changes.
func (c *Cluster) CloseConns(ctx context.Context) {
	c.mu.Lock()
	known := slices.Collect(maps.Values(c.known))
	c.mu.Unlock()
	var all sync.WaitGroup // apart: another Shutdown may be waiting for the background
	for _, m := range known {
		all.Go(func() { m.closeConn(ctx) })
	}
	all.Wait()
}
