package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// partitionFigures are what it costs that one node and the other two cannot reach each other.
type partitionFigures struct {
	alone, others    hangFigures
	back             time.Duration // from the mending until the three are one cluster again
	late             int           // loads of keys after that
	meanwhile, after removalFigures
}

// partition cuts the cable of a node and mends it after some time. Callers go on asking all
// of them, and both sides are asked for every key.
func partition(s faultScale) (p partitionFigures, err error) {
	site, err := newNamespaces(clusterNodes)
	if err != nil {
		return p, err
	}
	s.standIn = memberStandIn
	f, err := startCluster(peercacheSystem, s, site)
	if err != nil {
		return p, err
	}
	defer f.stop()
	w, t, err := f.busy()
	if err != nil {
		return p, err
	}
	keys := f.keys()
	time.Sleep(s.before)
	err = site.cut(0)
	cut := time.Now()
	time.Sleep(s.fault)
	err = errors.Join(err, sweep(f.nodes, keys))
	mended := time.Now()
	err = errors.Join(err, site.mend(0))
	p.back, err = f.wholeAgain(w, err)
	all := t.end()
	w.end()
	if err != nil {
		return p, err
	}
	loads := f.origin.loads(keys)
	if err := sweep(f.nodes, keys); err != nil {
		return p, err
	}
	p.late = f.origin.loads(keys) - loads
	victim := f.nodes[0]
	p.alone = hangFiguresOf(all.at(victim, true), s.before, cut, mended)
	p.others = hangFiguresOf(all.at(victim, false), s.before, cut, mended)
	unreachable := func(n *clusterNode) []string { return f.otherSide(victim, n) }
	p.meanwhile = w.within(split{cut, mended, true, unreachable})
	p.after = w.within(split{mended, time.Now(), false, unreachable})
	return p, nil
}

// otherSide returns the nodes that n cannot reach when victim is cut off, in the order of
// their names.
func (f *cluster) otherSide(victim, n *clusterNode) (names []string) {
	for _, other := range f.nodes {
		if (other == victim) != (n == victim) {
			names = append(names, other.name)
		}
	}
	slices.Sort(names)
	return names
}

// partition reports on a node that is cut off.
func (r *faultReport) partition() error {
	p, err := partition(r.scale)
	if errors.Is(err, errNoNamespaces) {
		fmt.Fprintf(r.w, "\nWithout a partition: %v.\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(r.w, `
The nodes are in network namespaces of their own, and the cable of one is cut for %v; all have callers and reach the
origin, and in the end each is asked for all keys. The partition is over when each key is loaded once by all three
together again; the loads after that are those of keys which all are asked for once more.
`, r.scale.fault)
	r.cutOff = p
	t := newHangTable("peercache, partition", "over, ms")
	p.alone.addTo(t, "the one that is cut off", p.back)
	p.others.addTo(t, "the other two", p.back)
	p.alone.targets(&r.targets, "partition, alone")
	p.others.targets(&r.targets, "partition, the others")
	r.targets.add("partition, Removes that name peers which could be reached", float64(p.meanwhile.tooMany), true, 0)
	r.targets.add("partition, loads when it is over", float64(p.late), true, 0)
	p.meanwhile.addTo(r.removals, "while one is cut off")
	p.after.addTo(r.removals, "when it is mended")
	return errors.Join(t.print(r.w),
		none(p.alone.failed+p.others.failed, "Gets failed in a partition", errors.Join(p.alone.firstError, p.others.firstError)),
		p.meanwhile.broken("in a partition"), p.after.broken("after a partition"))
}
