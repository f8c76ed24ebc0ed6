package resp

import (
	"bytes"
	"fmt"
	"strings"
)

// execute runs a command, or queues it, or replies why not.
func (c *Conn) execute(args [][]byte) {
	before := len(c.out)
	skip := c.session.skip
	cmd, refusal := c.lookUp(args)
	if refusal == "" {
		refusal = c.refusal(cmd, args)
	}
	switch {
	case refusal != "":
		c.abort()
		c.Error(refusal)
	case c.session.multi && cmd.Flags&NoMulti == 0 && c.session.mixes(c, cmd, args):
		c.abort()
		c.Error(mixed)
	case c.session.multi && cmd.Flags&NoMulti == 0:
		if c.session.enqueue(c, cmd, args) {
			c.Simple("QUEUED")
		} else {
			c.abort()
			c.Error("ERR the transaction is too long")
		}
		c.noteQueue()
	default:
		c.runCommand(cmd, args)
	}
	if skip { // set by the command before this one
		c.session.skip = false
	}
	if (c.session.muted || skip) && len(c.out) > before {
		c.out = c.out[:before]
	}
	if !c.session.multi && (cmd == nil || !strings.HasPrefix(cmd.full, "client|")) {
		c.session.caching = 0 // CLIENT CACHING holds for one command, or one transaction
	}
}

// runCommand runs a command that may be run.
func (c *Conn) runCommand(cmd *Command, args [][]byte) {
	c.note(cmd)
	if !cmd.other {
		cmd.Run(c, args)
		return
	}
	c.readsOther(cmd, args)
	if cmd.Flags&Write == 0 {
		cmd.Run(c, args)
		return
	}
	c.changesOther(cmd, args)
	cmd.Run(c, args)
	c.s.tracking.settleOther(c)
}

// note remembers a command for CLIENT LIST.
func (c *Conn) note(cmd *Command) {
	c.command.Store(cmd)
}

func (c *Conn) noteQueue() {
	c.mu.Lock()
	c.facts.queued = len(c.session.queue)
	c.mu.Unlock()
}

// abort has EXEC fail.
func (c *Conn) abort() {
	if c.session.multi {
		c.session.aborted = true
	}
}

// lookUp returns the command that args call, or what to reply if there is none.
func (c *Conn) lookUp(args [][]byte) (cmd *Command, refusal string) {
	cmd = c.s.names.find(args[0])
	if cmd != nil && (cmd.other || cmd.twin != nil) {
		if cmd, refusal = c.s.choose(cmd, args); refusal != "" {
			return nil, refusal
		}
	}
	if cmd == nil {
		c.hangUpOnBrowsers(args[0])
		return nil, c.unknown(args)
	}
	if len(cmd.Subcommands) > 0 && len(args) > 1 {
		sub := cmd.sub(args[1])
		if sub == nil {
			return nil, fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", arg(args[1]), strings.ToUpper(cmd.Name))
		}
		cmd = sub
	}
	if !cmd.fits(len(args)) || cmd.Run == nil {
		return nil, fmt.Sprintf("ERR wrong number of arguments for '%s' command", cmd.full)
	}
	return cmd, ""
}

// choose chooses between a command of groups and that of the fallback, of which cmd is one: by the first key. All keys have to be of the same side:
// a value that the fallback had for a key of a group could not be read any more.
func (s *Server) choose(cmd *Command, args [][]byte) (*Command, string) {
	own, other := cmd, cmd.twin
	if cmd.other {
		own, other = nil, cmd
	}
	switch key := other.firstKey(args); {
	case key == nil && (own == nil || len(s.keys.caches) == 0) || key != nil && !s.keys.has(key):
		if strange := s.groupKey(other, args); strange != nil {
			return nil, fmt.Sprintf("ERR '%s' is a key of a read-through group, and '%s' is none: want a command for each", arg(strange), arg(key))
		}
		return other, ""
	case own == nil:
		return nil, fmt.Sprintf("ERR '%s' is no command for keys of read-through groups, and '%s' is one", other.full, arg(key))
	}
	return own, ""
}

// groupKey returns a key of a group that args of a command have, or nil. The first key is none.
func (s *Server) groupKey(cmd *Command, args [][]byte) []byte {
	if len(s.keys.caches) == 0 {
		return nil
	}
	if cmd.FindKeys != nil {
		for _, key := range cmd.keys(args) {
			if s.keys.has(key) {
				return key
			}
		}
		return nil
	}
	first, last, step := cmd.keyRange(len(args))
	for i := first + step; i <= last; i += step {
		if s.keys.has(args[i]) {
			return args[i]
		}
	}
	return nil
}

// unknown returns what Redis replies to a command that it does not know.
func (c *Conn) unknown(args [][]byte) string {
	if why, ok := impossible[string(bytes.ToLower(args[0][:min(len(args[0]), longestName)]))]; ok && len(args[0]) <= longestName {
		return "ERR " + why
	}
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		fmt.Fprintf(&b, "'%s' ", a[:min(len(a), 128-b.Len())])
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", arg(args[0]), b.String())
}

// impossible says why there is no such command, where somebody may look for it.
var impossible = map[string]string{
	"scan":      "SCAN is not possible: a read-through group does not know which keys there are",
	"keys":      "KEYS is not possible: a read-through group does not know which keys there are",
	"randomkey": "RANDOMKEY is not possible: a read-through group does not know which keys there are",
	"dbsize":    "DBSIZE is not possible: a read-through group does not know which keys there are",
	"setnx":     "SETNX is not possible: a read-through group cannot look and change in one step; the origin can",
	"getset":    "GETSET is not possible: a read-through group cannot look and change in one step; the origin can",
	"getdel":    "GETDEL is not possible: a read-through group cannot look and change in one step; the origin can",
	"expire":    "EXPIRE is not possible: the lifetime of a value is decided when it is loaded or set (SET with EX or PX)",
	"pexpire":   "PEXPIRE is not possible: the lifetime of a value is decided when it is loaded or set (SET with EX or PX)",
	"persist":   "PERSIST is not possible: the lifetime of a value is decided when it is loaded or set (SET with EX or PX)",
	"watch":     "WATCH is not possible: transactions on read-through groups are not isolated",
}

// hangUpOnBrowsers disconnects what speaks HTTP: a page in a browser may have it send commands.
func (c *Conn) hangUpOnBrowsers(name []byte) {
	if bytes.EqualFold(name, []byte("post")) || bytes.EqualFold(name, []byte("host:")) {
		c.disconnecting("it speaks HTTP")
		c.failed = true
		c.leaving = true
	}
}

// noticed are commands that change no data, but what others see: a user who may only read may not run them.
var noticed = map[string]bool{"publish": true, "spublish": true, "config|set": true, "config|resetstat": true}

// refusal returns why a client may not have that command run now, or "".
func (c *Conn) refusal(cmd *Command, args [][]byte) string {
	switch s := &c.session; {
	case s.user == nil && cmd.Flags&NoAuth == 0:
		return "NOAUTH Authentication required."
	case s.user != nil && s.user.readOnly && (cmd.Flags&Write != 0 || noticed[cmd.full]):
		return fmt.Sprintf("NOPERM this user has no permissions to run the '%s' command", cmd.full)
	case cmd.Flags&Write != 0 && c.s.opts.readOnly:
		return "READONLY You can't write against a read only replica."
	case s.proto == 2 && s.subscribed() && cmd.Flags&InSubscriber == 0:
		return fmt.Sprintf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", cmd.full)
	}
	return ""
}
