package discovery

import (
	"maps"
	"slices"
	"time"
)

// absent are the peers that the last answers did not have, and who stay for a while.
type absent struct {
	keep  time.Duration
	since map[string]time.Time // when an answer first lacked them
	// returns counts the answers, one after the other, in which somebody was back. Where a
	// name server gives the peers in turns, all of them are such.
	returns int
	warned  bool
}

// add returns found, and those of the last view who are missing in it and stay, in order.
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

// contains reports whether a list that is in order has a peer.
func contains(sorted []string, peer string) bool {
	_, ok := slices.BinarySearch(sorted, peer)
	return ok
}

// manyReturns is how many answers in a row have to bring peers back until that is no chance,
// nor a restart of some.
const manyReturns = 3

// warnOfParts warns once if the answers are a part of the peers each.
func (s settings) warnOfParts(a *absent) {
	if a.returns < manyReturns || a.warned {
		return
	}
	a.warned = true
	s.log.Warn("each answer has only a part of the peers: want a name server that gives all of them, else the views differ",
		"missing now", len(a.since), "kept for", s.keep)
}
