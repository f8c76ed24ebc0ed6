package cluster

import (
	"log/slog"
	"sync/atomic"

	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// The pool decides who may do what (peercache.WithAccess). As a rule that is who is a peer here:
// listed, or departed so lately that it may not know of it, and may still hand its values over.
//
// A process that starts, and one whose list is older, may not be listed here yet. What it says of
// itself counts for nothing here before it is, whoever it is. But it has to know that this process
// has another view: it is not ready then, keeps values for a shorter time, and waits with its
// changes. So a refusal carries the state of this process, as any answer to a Change does.

// Listing remembers that a name is listed, as long as the view stays the same. The zero value knows
// nothing.
type Listing struct{ in atomic.Pointer[view] }

// IsListed reports whether a name is that of a peer, as IsPeer does, or of this process. It costs
// next to nothing while it is in the same view.
func (c *Cluster) IsListed(name string, l *Listing) bool {
	v := c.view.Load()
	if l.in.Load() == v {
		return true
	}
	if name == "" {
		return false
	}
	if name == c.self || v.lists(name) {
		l.in.Store(v)
		return true
	}
	return c.IsPeer(name)
}

// Refused returns the answer to a Change that is refused. It has the state of this process: so the
// sender knows whether it has the same view.
func (c *Cluster) Refused(from string) peer.Changed {
	return peer.Changed{State: c.stateFor(from)}
}

// Audit returns where events are recorded.
func (c *Cluster) Audit() *audit.Log { return c.audit }

// viewCauses are the peers because of which the view is about to change. The mu of the cluster
// guards them.
type viewCauses map[string]bool

// The values of the attribute "by" of the event View.
const (
	bySet       = "set"
	byDiscovery = "discovery"
	byPeers     = "peers"
	byShutdown  = "shutdown"
)

// changedBy returns why a view changes that comes from a list.
func (c *Cluster) changedBy() (by string, who []string) {
	if c.membership != nil {
		return byDiscovery, []string{c.self}
	}
	return bySet, []string{c.self}
}

// auditView records that the view has changed from old to v, and why. old is nil in New. The
// caller holds c.mu.
func (c *Cluster) auditView(old, v *view, by string, who []string) {
	if old == nil || old.id == v.id {
		return
	}
	came, left := lacking(v.names, old.names), lacking(old.names, v.names)
	identity := quote.Some(who)
	c.audit.RecordLocked(audit.View, slog.LevelInfo, by+" "+identity, "the view has changed",
		audit.Identity(identity), slog.String("by", by), slog.Int("peers", len(v.names)),
		slog.String("came", quote.Some(came)), slog.String("left", quote.Some(left)))
}

// auditLeave records that a peer leaves. process is 0 if others said so, and nothing listens there. The
// caller holds c.mu.
func (c *Cluster) auditLeave(name string, process uint32) {
	said := "itself"
	if process == 0 {
		said = "others"
	}
	c.audit.RecordLocked(audit.Leave, slog.LevelInfo, name, "a peer leaves", audit.Identity(name), slog.String("by", said))
}
