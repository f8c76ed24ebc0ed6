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

// Shutdown of a pool calls, in this order:
//
//  1. Leave: the peers hear of the departure, take this process out of their views, and get its
//     values. The discovery withdraws it. From then on it answers no Gets.
//  2. Drain: loads, fetches and the work in the background end, and connections are closed
//     (CloseConns).
//  3. SaveSnapshots, each with the departure record: what the next process at this address has to
//     know of the end of this one, to use them.
//
// What others change from 3 on need not touch the snapshots. A Remove that returns nil has told
// this process while it lived, or its caller knew of the departure. Then it has told all peers,
// twice: the second time after this process was found to be gone, and by then the witnesses had
// begun their logs. A change that this process makes itself removes the snapshots
// (OutdateSnapshots).

// ownDeparture is the departure of this process.
type ownDeparture struct {
	number    uint64          // not 0; written before Cluster.leaving is set, and never again
	peers     map[string]bool // all that may make changes afterwards
	witnesses map[string]bool // peers that have said that they know of it
}

// earlierDeparture is what the snapshots say that this process has begun with.
type earlierDeparture struct {
	number uint64
	// lost says that a group found no file, or one of another departure. Then there was a
	// process in between, or a change that the files do not know of.
	lost bool
}

// Leave takes this process out of the views of its peers, hands over what it owned, and has the
// discovery withdraw it.
func (c *Cluster) Leave(ctx context.Context) error {
	c.outOfTouch(true)
	c.leaveView(ctx)
	err := c.membership.leave(ctx)
	// The view stays, because Remove needs it. The peers are asked for no keys any more, see
	// Member.Get.
	c.mu.Lock()
	c.closed.Store(true)
	c.mu.Unlock()
	c.cancelLife()
	c.own.stop()
	c.watch.stop()
	return err
}

// leaveView takes this process out of its own view, as the peers do with theirs. It waits until
// the values are handed over, for half of the time that ctx has.
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
		if c.view.Load().since == v.since { // else others have left, who were to own the values
			return
		}
	}
}

// beginDeparture makes the record of the departure, unless there is one. The caller holds c.mu.
func (c *Cluster) beginDeparture() {
	if c.leaving.Load() {
		return
	}
	c.departure = ownDeparture{max(rand.Uint64(), 1), make(map[string]bool), make(map[string]bool)}
	c.recordListed()
	// What this process changes after it has left is in this log. The next process at its
	// address gives it to the others.
	c.logs.begin(c.departure.number, c.self)
}

// recordListed records who is listed, while this process leaves: they hear of it. The caller holds
// c.mu.
func (c *Cluster) recordListed() {
	for _, name := range c.listed {
		c.departure.peers[name] = true
	}
}

// recordWitness records that a peer knows of the departure.
func (c *Cluster) recordWitness(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.departure.witnesses[name] = true
}

// departureRecord returns what is saved in each snapshot.
func (c *Cluster) departureRecord() *pb.Farewell {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &pb.Farewell{Logs: c.logs.forSnapshot(), Witnesses: slices.Sorted(maps.Keys(c.departure.witnesses))}
	peers := maps.Clone(c.departure.peers)
	for _, log := range f.Logs { // they may be back
		peers[log.Peer] = true
	}
	delete(peers, c.self)
	f.Peers = slices.Sorted(maps.Keys(peers))
	return f
}

// SaveSnapshots saves the groups that have a WithSnapshot. It is called when the peers know of
// the departure, and nothing is loaded any more.
func (c *Cluster) SaveSnapshots() error {
	if c.stateless {
		return nil
	}
	record := func() ([]byte, error) { return proto.Marshal(c.departureRecord()) }
	var errs []error
	for _, g := range *c.groups.Load() {
		if !g.HasSnapshot() {
			continue
		}
		if err := g.Save(c.departure.number, record); err != nil {
			err = fmt.Errorf("the snapshot of group %q: %w", g.Name(), err)
			c.log.Warn("the next process begins cold", "err", err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// OutdateSnapshots removes the snapshots, because this process has made a change that they
// lack. With an error the change is not complete.
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

// Regain adopts the departure record of the process before this one. It is called for each
// group with a WithSnapshot. f is nil if the group has no record.
func (c *Cluster) Regain(departure uint64, f *pb.Farewell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f == nil, c.earlier.lost, c.earlier.number != 0 && c.earlier.number != departure:
		c.earlier.lost = true
		c.logs.discard(false)
	default:
		c.earlier.number = departure
		c.logs.adopt(f.GetLogs(), circle(c.self, f))
	}
}

// Drain returns when the groups load and fetch nothing, the connections are closed, and nothing
// is done in the background, or when ctx has ended.
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

// CloseConns closes the connections to the peers, when what is in flight on them is answered,
// or ctx has ended. The peers can still be told of changes.
func (c *Cluster) CloseConns(ctx context.Context) {
	var all sync.WaitGroup // not the background's: another Shutdown may be waiting for that
	for _, m := range c.view.Load().named {
		all.Go(func() { m.closeConn(ctx) })
	}
	all.Wait()
}
