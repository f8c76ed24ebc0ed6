package resp

import (
	"maps"
	"slices"
	"time"
)

// session is what a client has said of itself and of what it wants. It is of the goroutine that
// serves the client.
type session struct {
	proto int
	user  *user // nil: it has not said who it is, and must

	muted     bool // CLIENT REPLY OFF
	skip      bool // CLIENT REPLY SKIP: the next reply is not sent
	inChannel map[string]struct{}
	inPattern map[string]struct{}
	inShard   map[string]struct{} // channels of SSUBSCRIBE

	multi          bool // after MULTI
	aborted        bool // a command could not be queued
	queue          []queued
	queuedBytes    int  // reserved for queue
	groups, others bool // the queue has commands of groups, of the fallback
	watching       bool // WATCH of the fallback
	watchedBytes   int  // of keptBytes: what WATCH takes
	keptBytes      int  // reserved for subscriptions and watched keys
	memo           memo // what a transaction has read; nil: nothing is remembered

	caching int8 // CLIENT CACHING: 1 YES, -1 NO, 0 not said
	// elsewhere is what has to follow replies, but at the client which gets the messages of this one.
	elsewhere invalid
}

// queued is a command that waits for EXEC.
type queued struct {
	cmd  *Command
	args [][]byte
}

// reset makes a session what it is at the beginning.
func (s *session) reset(c *Conn) {
	s.leaveAll(c)
	*s = session{proto: 2, user: c.s.users.open}
	if s.user != nil {
		c.stranger.Store(0)
	} else if c.stranger.Load() == 0 {
		c.stranger.Store(c.s.now.Load())
	}
	c.in.Stranger = s.user == nil
	c.mu.Lock()
	c.facts = facts{proto: 2, user: "default"}
	c.mu.Unlock()
}

// end forgets what a client had.
func (s *session) end(c *Conn) {
	c.stopTracking()
	s.leaveAll(c)
}

// leaveAll ends what a client has begun of transactions and subscriptions.
func (s *session) leaveAll(c *Conn) {
	s.discard(c)
	c.unwatch()
	s.unsubscribeAll(c)
	if f := c.s.opts.fallback; f != nil && f.End != nil && c.Data != nil {
		f.End(c)
	}
}

// admit has a client be that user.
func (s *session) admit(c *Conn, u *user) {
	s.user = u
	c.stranger.Store(0)
	c.in.Stranger = false
	c.mu.Lock()
	c.facts.user = u.name
	c.mu.Unlock()
}

func (s *session) setProto(c *Conn, proto int) {
	s.proto = proto
	c.mu.Lock()
	c.facts.proto = proto
	c.mu.Unlock()
}

// enqueue keeps a command for EXEC. It returns false if there is no room.
func (s *session) enqueue(c *Conn, cmd *Command, args [][]byte) bool {
	size := 64 // and what the slices take
	for _, arg := range args {
		size += len(arg) + 24
	}
	if s.queuedBytes+size > c.s.limits.QueryBytes || !c.s.reserve(size) {
		return false
	}
	s.queuedBytes += size
	copied, all := make([][]byte, len(args)), make([]byte, 0, size)
	for i, arg := range args {
		from := len(all)
		all = append(all, arg...)
		copied[i] = all[from:len(all):len(all)]
	}
	s.queue = append(s.queue, queued{cmd, copied})
	return true
}

// discard ends a transaction.
func (s *session) discard(c *Conn) {
	c.s.reserve(-s.queuedBytes)
	s.multi, s.aborted, s.queue, s.queuedBytes, s.memo = false, false, nil, 0, nil
	s.groups, s.others = false, false
}

// age is how long a client has been connected.
func (c *Conn) age() time.Duration { return time.Since(c.since) }

// sorted returns the names of a set, in order.
func sorted(set map[string]struct{}) []string { return slices.Sorted(maps.Keys(set)) }
