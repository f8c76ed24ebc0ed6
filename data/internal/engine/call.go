package engine

// Call is one run of a command.
type Call struct {
	// Args are the arguments, the name first. They are valid until the command returns.
	Args []string
	// W takes the reply.
	W Writer

	cmd    *Command
	t      *txn
	logged bool // Log was called
	// unlocked: only ReadString may be called, of a shard that is not locked. dirty: it found what needs a lock.
	unlocked, dirty bool
	waits           waits
	keys            map[string]bool // its own, once Do needs them
	waiter          *waiter         // the command has waited
}

// Name returns the name of the command, in lower case.
func (c *Call) Name() string { return c.cmd.Name }

// Engine returns the engine that runs the call.
func (c *Call) Engine() *Engine { return c.t.e }

// Now returns the time of the command, in milliseconds since 1970. All commands of a transaction have the same.
func (c *Call) Now() int64 { return c.t.time() }

// Find returns the node of a key, or nil. It counts as a use of the key.
func (c *Call) Find(key string) *Node {
	n := c.Peek(key)
	if n != nil {
		c.t.e.use(n)
	}
	return n
}

// Peek is Find that does not count as a use.
func (c *Call) Peek(key string) *Node {
	s, hash := c.t.shard(key)
	n := s.keys.Load().GetHashed(key, hash)
	if n == nil || !c.t.over(n) {
		return n
	}
	if c.cmd.Flags&Write != 0 {
		c.t.expire(n)
	}
	return nil
}

// use notes that a node is used now.
func (e *Engine) use(n *Node) {
	if now := e.seconds.Load(); n.Value.used.Load() != now {
		n.Value.used.Store(now)
	}
}

// over reports whether a node has expired. While a log is replayed nothing has: what did expire was logged.
func (t *txn) over(n *Node) bool {
	return n.Value.Expire != 0 && !t.e.replaying && n.Value.Expire <= t.time()
}

// Idle returns for how many seconds a key was not used.
func (c *Call) Idle(n *Node) int64 {
	return max(0, int64(c.t.e.seconds.Load())-int64(n.Value.used.Load()))
}

// ReadString returns the string of a key.
func (c *Call) ReadString(key string) (s string, ok bool, err error) {
	if c.unlocked {
		return c.readUnlocked(key)
	}
	n := c.Find(key)
	switch {
	case n == nil:
		return "", false, nil
	case n.Value.Object != nil:
		return "", false, ErrWrongType
	}
	return n.Value.Str, true, nil
}

// Read returns the object of a key, not to be changed. It is the zero T if there is no such key.
func Read[T Object](c *Call, key string) (object T, err error) {
	n := c.Find(key)
	if n == nil {
		return object, nil
	}
	object, ok := n.Value.Object.(T)
	if !ok {
		return object, ErrWrongType
	}
	return object, nil
}

// Change returns the object of a key, which the command is going to change, and calls Changed for if it does. It is the zero
// T if there is no such key.
func Change[T Object](c *Call, key string) (object T, err error) {
	n := c.Find(key)
	if n == nil {
		return object, nil
	}
	object, ok := n.Value.Object.(T)
	if !ok {
		return object, ErrWrongType
	}
	c.t.before(n)
	c.t.account(object)
	return object, nil
}

// ChangeOrNew is Change, but puts what make returns there if there is no such key. The command has to put something into
// it, or to call RemoveIfEmpty.
func ChangeOrNew[T Object](c *Call, key string, make func() T) (object T, err error) {
	if n := c.Find(key); n != nil {
		return Change[T](c, key)
	}
	object = make()
	c.put(key, "", false, object, 0)
	c.t.account(object)
	return object, nil
}

// account has the memory of an object counted again after the command.
func (t *txn) account(object Object) {
	for i := range t.written {
		if t.written[i].object == object {
			return
		}
	}
	t.written = append(t.written, accounted{object, object.Bytes()})
}
