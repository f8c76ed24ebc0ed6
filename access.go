package peercache

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Operation is what somebody asks a process for: see Access.
type Operation int

const (
	// OpGet asks for values of a group.
	OpGet Operation = iota + 1
	// OpChange is a Remove or a Set of a group, or offers values of it.
	OpChange
	// OpClear is a Clear of a group.
	OpClear
	// OpMembership says that a process has a list of peers, leaves, or is back, or asks for such
	// things. Peers do it all the time: to refuse it to one is to take it off the list.
	OpMembership
)

var operations = [...]string{OpGet: "get", OpChange: "change", OpClear: "clear", OpMembership: "membership"}

// String returns the operation in lower case, such as "get".
func (o Operation) String() string {
	if o > 0 && int(o) < len(operations) {
		return operations[o]
	}
	return fmt.Sprintf("Operation(%d)", int(o))
}

// Access is a request to this process, for the func of a WithAccess.
type Access struct {
	// From is the base URL by which the sender calls itself, and Trust says what of that was
	// verified. It is empty for a sender without a name, such as golang/groupcache's peers.
	From  string
	Trust peer.Trust
	// Member says that From is on the list of this process, or was within the last two minutes.
	Member    bool
	Operation Operation
	Group     string // empty for OpMembership
	// Default is what the pool does without a WithAccess: nil if it lets the sender in.
	Default error
}

// WithAccess makes allow decide what those who ask this process may do, in place of the default:
// it returns nil to allow what it is asked for, and an error to refuse it. allow must not block,
// and may be called concurrently. It is called for each request, and for each key of a batch; a
// panic is a refusal. Its error is logged, and not sent: who is refused gets ErrUnauthorized. To
// make exceptions, return the request's Default for all else:
//
//	peercache.WithAccess(func(a peercache.Access) error {
//		if a.From == "https://console.example:8443" && a.Operation == peercache.OpClear {
//			return nil
//		}
//		return a.Default
//	})
//
// The default: whoever is on the list may do everything. If certificates or a WithAuthenticator
// say who asks (peer.Named), all others may do nothing. If whoever asks has proven to be of this
// cluster (peer.Vouched: with WithSecrets, or peertls.WithIdentity), it may do everything, on the
// list or not. If nothing is verified (peer.Claimed), anybody may do everything, because anybody
// may take a name that is on the list. Who has no name may only get, in a pool that has a
// WithGroupcacheCompat.
func WithAccess(allow func(a Access) error) PoolOption {
	return func(o *poolOptions) error {
		if allow == nil {
			return errors.New("WithAccess(nil): want a func, or leave the option out")
		}
		if o.allow != nil {
			return errors.New("WithAccess twice: want one func")
		}
		o.allow = allow
		return nil
	}
}

// audit returns where the events of the pool are recorded.
func (o *poolOptions) audit() *audit.Log {
	if o.audits == nil {
		o.audits = audit.New(o.cluster.Log)
	}
	return o.audits
}

// AccessStats counts what others did to a process that its operators may have to explain. Each is
// also logged: see WithPoolLogger. PoolStatus counts the changes of the view that came of it.
type AccessStats struct {
	// Unauthenticated are connections and requests that were refused because the sender has not
	// proven who it is, Unauthorized requests because it may not do that.
	Unauthenticated, Unauthorized int64
	Leaves                        int64 // times that a peer has left, by its own word or that of others
	Clears                        int64 // calls of Group.Clear here, and requests of peers, at least two for each call there
}

// AccessStats returns what has been counted since the pool was made.
func (p *Pool) AccessStats() AccessStats {
	if p == nil || p.cluster == nil {
		return AccessStats{}
	}
	a := p.cluster.Audit()
	return AccessStats{
		Unauthenticated: a.Count(audit.Unauthenticated), Unauthorized: a.Count(audit.Unauthorized),
		Leaves: a.Count(audit.Leave), Clears: a.Count(audit.Clear),
	}
}

