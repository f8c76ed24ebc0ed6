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

// Each request and each response says who sends it: its name, its process number, its cluster.
// So a wrong configuration shows: two processes at one address, two addresses of one process, a
// process of another cluster.

// Identity returns what this process says of itself with each request and each response.
func (c *Cluster) Identity() peer.Identity {
	return peer.Identity{Name: c.self, Process: c.agreement.process, Cluster: c.name}
}

// Accept returns the Handler of a request, see peer.Process. A request that does not fit this
// process is a sign that its own address may be wrong: the address is checked.
func (c *Cluster) Accept(from peer.Identity, to string) (peer.Handler, error) {
	switch {
	case from.Name == "": // golang/groupcache, or a person
	case from.Cluster != c.name:
		return nil, fmt.Errorf("%w: it belongs to %s, and the request is of %s", peer.ErrWrongPeer, clusterText(c.name), clusterText(from.Cluster))
	case from.Name == c.self && from.Process != c.agreement.process:
		c.own.lookAgain() // another process has the name of this one
	case to != "" && to != c.self:
		c.own.lookAgain()
		return nil, errMisdirected(c.self, to)
	case to == c.self && c.view.Load().lists(from.Name):
		c.own.markReached()
	}
	return c.handler(from), nil
}

// checkIdentity returns an error if the process that has answered is not this peer. The request
// was sent at that instant.
func (m *Member) checkIdentity(by peer.Identity, sent clock.Instant) error {
	c := m.cluster
	switch {
	case by.Cluster != c.name:
		return fmt.Errorf("%w: it belongs to %s, and this process to %s", peer.ErrWrongPeer, clusterText(by.Cluster), clusterText(c.name))
	case by.Process == c.agreement.process:
		return fmt.Errorf("%w: this process itself answers there, but its self is %s: if %s is its address, give that to NewHTTPPool, else take one of the two off the list", peer.ErrWrongPeer, c.self, m.name)
	case by.Name != m.name && by.Name == c.self:
		return fmt.Errorf("%w: the process that answers there has the self of this one, %s (a copied setting?): start it with the self %s", peer.ErrWrongPeer, c.self, m.name)
	case by.Name != m.name && c.view.Load().lists(by.Name):
		return fmt.Errorf("%w: the process that answers there has the self of another peer, %s (a copied setting?): start it with the self %s", peer.ErrWrongPeer, quote.Key(by.Name), m.name)
	case by.Name != m.name:
		return fmt.Errorf("%w: the process that answers there calls itself %s, which is not in the list: want that there in place of %s, or %[3]s as its self", peer.ErrWrongPeer, quote.Key(by.Name), m.name)
	}
	other, anew, two := m.answerer.observe(by.Process, sent)
	if anew {
		m.conn.Replaced(by.Process)
	}
	if two {
		return fmt.Errorf("%w: two processes answer there, number %d and number %d: want an address for each", peer.ErrWrongPeer, by.Process, other)
	}
	return nil
}

// errMisdirected returns the error for a request that is for another process.
func errMisdirected(self, to string) error {
	return fmt.Errorf("%w: this process is %s, and the request is for %s", peer.ErrWrongPeer, self, quote.Key(to))
}

func clusterText(name string) string {
	if name == "" {
		return "no named cluster"
	}
	return "the cluster " + quote.Key(name)
}

// twoFor is how long two processes count as being at one address after both have answered
// there.
const twoFor = 10 * time.Second

// answerer is the process that answers at the address of a peer.
type answerer struct {
	mu       sync.Mutex    // guards the fields below
	process  uint32        // 0: none has answered yet
	since    clock.Instant // when it has answered first
	earlier  [4]uint32     // those before it, the last one first
	twoUntil clock.Instant // until then two count as being there
}

// observe records that a process has answered a request that was sent at that instant. It
// reports whether the process has just come to the address, and whether two processes are
// there: a process is still there if it answers a request that was sent after its successor had
// answered. An answer to a request that was sent before the present process has answered first
// tells nothing: it may be a late one, of a process that is about to end.
func (a *answerer) observe(process uint32, sent clock.Instant) (other uint32, anew, two bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := clock.Now()
	anew = process != a.process && process != 0 && (a.process == 0 || sent > a.since)
	if anew {
		if slices.Contains(a.earlier[:], process) {
			a.twoUntil = now.Plus(twoFor)
		}
		copy(a.earlier[1:], a.earlier[:])
		a.earlier[0], a.process, a.since = a.process, process, now
	}
	return a.earlier[0], anew, now < a.twoUntil
}
