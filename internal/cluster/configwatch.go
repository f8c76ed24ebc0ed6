package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// configWatch looks for peers that have another list than this process for long, lack one of its
// groups, or do not let this process do something (refusals.go). It begins to look when the view
// changes, or the groups, or what a peer says of itself. It ends when there are no such peers: as a
// rule it costs nothing.
type configWatch struct {
	cluster *Cluster

	mu      sync.Mutex            // guards the fields below
	timer   *time.Timer           // nil before the first look
	running bool                  // timer will fire, or a look is in progress
	looking bool                  // a look is in progress
	looked  chan struct{}         // closed, and replaced, when a look is over
	closed  bool                  // there are no more looks
	differ  map[string]mismatch   // peers that are known to have another list
	lacking map[string]mismatch   // peers that are known to lack groups
	groups  map[string]uint64     // the groupsID that each peer has said last
	refused map[string]refusal    // peers that have refused this process lately
	asked   map[string]bothGroups // the groupsIDs for which each peer has answered with the names
}

// mismatch is a difference between a peer and this process.
type mismatch struct {
	since clock.Instant
	what  string // for people to read
}

// bothGroups are the groupsIDs of a peer and of this process.
type bothGroups struct{ theirs, mine uint64 }

const (
	// watchEvery is the time between two looks.
	watchEvery = time.Second
	// differAfter is how long lists or groups may differ until that is a problem: in a deploy
	// they do for a moment. If half of WithHandover's time is less, it is that, so that Ready
	// knows in time.
	differAfter = 5 * time.Second
	// asksOfWatch is how many peers are asked at the same time.
	asksOfWatch = 16
)

func newConfigWatch(c *Cluster) *configWatch {
	return &configWatch{
		cluster: c, looked: make(chan struct{}), differ: make(map[string]mismatch), lacking: make(map[string]mismatch),
		groups: make(map[string]uint64), asked: make(map[string]bothGroups), refused: make(map[string]refusal),
	}
}

// begin begins to look, unless a look is due or in progress.
func (w *configWatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		w.lookIn(watchEvery)
	}
}

// lookIn sets when the next look begins. The caller holds w.mu.
func (w *configWatch) lookIn(wait time.Duration) {
	if w.closed || w.cluster.stateless {
		return
	}
	w.running = true
	if w.timer == nil {
		w.timer = time.AfterFunc(wait, w.look)
	} else {
		w.timer.Reset(wait)
	}
}

