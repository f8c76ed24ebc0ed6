package cluster

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// ending is what the next process has to know of the end of this one, to use its
// snapshots.
type ending struct {
	departure uint64          // written once, before leaving is set
	peers     map[string]bool // all that may make changes when this process has left
	witnesses map[string]bool // those that have said that they know of the departure
}

// beginEnding takes note of who is there. p.mu is held.
func (p *Cluster) beginEnding() {
	if p.leaving.Load() {
		return
	}
	p.ending = ending{max(rand.Uint64(), 1), make(map[string]bool), make(map[string]bool)}
	for _, name := range p.listed {
		p.ending.peers[name] = true
	}
	// What this process changes when it has left, the next one at its address can tell
	// the others by this log.
	p.logs.begin(p.ending.departure, p.self)
}

// witness takes note that a peer knows of the departure.
func (p *Cluster) witness(peer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending.witnesses[peer] = true
}

// farewell returns what is saved in each snapshot.
func (p *Cluster) farewell() *pb.Farewell {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &pb.Farewell{Logs: p.logs.saved(), Witnesses: slices.Sorted(maps.Keys(p.ending.witnesses))}
	peers := maps.Clone(p.ending.peers)
	for _, name := range p.listed {
		peers[name] = true
	}
	for _, log := range f.Logs { // they may be back
		peers[log.Peer] = true
	}
	delete(peers, p.self)
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
func (p *Cluster) SaveSnapshots() error {
	if p.stateless {
		return nil
	}
	note := func() ([]byte, error) { return proto.Marshal(p.farewell()) }
	var errs []error
	for _, g := range *p.groups.Load() {
		if !g.HasSnapshot() {
			continue
		}
		if err := g.Save(p.ending.departure, note); err != nil {
			err = fmt.Errorf("the snapshot of group %q: %w", g.Name(), err)
			p.log.Warn("the next process begins cold", "err", err)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// OutdateSnapshots removes the files, because this process has made a change that they do
// not know of. If it cannot, the change is not complete.
func (p *Cluster) OutdateSnapshots() error {
	if !p.leaving.Load() { // none is written before
		return nil
	}
	var errs []error
	for _, g := range *p.groups.Load() {
		errs = append(errs, g.OutdateSnapshot())
	}
	return errors.Join(errs...)
}

// past is what the snapshots say that this process began with.
type past struct {
	departure uint64
	// lost is set if a group found no file, or one of another departure: then there was a
	// process in between, or a change that the files do not know of.
	lost bool
}

// Regain takes up what the process before this one knew of changes, as its files say; f is
// nil if a group has none.
func (p *Cluster) Regain(departure uint64, f *pb.Farewell) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case f == nil, p.past.lost, p.past.departure != 0 && p.past.departure != departure:
		p.past.lost = true
		p.logs.lose(false)
	default:
		p.past.departure = departure
		p.logs.regain(f.GetLogs())
	}
}
