package cluster

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// answerer is the process that answers at the address of a peer.
type answerer struct {
	mu       sync.Mutex
	process  uint32        // guarded by mu; 0: none has answered yet
	since    clock.Instant // guarded by mu; when it was first heard
	earlier  [4]uint32     // guarded by mu; those before it, the last first
	twoUntil clock.Instant // guarded by mu; until then two count as being there
}

// twoFor is for how long two processes count as being at one address after both have
// answered there.
const twoFor = 10 * time.Second

// heard records that a process has answered a request that was sent at an instant. It
// reports whether it is there anew, and whether more than one process is there: one that
// answers a request which was sent after its successor was heard has not ended. An answer to
// a request that was sent before the present process was first heard may be a late one, of
// a process that is about to end, and tells nothing.
func (a *answerer) observe(process uint32, asked clock.Instant) (other uint32, anew, two bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := clock.Now()
	anew = process != a.process && process != 0 && (a.process == 0 || asked > a.since)
	if anew {
		if slices.Contains(a.earlier[:], process) {
			a.twoUntil = now.Plus(twoFor)
		}
		copy(a.earlier[1:], a.earlier[:])
		a.earlier[0], a.process, a.since = a.process, process, now
	}
	return a.earlier[0], anew, now < a.twoUntil
}

// checkIdentity returns an error if the process that has answered is not this peer. The request
// was sent at the instant asked.
func (m *Member) checkIdentity(who peer.Identity, asked clock.Instant) error {
	c := m.cluster
	switch {
	case who.Cluster != c.name:
		return fmt.Errorf("%w: it belongs to %s, and this process to %s", peer.ErrWrongPeer, clusterText(who.Cluster), clusterText(c.name))
	case who.Process == c.agreement.process:
		return fmt.Errorf("%w: this is another address of this process, whose self is %s: if %s is its right one, give that to NewHTTPPool, else want each process once in the list", peer.ErrWrongPeer, c.self, m.name)
	case who.Name != m.name && (who.Name == c.self || c.view.Load().lists(who.Name)):
		return fmt.Errorf("%w: the process that answers there calls itself %s, which is the address of another peer (a copied setting?): start it with the self %s", peer.ErrWrongPeer, quote.Key(who.Name), m.name)
	case who.Name != m.name:
		return fmt.Errorf("%w: the process that answers there calls itself %s, which is not in the list: want that there in place of %s, or %[3]s as its self", peer.ErrWrongPeer, quote.Key(who.Name), m.name)
	}
	other, anew, two := m.answerer.observe(who.Process, asked)
	if anew {
		m.conn.Replaced(who.Process)
	}
	if two {
		return fmt.Errorf("%w: two processes answer there, number %d and number %d: want an address for each", peer.ErrWrongPeer, who.Process, other)
	}
	return nil
}

// errMisdirected is why a request is refused that is for another process.
func errMisdirected(self, to string) error {
	return fmt.Errorf("%w: this process is %s, and the request is for %s", peer.ErrWrongPeer, self, quote.Key(to))
}

func clusterText(name string) string {
	if name == "" {
		return "no named cluster"
	}
	return "the cluster " + quote.Key(name)
}

// Identity implements peer.Local.
func (c *Cluster) Identity() peer.Identity {
	return peer.Identity{Name: c.self, Process: c.agreement.process, Cluster: c.name}
}

// Accept implements peer.Local. What a request says is a hint that the own address may be wrong,
// which is looked into.
func (c *Cluster) Accept(from peer.Identity, to string) (peer.Handler, error) {
	switch {
	case from.Name == "": // golang/groupcache, or a person
	case from.Cluster != c.name:
		return nil, fmt.Errorf("%w: it belongs to %s, and the request is of %s", peer.ErrWrongPeer, clusterText(c.name), clusterText(from.Cluster))
	case from.Name == c.self && from.Process != c.agreement.process:
		c.own.lookAgain() // who asks calls itself as this process does
	case to != "" && to != c.self:
		c.own.lookAgain()
		return nil, errMisdirected(c.self, to)
	case to == c.self && c.view.Load().lists(from.Name):
		c.own.markReached()
	}
	return c.handler(from.Name), nil
}

// Degraded implements peer.Local.
func (c *Cluster) Degraded(name, what string, err error) { c.problems.degraded(name, what, err) }
