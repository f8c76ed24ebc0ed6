package main

import (
	"fmt"
	"time"
)

// killFigures are what the death of a node costs.
type killFigures struct {
	keys, share, extra           int // share is what the victim had loaded, extra what was loaded again
	gets, failed                 int
	p99Before, p99First, p99Then time.Duration // of the first second, and after that
	firstError                   error
}

// killOne kills a node whose callers have just been sent elsewhere.
func killOne(system string, s faultScale) (k killFigures, err error) {
	f, err := onLoopback(system, s)
	if err != nil {
		return k, err
	}
	defer f.stop()
	keys := f.keys()
	shares, err := f.warm(keys)
	if err != nil {
		return k, err
	}
	victim := f.nodes[0]
	t := startCrowd(f, keys)
	time.Sleep(s.before)
	victim.shut()
	killed := time.Now()
	victim.kill()
	time.Sleep(s.fault)
	all := t.end()
	if err := sweep(f.nodes[1:], keys); err != nil { // what has been lost is missed now
		return k, err
	}
	during := all.between(killed, time.Now())
	k = killFigures{
		keys: len(keys), share: shares[victim.name], extra: f.origin.loads(keys) - len(keys), gets: len(during),
		p99Before: all.between(killed.Add(-s.before), killed).p99(),
		p99First:  during.between(killed, killed.Add(time.Second)).p99(),
		p99Then:   during.between(killed.Add(time.Second), time.Now()).p99(),
	}
	k.failed, k.firstError = during.failed()
	return k, nil
}

// beyondShare is the loads beyond the victim's share, as a part of the keys.
func (k killFigures) beyondShare() float64 { return float64(k.extra-k.share) / float64(k.keys) }

func killTable(ours, theirs killFigures) *table {
	t := newTable("kill -9", "victim's share, %", "extra loads, %", "Gets", "failed",
		"p99 before, ms", "first second", "then")
	add := func(name string, k killFigures) {
		t.add(name, 100*float64(k.share)/float64(k.keys), 100*float64(k.extra)/float64(k.keys), k.gets, k.failed,
			ms(k.p99Before), ms(k.p99First), ms(k.p99Then))
	}
	add(peercacheSystem, ours)
	add(groupcacheSystem, theirs)
	return t
}

// kill reports on a node that is killed.
func (r *faultReport) kill() error {
	fmt.Fprintf(r.w, `
One of the nodes is killed and does not come back; looked at are the other two, for %v. Percentages are of all keys.
`, r.scale.fault)
	var err error
	if r.killed, err = ofBoth(r.scale, killOne); err != nil {
		return err
	}
	ours, theirs := r.killed.ours, r.killed.theirs
	r.targets.add("kill -9, failed Gets", float64(ours.failed), true, 0)
	r.targets.add("kill -9, loads beyond the victim's share, % of the keys", 100*ours.beyondShare(), true, 1)
	r.targets.add("kill -9, p99 after a second, to before", float64(ours.p99Then)/float64(ours.p99Before), true, 2)
	if err := killTable(ours, theirs).print(r.w); err != nil {
		return err
	}
	return none(ours.failed, "Gets failed when another node was killed", ours.firstError)
}
