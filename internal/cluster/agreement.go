package cluster

import (
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// Agreement says how far the peers of a view are known to have that view.
type Agreement struct {
	Epoch    uint64          // a higher one with each change of what follows
	Since    clock.Instant   // when a peer last began to have another view, or came anew; 0: never
	Peers    []peer.Peer     // of the view, without this process
	Absent   []peer.Peer     // that are leaving, and may be back at any time
	Departed []peer.Peer     // that were in a view before
	agreed   map[string]bool // peers that were heard to have the view; not to be written to
	// Dissenter is a peer that has another view, or empty if none is known.
	Dissenter string
	Next      <-chan struct{} // closed when there is a later epoch
}

// Changing reports whether values may be with peers that the view does not make their
// Candidates. They are no longer than a stand-in's time d after the last change.
func (a *Agreement) Changing(d time.Duration) bool {
	return a.Since != 0 && clock.Now() < a.Since.Plus(d)
}

// Confirmed reports whether a peer was heard to have the view. One that was not may take
// itself for the owner of any key.
func (a *Agreement) Confirmed(p peer.Peer) bool { return a.agreed == nil || a.agreed[p.Name()] }
