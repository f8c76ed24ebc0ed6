package simnet

import (
	"fmt"
	"time"
)

// Kind is a kind of event.
type Kind string

// The kinds of events, and what From and To are then.
const (
	Dialled    Kind = "dial"     // a host, an address
	Refused    Kind = "refused"  // a host, an address
	Opened     Kind = "open"     // two addresses
	Closed     Kind = "close"    // two addresses; the first one did it
	WasCut     Kind = "cut"      // two hosts, or none for a partition
	Healed     Kind = "heal"     // two hosts, or none for all
	WasReset   Kind = "reset"    // two hosts
	Isolated   Kind = "isolate"  // a host
	Rejoined   Kind = "rejoin"   // a host
	Frozen     Kind = "freeze"   // a host
	Thawed     Kind = "thaw"     // a host
	Crashed    Kind = "crash"    // a host
	PoweredOff Kind = "poweroff" // a host
	Started    Kind = "start"    // a host
)

// Event is something that happened in a network.
type Event struct {
	At       time.Duration // since New
	Kind     Kind
	From, To string
}

func (e Event) String() string { return fmt.Sprintf("%v %s %s %s", e.At, e.Kind, e.From, e.To) }

// emit calls the trace hook. n.mu is held.
func (n *Network) emit(kind Kind, from, to string) {
	if n.trace != nil {
		n.trace(Event{n.now(), kind, from, to})
	}
}

// LinkStats counts what happened on a link in one direction.
type LinkStats struct {
	Dials    int64 // that were begun
	Refused  int64 // of these
	Open     int64 // connections of which no end is closed, whoever dialled
	Messages int64 // writes
	Bytes    int64 // written
}

// LinkStats returns the figures of what from did and sent to to.
func (n *Network) LinkStats(from, to string) LinkStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pair(from, to)[0].stats
}

// Stats returns the sums over all links, where a connection counts once.
func (n *Network) Stats() (sum LinkStats) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		sum.Dials += l.stats.Dials
		sum.Refused += l.stats.Refused
		sum.Open += l.stats.Open
		sum.Messages += l.stats.Messages
		sum.Bytes += l.stats.Bytes
	}
	sum.Open /= 2
	return sum
}
