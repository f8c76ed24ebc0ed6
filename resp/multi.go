package resp

import "sync"

func cmdMulti(c *Conn, args [][]byte) {
	if c.session.multi {
		c.abort()
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
	c.noteQueue()
	c.OK()
}

func cmdUnwatch(c *Conn, args [][]byte) { c.OK() }

// cmdExec runs the commands that were queued, one after another. If they only read, they all see the
// same value of a key, which is got once.
func cmdExec(c *Conn, args [][]byte) {
	s := &c.session
	if !s.multi {
		c.Error("ERR EXEC without MULTI")
		return
	}
	defer c.noteQueue()
	defer s.discard(c)
	if s.aborted {
		c.Error("EXECABORT Transaction discarded because of previous errors.")
		return
	}
	s.multi = false
	s.memo = c.newMemo()
	c.Begin()
	defer c.End()
	c.Array(len(s.queue))
	run := func() {
		for _, q := range s.queue {
			if c.failed {
				return
			}
			if why := c.refusal(q.cmd, q.args); why != "" { // by what was changed meanwhile
				c.Error(why)
				continue
			}
			q.cmd.Run(c, q.args)
			c.written()
		}
	}
	if f := c.s.opts.fallback; f != nil && f.Exec != nil {
		f.Exec(c, run)
		return
	}
	run()
}

const (
	// memoKeys is up to how many keys of a transaction are got together, and once.
	memoKeys = 1024
	// memoWorkers is how many are got at the same time.
	memoWorkers = 16
)

// memo is what a transaction that only reads has found.
type memo struct {
	mu    sync.Mutex
	found map[string]found // by full key
}

// newMemo returns the memo of the transaction that is queued, or nil if it has none. It has the
// values already, if there are several: they were got at the same time.
//
// A client that caches values sends MULTI, PTTL, GET, EXEC for each.
func (c *Conn) newMemo() *memo {
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
	m := &memo{found: make(map[string]found, len(keys))}
	if len(keys) == 1 {
		return m
	}
	for _, k := range keys {
		c.follow(k)
	}
	next := make(chan key, len(keys))
	for _, k := range keys {
		next <- k
	}
	close(next)
	var getting sync.WaitGroup
	for range min(memoWorkers, len(keys)) {
		getting.Go(func() {
			for k := range next {
				m.fetch(c, k)
			}
		})
	}
	getting.Wait()
	return m
}

// fetch gets a key for the memo.
func (m *memo) fetch(c *Conn, k key) found {
	var f found
	f.view, f.ttl, f.err = k.cache.GetWithTTL(c.ctx, k.name)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found[k.full] = f
	return f
}

func (m *memo) get(c *Conn, k key) found {
	m.mu.Lock()
	f, ok := m.found[k.full]
	m.mu.Unlock()
	if ok {
		return f
	}
	return m.fetch(c, k)
}
