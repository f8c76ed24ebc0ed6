package discovery

import (
	"maps"
	"slices"
	"time"
)

// absent are the peers that the last answers did not have, and that stay in the view for a while.
type absent struct {
	keep  time.Duration
	since map[string]time.Time // when an answer first lacked each of them
	// returns counts the answers in a row in which a peer was back. If a name server gives the
	// peers in turns, each answer is one of these.
	returns int
	warned  bool
}

// add returns found together with the peers of the last view that found lacks and that stay, in
// order.
func (a *absent) add(found, last []string) []string {
	now := time.Now()
	back := false
	for _, peer := range found {
		if _, was := a.since[peer]; was {
			back = true
			delete(a.since, peer)
		}
	}
	if back {
		a.returns++
	} else {
		a.returns = 0
	}
	for _, peer := range last {
		if _, known := a.since[peer]; !known && a.keep > 0 && !contains(found, peer) {
			a.since[peer] = now
		}
	}
	maps.DeleteFunc(a.since, func(_ string, since time.Time) bool { return now.Sub(since) >= a.keep })
	all := slices.AppendSeq(slices.Clone(found), maps.Keys(a.since))
	slices.Sort(all)
	return slices.Compact(all)
}

// contains reports whether a sorted list has a peer.
func contains(sorted []string, peer string) bool {
	_, ok := slices.BinarySearch(sorted, peer)
	return ok
}

// manyReturns is how many answers in a row have to bring peers back before there is a warning.
// Fewer may be chance, or some peers that restart.
const manyReturns = 3

// warnOfParts warns once if each answer has only a part of the peers.
func (s settings) warnOfParts(a *absent) {
	if a.returns < manyReturns || a.warned {
		return
	}
	a.warned = true
	s.log.Warn("each answer has only a part of the peers: want a name server that gives all of them, else the views differ",
		"missing now", len(a.since), "kept for", s.keep)
}
