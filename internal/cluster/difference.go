package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Reconcile asks a peer with another view which one it has now, and observes the answer. It
// describes the difference. Empty means that there is none, or that it is not known.
func (c *Cluster) Reconcile(ctx context.Context, name string) (difference string) {
	difference, _ = c.askDifference(ctx, name)
	return difference
}

// askDifference asks a peer for its view, and describes what its list has that this process's
// list has not, and the other way round. The text is empty if the views are the same. It is
// empty, and changed is nil, if the peer is not in the view or does not answer.
func (c *Cluster) askDifference(ctx context.Context, name string) (difference string, changed *peer.Changed) {
	m := c.view.Load().member(name)
	if m == nil {
		return "", nil
	}
	answer, err := m.send(ctx, peer.Change{Members: true})
	if errors.Is(err, peer.ErrUnauthorized) {
		return fmt.Sprintf("it does not tell this process which peers it has: %v", err), nil
	}
	if err != nil {
		return "", nil
	}
	return c.differenceTo(&answer), &answer
}

// differenceTo describes the difference to the view of the peer whose answer this is.
func (c *Cluster) differenceTo(answer *peer.Changed) string {
	v := c.view.Load()
	if answer.State.View == 0 || answer.State.View == v.id {
		return ""
	}
	mine, theirs := v.listing(), c.validMembers(answer.Members)
	if len(theirs) == 0 || len(theirs) != answer.Size {
		return fmt.Sprintf("its list has %s, with the number %x, and this one's %d, with the number %x",
			sizeOf(answer.Size), answer.State.View, len(mine), v.id)
	}
	var texts []string
	mine, theirs, both := otherwiseListed(mine, theirs)
	if len(both) > 0 {
		texts = append(texts, quote.Some(both))
	}
	if more := lacking(theirs, mine); len(more) > 0 {
		texts = append(texts, quote.Some(more)+quote.IsOrAre(more)+"in its list and not in this one's")
	}
	if more := lacking(mine, theirs); len(more) > 0 {
		texts = append(texts, quote.Some(more)+quote.IsOrAre(more)+"in this one's list and not in its")
	}
	return strings.Join(texts, "; ")
}

// otherwiseListed returns two lists, in order, without the peers that one of them says own nothing,
// and the other one does not. both says which these are.
func otherwiseListed(mine, theirs []string) (restOfMine, restOfTheirs, both []string) {
	differs := func(text string, others []string) bool {
		name, owns := discovery.SplitPeer(text)
		if owns {
			name = discovery.OwningNothing(name)
		}
		_, there := slices.BinarySearch(others, name)
		return there
	}
	restOfTheirs = slices.DeleteFunc(slices.Clone(theirs), func(text string) bool { return differs(text, mine) })
	restOfMine = slices.DeleteFunc(slices.Clone(mine), func(text string) bool {
		there := differs(text, theirs)
		switch name, owns := discovery.SplitPeer(text); {
		case there && owns:
			both = append(both, name+" owns keys by this one's list, and nothing by its")
		case there:
			both = append(both, name+" owns nothing by this one's list, and keys by its")
		}
		return there
	})
	return restOfMine, restOfTheirs, both
}

// validMembers returns those names of a peer's view that can be peers, in order and each once.
func (c *Cluster) validMembers(members []string) []string {
	valid := slices.DeleteFunc(slices.Clone(members), func(name string) bool {
		name, _ = discovery.SplitPeer(name)
		return c.transport.Check(name) != nil
	})
	slices.Sort(valid)
	return slices.Compact(valid)
}

// lacking returns those of the names that are not among the others.
func lacking(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, there := slices.BinarySearch(others, name)
		return there
	})
}

// sizeOf says how many peers a view has. 0 is not known.
func sizeOf(n int) string {
	if n == 0 {
		return "a number of peers that is not known"
	}
	return fmt.Sprintf("%d peers", n)
}
