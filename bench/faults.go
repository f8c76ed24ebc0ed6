package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/peercache/peercache"
)

var faults = command{
	name:  "faults",
	about: "what callers and the origin notice when a process restarts, dies, hangs, or is cut off",
	run:   runFaults,
}

// faultScale is how much there is of everything while faults are done to a cluster.
type faultScale struct {
	keys     int
	written  int // keys that are written to, where Removes are looked at
	callers  int
	before   time.Duration // how long is looked at before a fault
	fault    time.Duration // how long it lasts, or is looked at; more than a second
	after    time.Duration // how long is looked at when it is over
	gone     time.Duration // how long there is no process between the end of one and the next
	patience time.Duration // after which a caller gives up
	remove   time.Duration // after which a Remove gives up
	standIn  time.Duration // see peercache.WithStandIn
}

func faultScaleOf(m measuring) faultScale {
	if m.quick {
		return faultScale{
			keys: 300, written: 6, callers: 4,
			before: 1200 * time.Millisecond, fault: 3 * time.Second, after: 300 * time.Millisecond,
			gone: 200 * time.Millisecond, patience: 2 * time.Second, remove: 1200 * time.Millisecond,
			standIn: peercache.DefaultStandIn,
		}
	}
	return faultScale{
		keys: 3000, written: 20, callers: 8,
		before: 3 * time.Second, fault: 8 * time.Second, after: 2 * time.Second,
		gone: time.Second, patience: 5 * time.Second, remove: 3 * time.Second,
		standIn: peercache.DefaultStandIn,
	}
}

// cacheBytes is room for all keys in a node, but not for copies of all that others own: so
// that there is something to ask them for.
func (s faultScale) cacheBytes() int64 { return int64(s.keys) * 5 / 2 * clusterValueBytes }

func runFaults(w io.Writer, m measuring) error {
	s := faultScaleOf(m)
	fmt.Fprintf(w, `
%d processes on one machine, %d keys of 1 KiB which all of them have read, an origin that answers at once. %d callers
ask random nodes for random keys, with up to %v between; what a Get took is measured in the node. A caller gives up
after %v. Nobody is sent to a node that a fault is about to be done to. Times are the machine's: look at what changes.
`, clusterNodes, s.keys, s.callers, callerPause, s.patience)
	r := &faultReport{w: w, scale: s, removals: newRemovalTable()}
	var broken error // promises, as opposed to targets
	for _, report := range []func(*faultReport) error{
		(*faultReport).restart, (*faultReport).kill, (*faultReport).stop, (*faultReport).partition,
	} {
		broken = errors.Join(broken, report(r))
	}
	broken = errors.Join(broken, r.removed())
	r.targets.print(w, "Targets")
	return broken
}

// faultReport is what the faults are reported to.
type faultReport struct {
	w        io.Writer
	scale    faultScale
	targets  targets
	removals *table

	restarted both[restartFigures]
	killed    both[killFigures]
	stopped   both[stopFigures]
	cutOff    partitionFigures
}

// removed reports on the Removes while nodes could not be reached.
func (r *faultReport) removed() error {
	fmt.Fprintf(r.w, `
Meanwhile a writer for each of %d other keys changed the origin and called Remove at random nodes, for at most %v;
stand-ins keep values for %v. A Remove has to be nil when it has outlasted what peers that it could not reach may serve,
or else to name them, and always the owner. A read is stale if it is older than the last Remove that had returned nil.
`, r.scale.written, r.scale.remove, memberStandIn)
	return r.removals.print(r.w)
}

// onLoopback starts a cluster whose nodes have ports of this machine.
func onLoopback(system string, s faultScale) (*cluster, error) {
	site, err := newLoopback(clusterNodes)
	if err != nil {
		return nil, err
	}
	return startCluster(system, s, site)
}

// both is what came of the same fault to our system and to the other one.
type both[F any] struct{ ours, theirs F }

func ofBoth[F any](s faultScale, do func(system string, s faultScale) (F, error)) (b both[F], err error) {
	if b.ours, err = do(peercacheSystem, s); err != nil {
		return b, err
	}
	b.theirs, err = do(groupcacheSystem, s)
	return b, err
}

// none returns an error if n of what is promised not to be there are there.
func none(n int, what string, first error) error {
	if n == 0 {
		return nil
	}
	return errors.Join(fmt.Errorf("%d %s", n, what), first)
}
