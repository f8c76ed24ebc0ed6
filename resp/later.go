package resp

import "github.com/peercache/peercache/resp/codec"

// This is how clients get messages for which nobody waits, who sends them: those of channels, and that keys of the
// fallback have changed. While a client's commands run, its messages wait, and follow the replies: so what was published
// after a SUBSCRIBE comes behind its reply, and what a client causes itself comes behind the reply to that.

// later is the messages for which nobody waits. Conn.mu guards it.
type later struct {
	bytes    []byte
	replying bool // commands run, whose replies go first
	sending  bool // a goroutine sends bytes
	full     bool // there was no room for one: the client is disconnected, and counted, once
}

// replying says that commands run.
func (c *Conn) replying() {
	if c.pushable.Load() {
		c.mu.Lock()
		c.later.replying = true
		c.mu.Unlock()
	}
}

// replied says that the replies of all commands are sent.
func (c *Conn) replied() {
	if !c.pushable.Load() {
		return
	}
	c.mu.Lock()
	c.later.replying = false
	some := len(c.later.bytes) > 0
	c.mu.Unlock()
	if some {
		c.deliverLater()
	}
}

// expectMessages has the client get messages from now on, behind the reply to its command.
func (c *Conn) expectMessages() {
	c.pushable.Store(true)
	c.replying()
}

// Message sends strings that nobody has asked for: the message of a channel. It waits for nothing, and may be called by others. A
// client that does not read its messages is disconnected.
func (c *Conn) Message(parts ...string) {
	c.mu.Lock()
	size := 16
	for _, p := range parts {
		size += len(p) + 16
	}
	ok := c.reserveLater(size)
	if ok {
		before := len(c.later.bytes)
		b := codec.AppendPush(c.later.bytes, c.facts.proto, len(parts))
		for _, p := range parts {
			b = codec.AppendBulk(b, p)
		}
		c.later.bytes = b
		c.s.reserve(len(b) - before - size)
	}
	c.startLater(ok)
}

// reserveLater reports whether there is room for a message. The caller holds c.mu.
func (c *Conn) reserveLater(size int) bool {
	return !c.gone && len(c.later.bytes)+size <= c.s.limits.MessageBytes && c.s.reserve(size)
}

// startLater has the messages be sent that were added, if ok is true; if not, there was no room for one, and the client is disconnected.
// The caller holds c.mu, which startLater unlocks.
func (c *Conn) startLater(ok bool) {
	start := ok && !c.later.replying && !c.later.sending
	if start {
		c.later.sending = true
	}
	over := !ok && !c.gone && !c.later.full
	c.later.full = c.later.full || over
	c.mu.Unlock()
	switch {
	case start:
		go c.sendLater()
	case over:
		c.s.counts.unread.Add(1)
		c.kill()
	}
}

// sendLater sends messages until there are none.
func (c *Conn) sendLater() {
	for {
		c.mu.Lock()
		if len(c.later.bytes) == 0 || c.later.replying || c.gone {
			c.later.sending = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.deliverLater()
	}
}

// deliverLater sends messages, unless there are commands whose replies go first. It returns when they are in the hands
// of the operating system, or the client is disconnected. It may be called by others.
func (c *Conn) deliverLater() {
	select {
	case c.sending <- struct{}{}:
	case <-c.done:
		return
	}
	defer func() { <-c.sending }()
	c.mu.Lock()
	if c.later.replying {
		c.mu.Unlock()
		return
	}
	messages := c.later.bytes
	c.later.bytes = nil
	c.mu.Unlock()
	if len(messages) == 0 {
		return
	}
	c.writing.Store(c.s.now.Load())
	_, err := c.nc.Write(messages)
	c.writing.Store(0)
	c.s.reserve(-len(messages))
	if err != nil {
		c.kill()
	}
}
