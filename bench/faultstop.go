package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/peercache/peercache/internal/stream"
)

// hangFigures are what it costs callers that nodes are there and do not answer.
type hangFigures struct {
	gets, failed int
	firstError   error
	longest      time.Duration
	waits        int           // of one caller at most, for half the detection time or more
	before, then time.Duration // p99: before, and after the first second
}

// hangFiguresOf looks at Gets from some time before a fault until it was over.
func hangFiguresOf(all samples, before time.Duration, fault, over time.Time) hangFigures {
	during := all.between(fault, over)
	h := hangFigures{
		gets: len(during), longest: during.slowest(0),
		before: all.between(fault.Add(-before), fault).p99(), then: during.between(fault.Add(time.Second), over).p99(),
	}
	h.failed, h.firstError = during.failed()
	h.waits = during.waits(stream.DefaultDetect / 2)
	return h
}

// toBefore is p99 after the first second as a multiple of that before.
func (h hangFigures) toBefore() float64 { return float64(h.then) / float64(h.before) }

// hangMargin is how much longer than the detection time a caller may have to wait: for the
// next peer, on a machine that has other things to do.
const hangMargin = 250 * time.Millisecond

func newHangTable(what, back string) *table {
	return newTable(what, "Gets", "failed", "longest, ms", "waits of one caller", "p99 before, ms", "after 1 s", back)
}

func (h hangFigures) addTo(t *table, name string, back time.Duration) {
	t.add(name, h.gets, h.failed, ms(h.longest), h.waits, ms(h.before), ms(h.then), ms(back))
}

// targets adds what is to be reached.
func (h hangFigures) targets(t *targets, what string) {
	t.add(what+", failed Gets", float64(h.failed), true, 0)
	t.add(what+", longest wait, ms", ms(h.longest), true, ms(stream.DefaultDetect+hangMargin))
	t.add(what+", waits of one caller at each node", float64(h.waits), true, clusterNodes-1)
	t.add(what+", p99 after a second, to before", h.toBefore(), true, 2)
}

// stopFigures are what it costs that a node hangs.
type stopFigures struct {
	hangFigures
	back             time.Duration  // from SIGCONT until the node loads its keys again
	meanwhile, after removalFigures // of ours: the others cannot remove
}

// stopOne stops a node whose callers have just been sent elsewhere, and has it go on after
// some time.
func stopOne(system string, s faultScale) (h stopFigures, err error) {
	s.standIn = memberStandIn
	f, err := onLoopback(system, s)
	if err != nil {
		return h, err
	}
	defer f.stop()
	w, t, err := f.busy()
	if err != nil {
		return h, err
	}
	time.Sleep(s.before)
	victim := f.nodes[0]
	victim.shut()
	err = victim.freeze()
	stopped := time.Now()
	time.Sleep(s.fault)
	resumed := time.Now()
	err = errors.Join(err, victim.thaw())
	victim.unshut()
	h.back, err = f.wholeAgain(w, err)
	all := t.end()
	w.end()
	if err != nil {
		return h, err
	}
	h.hangFigures = hangFiguresOf(all, s.before, stopped, resumed)
	cut := func(*clusterNode) []string { return []string{victim.name} }
	h.meanwhile = w.within(split{stopped, resumed, true, cut})
	h.after = w.within(split{resumed, time.Now(), false, cut})
	return h, nil
}

// busy has callers at work for the keys of a cluster and, where it can remove keys, writers.
func (f *cluster) busy() (w *watch, t *crowd, err error) {
	keys := f.keys()
	if _, err := f.warm(keys); err != nil {
		return nil, nil, err
	}
	if f.system == peercacheSystem {
		if w, err = startWatch(f); err != nil {
			return nil, nil, err
		}
	}
	return w, startCrowd(f, keys), nil
}

// wholeAgain waits until the nodes are one cluster again, and Removes are nil, if there was
// no error so far. It returns how long the former took.
func (f *cluster) wholeAgain(w *watch, err error) (took time.Duration, _ error) {
	if err != nil {
		return 0, err
	}
	if took, err = f.whole(); err != nil {
		return 0, err
	}
	time.Sleep(f.scale.after)
	return took, w.awaitNil()
}

// stop reports on a node that is stopped.
func (r *faultReport) stop() error {
	fmt.Fprintf(r.w, `
One of the nodes gets SIGSTOP, and SIGCONT after %v: its kernel takes connections and it says nothing. Looked at are the
other two. Waits are Gets of half the detection time (%v) or more; nobody waits longer than the callers' patience, %v.
It is back when each key is loaded once by all three together again, and some by it.
`, r.scale.fault, stream.DefaultDetect, r.scale.patience)
	var err error
	if r.stopped, err = ofBoth(r.scale, stopOne); err != nil {
		return err
	}
	ours, theirs := r.stopped.ours, r.stopped.theirs
	ours.targets(&r.targets, "SIGSTOP")
	r.targets.add("SIGSTOP, Removes that name peers which could be reached", float64(ours.meanwhile.tooMany), true, 0)
	t := newHangTable("SIGSTOP", "back, ms")
	ours.addTo(t, peercacheSystem, ours.back)
	theirs.addTo(t, groupcacheSystem, theirs.back)
	ours.meanwhile.addTo(r.removals, "while one is stopped")
	ours.after.addTo(r.removals, "after SIGCONT")
	return errors.Join(t.print(r.w),
		none(ours.failed, "Gets failed when another node was stopped", ours.firstError),
		ours.meanwhile.broken("while one was stopped"), ours.after.broken("after SIGCONT"))
}
