package main

import (
	"fmt"
	"time"
)

// restartFigures are what a deploy costs.
type restartFigures struct {
	keys, extra    int // extra are loads of what had been loaded before
	gets, failed   int
	p99Before, p99 time.Duration
	took           time.Duration // from the first SIGTERM until the last node was ready
	firstError     error
}

// rollingRestart ends the processes of a cluster one after the other, in order, and starts
// another one in the place of each.
func rollingRestart(system string, s faultScale) (r restartFigures, err error) {
	f, err := onLoopback(system, s)
	if err != nil {
		return r, err
	}
	defer f.stop()
	keys := f.keys()
	if _, err := f.warm(keys); err != nil {
		return r, err
	}
	t := startCrowd(f, keys)
	time.Sleep(s.before)
	start := time.Now()
	for i, n := range f.nodes {
		if err = f.restart(i, n); err != nil {
			break
		}
	}
	end := time.Now()
	time.Sleep(s.after)
	all := t.end()
	if err != nil {
		return r, err
	}
	if err := sweep(f.nodes, keys); err != nil { // what has been lost is missed now
		return r, err
	}
	during := all.between(start, end)
	r = restartFigures{
		keys: len(keys), extra: f.origin.loads(keys) - len(keys), gets: len(during),
		p99Before: all.between(start.Add(-s.before), start).p99(), p99: during.p99(), took: end.Sub(start),
	}
	r.failed, r.firstError = during.failed()
	return r, nil
}

// restart does with a node what a deploy does: callers are sent elsewhere, the process
// ends, the next one is ready after some time, and callers come again.
func (f *cluster) restart(i int, n *clusterNode) error {
	n.shut()
	if err := n.terminate(); err != nil {
		return err
	}
	time.Sleep(f.scale.gone)
	if err := f.start(i); err != nil {
		return err
	}
	time.Sleep(f.scale.after)
	return nil
}

// extraPart is the loads that were too many, as a part of the keys.
func (r restartFigures) extraPart() float64 { return float64(r.extra) / float64(r.keys) }

func restartTable(ours, theirs restartFigures) *table {
	t := newTable("rolling restart", "extra loads", "× keys", "Gets", "failed", "p99 before, ms", "p99, ms", "all of it, s")
	add := func(name string, r restartFigures) {
		t.add(name, r.extra, r.extraPart(), r.gets, r.failed, ms(r.p99Before), ms(r.p99), r.took.Seconds())
	}
	add(peercacheSystem, ours)
	add(groupcacheSystem, theirs)
	return t
}

// restart reports on rolling restarts.
func (r *faultReport) restart() error {
	fmt.Fprintf(r.w, `
A deploy: one node after the other gets SIGTERM, shuts down, is away for %v, starts again at the same address, and has
callers again when it is ready. In the end all keys are read through all nodes, so that what was lost counts.
`, r.scale.gone)
	var err error
	if r.restarted, err = ofBoth(r.scale, rollingRestart); err != nil {
		return err
	}
	ours, theirs := r.restarted.ours, r.restarted.theirs
	r.targets.add("rolling restart, extra loads × keys", ours.extraPart(), true, 0.02)
	r.targets.add("rolling restart, failed Gets", float64(ours.failed), true, 0)
	if err := restartTable(ours, theirs).print(r.w); err != nil {
		return err
	}
	return none(ours.failed, "Gets failed in a rolling restart", ours.firstError)
}
