package resp

func cmdMulti(c *Conn, args [][]byte) {
	if c.session.multi {
		c.Error("ERR MULTI calls can not be nested")
		return
	}
	c.session.multi = true
	c.OK()
}

func cmdDiscard(c *Conn, args [][]byte) {
	if !c.session.multi {
		c.Error("ERR DISCARD without MULTI")
		return
	}
	c.session.discard(c)
	c.unwatch()
	c.noteQueue()
	c.OK()
}

func cmdUnwatch(c *Conn, args [][]byte) {
	c.unwatch()
	c.OK()
}

// cmdExec runs the commands that were queued, one after another. If they only read, they all see the
// same value of a key, which is got once.
func cmdExec(c *Conn, args [][]byte) {
	s := &c.session
	if !s.multi {
		c.Error("ERR EXEC without MULTI")
		return
	}
	defer c.noteQueue()
	defer c.unwatch()
	defer s.discard(c)
	if s.aborted {
		c.Error("EXECABORT Transaction discarded because of previous errors.")
		return
	}
	s.multi = false
	c.Begin()
	defer c.End()
	if f := c.s.opts.fallback; f != nil && f.Exec != nil && !s.groups {
		c.execOther(f)
		return
	}
	s.memo = c.newMemo()
	c.Array(len(s.queue))
	for _, q := range s.queue {
		if c.failed {
			return
		}
		c.runQueued(q.cmd, q.args)
		c.written()
	}
}

// runQueued runs a command of a transaction.
func (c *Conn) runQueued(cmd *Command, args [][]byte) {
	if why := c.refusal(cmd, args); why != "" { // by what was changed meanwhile
		c.Error(why)
		return
	}
	cmd.Run(c, args)
}

// execOther has the fallback run the transaction.
func (c *Conn) execOther(f *Fallback) {
	queue := make([]Queued, len(c.session.queue))
	for i, q := range c.session.queue {
		queue[i] = Queued{Command: q.cmd, Args: q.args, Own: q.cmd.other, c: c}
		if q.cmd.other {
			c.readsOther(q.cmd, q.args)
		}
	}
	for _, q := range queue {
		if q.Own && q.Command.Flags&Write != 0 {
			c.changesOther(q.Command, q.Args)
		}
	}
	watching := c.session.watching
	c.session.watching = false // the keys are locked: an UNWATCH among the commands must not ask for their locks
	f.Exec(c, queue)
	c.session.watching = watching
	c.s.tracking.settleOther(c)
}

// memoKeys is up to how many keys of a transaction are got together, and once.
const memoKeys = 1024

// memo is what a transaction that only reads has found, by full key.
type memo map[string]found

// newMemo returns the memo of the transaction that is queued, or nil if it has none. It has the
// values already, if there are several: they were got at the same time.
//
// A client that caches values sends MULTI, PTTL, GET, EXEC for each.
func (c *Conn) newMemo() memo {
	var keys []key
	seen := make(map[string]bool)
	for _, q := range c.session.queue {
		if q.cmd.Flags&ReadOnly == 0 {
			return nil
		}
		for _, full := range q.cmd.keys(q.args) {
			if seen[string(full)] {
				continue
			}
			if k := c.s.keys.key(full); k.cache != nil {
				keys = append(keys, k)
				seen[k.full] = true
			}
		}
		if len(keys) > memoKeys {
			return nil
		}
	}
	if len(keys) == 0 {
		return nil
	}
	m := make(memo, len(keys))
	if len(keys) > 1 {
		for i, f := range c.fetchAll(keys) {
			m[keys[i].full] = f
		}
	}
	return m
}

func (m memo) get(c *Conn, k key) found {
	f, ok := m[k.full]
	if !ok {
		f = c.fetch(k)
		m[k.full] = f
	}
	return f
}