// sender is the process whose requests come by one connection, or one request of it.
type sender struct {
	pool  *Pool
	from  string // its name, or empty
	trust peer.Trust
	// open says that it may do everything, listed or not. Then nothing is looked up.
	open    bool
	listing cluster.Listing
}

// init sets who sends.
func (s *sender) init(p *Pool, from peer.Identity) {
	s.pool, s.from, s.trust = p, from.Name, from.Trust
	s.open = p.allow == nil && from.Trust != peer.Named && (from.Name != "" || !p.stateless)
}

var (
	errNotListed = errors.New("it is not on the list of peers here (normal for a moment in a deploy)")
	errNameless  = errors.New("it does not say who it is, so it may only get")
	// errByAccess is what is sent in place of the user's own error.
	errByAccess = errors.New("the WithAccess of this process refuses it")
)

// forbids returns why the sender may not do something; nil, if it may. It allocates nothing.
func (s *sender) forbids(group string, op Operation) error {
	if s.open {
		return nil
	}
	member, err := false, error(nil)
	switch {
	case s.from == "" && s.pool.stateless:
		if op != OpGet {
			err = errNameless
		}
	case s.trust == peer.Named || s.pool.allow != nil:
		member = s.pool.cluster.IsListed(s.from, &s.listing)
		if !member && s.trust == peer.Named {
			err = errNotListed
		}
	}
	if s.pool.allow == nil {
		return err
	}
	return s.pool.allows(Access{From: s.from, Trust: s.trust, Member: member, Operation: op, Group: group, Default: err})
}

// allows asks the user's func. A panic is a refusal.
func (p *Pool) allows(a Access) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the func of WithAccess panicked: %v", r)
		}
	}()
	return p.allow(a)
}

// authorize returns a peer.Refusal if the sender may not do something, and records that.
func (s *sender) authorize(group string, op Operation) error {
	err := s.forbids(group, op)
	if err == nil {
		return nil
	}
	level := slog.LevelWarn
	if op == OpMembership && err == errNotListed {
		level = slog.LevelInfo // as a process that starts, which the list does not have yet
	}
	s.pool.cluster.Audit().Record(audit.Unauthorized, level, op.String()+" "+s.from, "a request was refused",
		audit.Identity(s.from), slog.String("operation", op.String()), slog.String("group", shortGroup(group)), slog.Any("err", err))
	told := err
	if err != errNotListed && err != errNameless {
		told = errByAccess
	}
	return peer.RefuseUnauthorized(fmt.Sprintf("%s of %s: %v", op, quote.Key(s.from), told))
}

// authorizeChange returns a peer.Refusal if the sender may not do all that a Change says.
func (s *sender) authorizeChange(c *Change) error {
	if s.open {
		return nil
	}
	values := false
	if c.All {
		if err := s.authorize(c.Group, OpClear); err != nil {
			return err
		}
		values = true
	}
	if len(c.Keys) > 0 || c.Item != nil || len(c.Offered) > 0 {
		if err := s.authorize(c.Group, OpChange); err != nil {
			return err
		}
		values = true
	}
	if c.Watch > 0 { // it is told which keys change
		if err := s.authorize(c.Group, OpGet); err != nil {
			return err
		}
	}
	state := &c.State
	if values && state.View == 0 && !state.Leaving && len(state.Absent) == 0 && !c.Announced && !c.Members && !c.Relay && len(c.PassOn) == 0 && len(c.Since) == 0 && len(c.Roll.Packed) == 0 {
		return nil // it says nothing of peers
	}
	return s.authorize("", OpMembership)
}

// shortGroup returns the name of a group, which may be any text, for the log.
func shortGroup(name string) string { return name[:min(len(name), peer.MaxGroupName)] }

// auditClear records that a group is cleared.
func auditClear(c *cluster.Cluster, who, group string) {
	c.Audit().Record(audit.Clear, slog.LevelInfo, group+" "+who, "a group is cleared", audit.Identity(who), slog.String("group", group))
}
