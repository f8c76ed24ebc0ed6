package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// configWatch looks for peers that go on having another list of peers than this process, or
// lack one of its groups. It begins with a change of the view, of the groups, or of what a
// peer says, and ends when there is nothing of that kind: so it costs nothing as a rule.
type configWatch struct {
	cluster *Cluster

	mu      sync.Mutex
	timer   *time.Timer           // guarded by mu; nil before the first look
	running bool                  // guarded by mu; timer will fire, or a look is in progress
	looking bool                  // guarded by mu; a look is in progress
	looked  chan struct{}         // guarded by mu; closed, and made anew, when a look is over
	closed  bool                  // guarded by mu; no looks any more
	differ  map[string]mismatch   // guarded by mu; the peers that are known to have other lists
	lacking map[string]mismatch   // guarded by mu; the peers that are known to lack groups
	groups  map[string]uint64     // guarded by mu; what peers said last of their groups
	asked   map[string]bothGroups // guarded by mu; with which groups a peer was asked for their names
}

// mismatch is what a peer has otherwise than this process.
type mismatch struct {
	since clock.Instant
	what  string // for people to read
}

// bothGroups are the groups of a peer and of this process, each by its groupsID.
type bothGroups struct{ theirs, mine uint64 }

const (
	// watchEvery is the time between two looks.
	watchEvery = time.Second
	// differAfter is how long lists or groups may differ until that is a problem. In a deploy
	// they do for a moment. Half of WithHandover's time, if that is less: when it is over,
	// Ready is to know.
	differAfter = 5 * time.Second
	// asksOfWatch is how many peers are asked at the same time.
	asksOfWatch = 16
)

func newConfigWatch(c *Cluster) *configWatch {
	return &configWatch{
		cluster: c, looked: make(chan struct{}), differ: make(map[string]mismatch), lacking: make(map[string]mismatch),
		groups: make(map[string]uint64), asked: make(map[string]bothGroups),
	}
}

// begin begins to look, unless it is in progress.
func (w *configWatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		w.lookIn(watchEvery)
	}
}

// lookIn has the next look begin after a time. The caller holds w.mu.
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

// end makes no more looks.
func (w *configWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// saidGroups records what a peer says of its groups, see groupsID, and begins to look if they
// are others than here.
func (w *configWatch) observeGroups(name string, id uint64) {
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

// look looks once, and says when to look again.
func (w *configWatch) look() {
	w.mu.Lock()
	if w.looking || w.closed { // lookIn came as the timer fired
		w.mu.Unlock()
		return
	}
	w.looking = true
	w.mu.Unlock()
	others, lacking := w.suspects()
	var asks errgroup.Group
	asks.SetLimit(asksOfWatch)
	for name, both := range others {
		asks.Go(func() error {
			w.check(name, both, lacking[name])
			return nil
		})
	}
	asks.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looking, w.running = false, false
	close(w.looked)
	w.looked = make(chan struct{})
	dissent := slices.Contains(slices.Collect(maps.Values(others)), true)
	if dissent || len(w.differ)+len(w.lacking)+len(w.unasked()) > 0 {
		w.lookIn(watchEvery)
	}
}

// unasked returns the peers that have other groups than this process and were not asked which.
// The caller holds w.mu.
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

// suspects returns the peers that are to be asked: whether each has another list, and which
// may lack groups. It forgets those that are no peers any more.
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
	maps.DeleteFunc(w.groups, func(name string, _ uint64) bool { return gone(name) })
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

// solve removes a problem of a peer, if it has it. The caller holds w.mu.
func (w *configWatch) solve(all map[string]mismatch, name string, kind peer.ConfigProblem) {
	if _, ok := all[name]; ok {
		delete(all, name)
		w.cluster.problems.solved(name, kind)
	}
}

// ask asks a peer for its list and its groups. What is not answered is no problem of the
// configuration.
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
	w.recordMismatch(w.lacking, name, peer.MissingGroup, "it has no group of the name %s: want the same groups in all processes", missing)
}

// missing returns the names of the groups that a peer lacks by its answer, for people to read.
// answer is nil if it has not answered: then nothing is known of its groups until it says more.
// Nor is it of those of an earlier version, which does not say any.
func (w *configWatch) missingGroups(name string, answer *peer.Changed) string {
	c := w.cluster
	mine := c.groupsID.Load() // before the groups themselves: of those that come meanwhile it is asked again
	w.mu.Lock()
	defer w.mu.Unlock()
	if answer == nil || answer.Groups == 0 {
		delete(w.groups, name)
		return ""
	}
	w.groups[name], w.asked[name] = answer.Groups, bothGroups{answer.Groups, mine}
	return quote.Some(quote.All(lacking(slices.Sorted(maps.Keys(*c.groups.Load())), slices.Sorted(slices.Values(answer.GroupNames)))))
}

// found records what is wrong with a peer; nothing, if what is empty. If it lasts, it is a
// problem.
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

// groupsMissing returns, as an error, which peers lack groups of this process, as far as they
// can be asked; nil, if none. What is not known yet it looks for at once. The channel is closed
// when that may have changed.
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

// withDifferences names peers that have another list, each with the difference where that is
// known.
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
