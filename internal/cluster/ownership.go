package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// A peer may be listed as one that owns nothing (discovery.OwningNothing). It is in the view like all
// others: it is told of the view, of changes, and may have copies under leases. But the ring has no
// point of it, so that no key is ever its own. That is a part of the list, and not of the peer: so
// the ring is still a function of the list, the same in all processes (P9), and two lists that
// differ in it are different lists.
//
// If such peers alone come or go, no key moves. So what is known of the view before, from which
// values may still be taken over, stays as it is (view.before), and nobody hands anything over.
//
// Such a peer relays nothing (coordinatorOf): it comes and goes more often than others, and a
// coordinator that is gone costs all of them time. As a witness it is as good as another one, but it
// is asked after the owners, to which it may be less near.

// splitList returns the names of the peers in a list, and which of them own nothing; nil, if all
// may own keys. owners is how many may.
func splitList(texts []string) (names []string, nonOwners map[string]bool, owners int) {
	names = make([]string, len(texts))
	for i, text := range texts {
		name, owns := discovery.SplitPeer(text)
		if names[i] = name; owns {
			owners++
			continue
		}
		if nonOwners == nil {
			nonOwners = make(map[string]bool)
		}
		nonOwners[name] = true
	}
	return names, nonOwners, owners
}

// asListed returns the text by which a peer is listed.
func asListed(name string, nonOwners map[string]bool) string {
	if nonOwners[name] {
		return discovery.OwningNothing(name)
	}
	return name
}

// ownersOf returns those of the names that may own keys, in their order.
func ownersOf(names []string, nonOwners map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return nonOwners[name] })
}

// viewID returns a number for a set of peers: the same one for the same peers, in any order. The
// upper half of it is of those that may own keys alone.
func viewID(names []string, nonOwners map[string]bool) uint64 {
	h, rest := xxhash.New(), xxhash.New()
	ownless := false
	for _, name := range slices.Sorted(slices.Values(names)) {
		to := h
		if nonOwners[name] {
			to, ownless = rest, true
		}
		to.WriteString(name)
		to.Write([]byte{0})
	}
	id := max(h.Sum64(), 1)
	if ownless {
		id ^= max(rest.Sum64()&(1<<32-1), 1)
	}
	return max(id, 1)
}

// owns reports whether the peer of that name, or this process, may own keys in v.
func (v *view) owns(name string) bool {
	_, in := slices.BinarySearch(v.names, name)
	return in && !v.nonOwners[name]
}

// listing returns all in the view as they are listed, in order.
func (v *view) listing() []string {
	texts := make([]string, len(v.names))
	for i, name := range v.names {
		texts[i] = asListed(name, v.nonOwners)
	}
	slices.Sort(texts)
	return texts
}

// Owns reports whether this process may own keys. It may not if it is listed as one that owns
// nothing, and if nobody of the view owns anything.
func (c *Cluster) Owns() bool {
	v := c.view.Load()
	return v.ring != nil && !v.nonOwners[c.self]
}

// Owners returns how many processes of the view may own keys.
func (c *Cluster) Owners() int { return len(c.view.Load().owners) }

// ownText returns the text by which this process wants to be listed.
func (c *Cluster) ownText() string {
	if c.ownsNothing {
		return discovery.OwningNothing(c.self)
	}
	return c.self
}

// isIn reports whether a list has this process, whatever it is to own.
func (c *Cluster) isIn(texts []string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		name, _ := discovery.SplitPeer(text)
		return name == c.self
	})
}

// checkOwnership returns an error if the list has this process as one that owns keys, and it is to
// own nothing, or the other way round.
func (c *Cluster) checkOwnership(nonOwners map[string]bool) error {
	switch {
	case nonOwners[c.self] == c.ownsNothing:
		return nil
	case c.ownsNothing:
		return fmt.Errorf("this process has WithoutOwnership, and the list of peers says that it owns keys: want %s in the lists of all processes in place of %s, or no WithoutOwnership",
			quote.Key(c.ownText()), c.self)
	}
	return fmt.Errorf("the list of peers says that this process owns nothing, and it has no WithoutOwnership: want that option, or %s in the lists of all processes in place of %s",
		c.self, quote.Key(discovery.OwningNothing(c.self)))
}

// noteOwnership records whether the list has this process as what it is. A list of Set that does not is
// refused, but one of a discovery is that of the others as well: it counts, and this is a problem.
func (c *Cluster) noteOwnership(nonOwners map[string]bool) {
	if err := c.checkOwnership(nonOwners); err != nil {
		c.problems.found(c.self, peer.DifferentLists, err)
		return
	}
	c.problems.solved(c.self, peer.DifferentLists)
}

var errNobodyOwns = errors.New("nobody in the list of peers owns anything: want at least one that does")
