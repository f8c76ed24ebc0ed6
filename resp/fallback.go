package resp

// Fallback serves the keys that belong to no group.
type Fallback struct {
	// Commands are looked up for a command whose first key belongs to no group, and for commands
	// without keys that the server does not have.
	Commands []Command
	// Exec runs the commands of a transaction as one, and replies as EXEC does: an array with a reply of each. Those
	// that are no commands of the fallback are run by Queued.Run. It may be nil: then they run one after another.
	Exec func(c *Conn, queue []Queued)
	// Unwatch ends what a command of the fallback has begun, as WATCH does, that has called Conn.Watching. It may be nil
	// if there is no such command.
	Unwatch func(c *Conn)
	// Broker has the channels that clients subscribe to. If it is nil, there are none.
	Broker Broker
	// Track has changed be called with the keys that a command or a transaction changes, and with all if it changes all
	// keys, until stop is called. changed waits for nothing. If Track is nil, clients with CLIENT TRACKING are told behind each
	// reply that what they have read may have changed.
	Track func(changed func(keys []string, all bool)) (stop func())
	// Info returns names and values, in turn, of a section of INFO, in lower case. They follow those of the server, or
	// are in their place. It may be nil.
	Info func(section string) []any
	// Settings are what CONFIG has besides the settings of the server, or in their place. It may be nil.
	Settings Settings
	// End is called when a client has gone, or by RESET. It may be nil.
	End func(c *Conn)
}

// Queued is a command of a transaction.
type Queued struct {
	Command *Command
	Args    [][]byte
	// Own reports whether the command is one of the fallback's.
	Own bool
	c   *Conn
}

// Run runs the command, which replies. If Exec has its keys locked, the command must not wait for them: resp has UNWATCH
// do nothing then, and those of WithCommands must not use what the fallback serves.
func (q Queued) Run() { q.c.runQueued(q.Command, q.Args) }

// about reports whether a command is about keys of groups, and whether it is about those of the fallback. One that is about
// neither may be in any transaction.
func (c *Conn) about(cmd *Command, args [][]byte) (groups, other bool) {
	if cmd.other {
		return false, true
	}
	return len(cmd.keys(args)) > 0 || cmd.Flags&Write != 0, false
}

// mixes reports whether a transaction would have commands of groups and of the fallback: it could not be atomic.
func (s *session) mixes(c *Conn, cmd *Command, args [][]byte) bool {
	groups, other := c.about(cmd, args)
	s.groups, s.others = s.groups || groups, s.others || other
	return s.groups && (s.others || s.watching)
}

const mixed = "ERR a transaction is about keys of read-through groups, or about others: both cannot happen as one"

// InMulti reports whether the client has begun a transaction.
func (c *Conn) InMulti() bool { return c.session.multi }

// Watching says that the client watches more keys of the fallback, which take so many bytes, until Fallback.Unwatch is called. It
// returns false if there is no room for them: they are not to be watched then.
func (c *Conn) Watching(bytes int) bool {
	if !c.keep(bytes) {
		return false
	}
	c.session.watching = true
	c.session.watchedBytes += bytes
	return true
}

// keep takes memory for what a client has the server keep: subscriptions, and watched keys. It returns false if there is
// none.
func (c *Conn) keep(bytes int) bool {
	if c.session.keptBytes+bytes > c.s.limits.QueryBytes || !c.s.reserve(bytes) {
		return false
	}
	c.session.keptBytes += bytes
	return true
}

// unkeep gives it back.
func (c *Conn) unkeep(bytes int) {
	c.session.keptBytes -= bytes
	c.s.reserve(-bytes)
}

// unwatch ends that.
func (c *Conn) unwatch() {
	if c.session.watching {
		c.session.watching = false
		c.unkeep(c.session.watchedBytes)
		c.session.watchedBytes = 0
		c.s.opts.fallback.Unwatch(c)
	}
}