// stop ends the watch.
func (w *configWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// observeGroups records the groupsID that a peer says, and begins to look if it is another one
// than that of this process.
func (w *configWatch) observeGroups(name string, id uint64) {
	if w.cluster.view.Load().nonOwners[name] {
		return // it is asked for no keys, whatever groups it has
	}
	w.mu.Lock()
	changed := w.groups[name] != id && id != 0
	if changed {
		w.groups[name] = id
	}
	w.mu.Unlock()
	if changed && id != w.cluster.groupsID.Load() {
		w.begin()
	}
}

// look looks once, and again later if something differs.
func (w *configWatch) look() {
	w.mu.Lock()
	if w.looking || w.closed { // lookIn came as the timer fired
		w.mu.Unlock()
		return
	}
	w.looking = true
	w.mu.Unlock()
	others, lacking := w.suspects()
	forEach(maps.Keys(others), asksOfWatch, func(name string) { w.check(name, others[name], lacking[name]) })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looking, w.running = false, false
	close(w.looked)
	w.looked = make(chan struct{})
	dissent := slices.Contains(slices.Collect(maps.Values(others)), true)
	w.checkRefusals()
	if dissent || len(w.differ)+len(w.lacking)+len(w.refused)+len(w.unasked()) > 0 {
		w.lookIn(watchEvery)
	}
}

// unasked returns the peers that have other groups than this process, with names that are not
// known. The caller holds w.mu.
func (w *configWatch) unasked() (peers []string) {
	mine := w.cluster.groupsID.Load()
	for name, theirs := range w.groups {
		if theirs != mine && w.asked[name] != (bothGroups{theirs, mine}) {
			peers = append(peers, name)
		}
	}
	slices.Sort(peers)
	return peers
}

// suspects returns the peers that have to be asked, and for each of them whether it has another
// list; and which of them may lack groups. It forgets those that have left the view.
func (w *configWatch) suspects() (others, lacking map[string]bool) {
	c := w.cluster
	c.agreement.mu.Lock()
	v, dissent := c.view.Load(), maps.Clone(c.agreement.dissent)
	c.agreement.mu.Unlock()
	others, lacking = make(map[string]bool), make(map[string]bool)
	mine := c.groupsID.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := func(name string) bool { return v.member(name) == nil }
	maps.DeleteFunc(w.groups, func(name string, _ uint64) bool { return gone(name) || v.nonOwners[name] })
	maps.DeleteFunc(w.asked, func(name string, _ bothGroups) bool { return gone(name) })
	maps.DeleteFunc(w.differ, func(name string, _ mismatch) bool { return gone(name) })
	maps.DeleteFunc(w.lacking, func(name string, _ mismatch) bool { return gone(name) })
	for name, id := range w.groups {
		if id != mine {
			others[name], lacking[name] = false, true
		} else {
			w.solve(w.lacking, name, peer.MissingGroup)
		}
	}
	for name := range dissent {
		if !gone(name) {
			others[name] = true
		}
	}
	for name := range w.differ {
		if !others[name] {
			w.solve(w.differ, name, peer.DifferentLists)
		}
	}
	return others, lacking
}

// solve removes a mismatch of a peer, and the problem. The caller holds w.mu.
func (w *configWatch) solve(all map[string]mismatch, name string, kind peer.ConfigProblem) {
	if _, ok := all[name]; ok {
		delete(all, name)
		w.cluster.problems.solved(name, kind)
	}
}

// check asks a peer for its list and its groups, and records what differs. No answer is no
// problem of the configuration.
func (w *configWatch) check(name string, differs, lacks bool) {
	c := w.cluster
	ctx, cancel := context.WithTimeout(c.life, c.detectionTime())
	defer cancel()
	difference, answer := c.askDifference(ctx, name)
	if !differs {
		difference = ""
	}
	missing := ""
	if lacks {
		missing = w.missingGroups(name, answer)
	}
	w.recordMismatch(w.differ, name, peer.DifferentLists, "the lists of peers differ: %s: want the same list in all processes", difference)
	w.recordMismatch(w.lacking, name, peer.MissingGroup, "it has no group of the name %s that is made with WithPeers: want the same groups in all processes", missing)
}

// missingGroups returns the names of the groups that a peer lacks by its answer, as a text.
// answer is nil if there was none. Then nothing is known of the peer's groups until it says
// something again. Nor is anything known of the groups of an earlier version, which does not
// say them.
func (w *configWatch) missingGroups(name string, answer *peer.Changed) string {
	c := w.cluster
	mine := c.groupsID.Load() // before the groups themselves: if one is added meanwhile, the peer is asked again
	w.mu.Lock()
	defer w.mu.Unlock()
	if answer == nil || answer.Groups == 0 {
		delete(w.groups, name)
		return ""
	}
	w.groups[name], w.asked[name] = answer.Groups, bothGroups{answer.Groups, mine}
	return quote.Some(quote.All(lacking(slices.Sorted(maps.Keys(*c.groups.Load())), slices.Sorted(slices.Values(answer.GroupNames)))))
}

// recordMismatch records what differs at a peer, and a problem if it has differed for long. An
// empty what means that nothing differs.
func (w *configWatch) recordMismatch(all map[string]mismatch, name string, kind peer.ConfigProblem, format, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if what == "" {
		w.solve(all, name, kind)
		return
	}
	now := clock.Now()
	m, known := all[name]
	if !known {
		m.since = now
	}
	m.what = what
	all[name] = m
	if now >= m.since.Plus(min(differAfter, w.cluster.handover.time/2)) {
		w.cluster.problems.found(name, kind, fmt.Errorf(format, what))
	}
}

// lackingGroups returns which peers lack groups of this process, as an error; nil, if none
// does. If that is not known of a peer, a look begins at once. The channel is closed when the
// error may have changed.
func (w *configWatch) lackingGroups() (next <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if unasked := w.unasked(); len(unasked) > 0 && !w.closed {
		if !w.looking {
			w.lookIn(0)
		}
		return w.looked, fmt.Errorf("peers have other groups than this process, and are asked which: %s", quote.Some(unasked))
	}
	if len(w.lacking) == 0 {
		return nil, nil
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(w.lacking)) {
		texts = append(texts, fmt.Sprintf("%s has no group %s", name, w.lacking[name].what))
	}
	return w.looked, fmt.Errorf("peers lack groups that this process has: %s", quote.Some(texts))
}

// withDifferences returns the names of peers that have another list as a text, each with the
// difference if it is known.
func (w *configWatch) withDifferences(peers []string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := slices.Clone(peers)
	for i, name := range texts {
		if what := w.differ[name].what; what != "" {
			texts[i] = fmt.Sprintf("%s (%s)", name, what)
		}
	}
	return quote.Some(texts)
}
