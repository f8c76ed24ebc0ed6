package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// configWatch looks for peers that go on having another list of peers than this process, or
// lack one of its groups. It begins with a change of the view, of the groups, or of what a
// peer says, and ends when there is nothing of that kind: so it costs nothing as a rule.
type configWatch struct {
	pool *Cluster

	mu      sync.Mutex
	timer   *time.Timer              // guarded by mu; nil before the first look
	running bool                     // guarded by mu; timer will fire
	closed  bool                     // guarded by mu; no looks any more
	differ  map[string]clock.Instant // guarded by mu; since when peers are known to have other lists
	lacking map[string]clock.Instant // guarded by mu; since when peers are known to lack groups
	groups  map[string]uint64        // guarded by mu; what peers said last of their groups
}

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

func newConfigWatch(p *Cluster) *configWatch {
	return &configWatch{pool: p, differ: make(map[string]clock.Instant), lacking: make(map[string]clock.Instant), groups: make(map[string]uint64)}
}

// begin begins to look, unless it is in progress.
func (w *configWatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running || w.closed || w.pool.stateless {
		return
	}
	w.running = true
	if w.timer == nil {
		w.timer = time.AfterFunc(watchEvery, w.look)
	} else {
		w.timer.Reset(watchEvery)
	}
}

// end makes no more looks.
func (w *configWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// saidGroups records what a peer says of its groups, see groupsID, and begins to look if they
// are others than here.
func (w *configWatch) saidGroups(peer string, id uint64) {
	w.mu.Lock()
	changed := w.groups[peer] != id && id != 0
	if changed {
		w.groups[peer] = id
	}
	w.mu.Unlock()
	if changed && id != w.pool.groupsID.Load() {
		w.begin()
	}
}

// look looks once, and says when to look again.
func (w *configWatch) look() {
	others, lacking := w.suspects()
	var asks errgroup.Group
	asks.SetLimit(asksOfWatch)
	for peer, both := range others {
		asks.Go(func() error {
			w.ask(peer, both, lacking[peer])
			return nil
		})
	}
	asks.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	dissent := slices.Contains(slices.Collect(maps.Values(others)), true)
	w.running = !w.closed && (dissent || len(w.differ)+len(w.lacking) > 0)
	if w.running {
		w.timer.Reset(watchEvery)
	}
}

// suspects returns the peers that are to be asked: whether each has another list, and which
// may lack groups. It forgets those that are no peers any more.
func (w *configWatch) suspects() (others, lacking map[string]bool) {
	p := w.pool
	p.consent.mu.Lock()
	v, dissent := p.view.Load(), maps.Clone(p.consent.dissent)
	p.consent.mu.Unlock()
	others, lacking = make(map[string]bool), make(map[string]bool)
	mine := p.groupsID.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := func(peer string) bool { return v.has(peer) == nil }
	maps.DeleteFunc(w.groups, func(peer string, _ uint64) bool { return gone(peer) })
	maps.DeleteFunc(w.differ, func(peer string, _ clock.Instant) bool { return gone(peer) })
	maps.DeleteFunc(w.lacking, func(peer string, _ clock.Instant) bool { return gone(peer) })
	for peer, id := range w.groups {
		if id != mine {
			others[peer], lacking[peer] = false, true
		} else {
			w.solve(w.lacking, peer, MissingGroup)
		}
	}
	for peer := range dissent {
		if !gone(peer) {
			others[peer] = true
		}
	}
	for peer := range w.differ {
		if !others[peer] {
			w.solve(w.differ, peer, DifferentLists)
		}
	}
	return others, lacking
}

// solve removes a problem of a peer, if it has it. The caller holds w.mu.
func (w *configWatch) solve(since map[string]clock.Instant, peer string, kind ConfigProblem) {
	if _, ok := since[peer]; ok {
		delete(since, peer)
		w.pool.problems.solved(peer, kind)
	}
}

// ask asks a peer for its list and its groups. What is not answered is no problem of the
// configuration.
func (w *configWatch) ask(peer string, differs, lacks bool) {
	p := w.pool
	ctx, cancel := context.WithTimeout(p.life, p.detectionTime())
	defer cancel()
	difference, answer := p.askDifference(ctx, peer)
	var missing []string
	if answer != nil && lacks {
		missing = lacking(slices.Sorted(maps.Keys(*p.groups.Load())), slices.Sorted(slices.Values(answer.GroupNames)))
		w.mu.Lock()
		w.groups[peer] = answer.Groups
		w.mu.Unlock()
	}
	w.found(w.differ, peer, DifferentLists, differs && difference != "", "the lists of peers differ: %s: want the same list in all processes", difference)
	w.found(w.lacking, peer, MissingGroup, len(missing) > 0, "it has no group of the name %s: want the same groups in all processes", quote.Some(quote.All(missing)))
}

// found records whether something is wrong with a peer. If it lasts, it is a problem.
func (w *configWatch) found(since map[string]clock.Instant, peer string, kind ConfigProblem, is bool, format, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !is {
		w.solve(since, peer, kind)
		return
	}
	now := clock.Now()
	if since[peer] == 0 {
		since[peer] = now
	}
	if now >= since[peer].Plus(min(differAfter, w.pool.handover.time/2)) {
		w.pool.problems.found(peer, kind, fmt.Errorf(format, what))
	}
}

// lack returns the peers that are known to lack groups.
func (w *configWatch) lack() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.lacking))
}

// groupsID stands for the names of groups: equal ones for equal names.
func groupsID(groups map[string]Group) uint64 {
	h := xxhash.New()
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		h.WriteString(name)
		h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// answerGroups says which groups this process has: all their names only if they are asked for.
func (p *Cluster) answerGroups(answer *peer.Changed, names bool) {
	answer.Groups = p.groupsID.Load()
	if !names {
		return
	}
	bytes := 0
	for _, name := range slices.Sorted(maps.Keys(*p.groups.Load())) {
		if bytes += len(name) + 8; bytes > mostMembersBytes/2 {
			return
		}
		answer.GroupNames = append(answer.GroupNames, name)
	}
}
