package resp

import (
	"net"
	"unsafe"

	"github.com/peercache/peercache/resp/codec"
)

const (
	// sendBytes is how much a pipeline is answered before that is sent.
	sendBytes = 64 << 10
	// largeBytes is how long a value is that is sent from where it is, without a copy.
	largeBytes = 32 << 10
)

var crlf = []byte("\r\n")

// Flush sends the replies that were written, and what has to follow them: messages that values in
// them are old. What a command replies is sent by itself; a command that waits may call it before.
func (c *Conn) Flush() { c.send("") }

// send sends the replies that were written. If large is not empty, it ends them.
func (c *Conn) send(large string) {
	if c.failed {
		c.out = c.out[:0]
		c.releaseReplies()
		return
	}
	select {
	case c.sending <- struct{}{}:
	case <-c.done:
		c.failed = true
		return
	}
	c.mu.Lock()
	if c.pushable.Load() || len(c.reads) > 0 || len(c.pushes) > 0 || len(c.later.bytes) > 0 {
		c.whatFollows(large)
		large = ""
	}
	c.mu.Unlock()
	if c.failed || !c.holdReplies(0) {
		c.failed = true
		c.kill()
	} else if len(c.out) > 0 {
		c.writing.Store(c.s.now.Load())
		err := c.write(large)
		c.writing.Store(0)
		if err != nil {
			c.failed = true
			c.cancel()
		}
	}
	<-c.sending
	if c.out = c.out[:0]; cap(c.out) > 2*sendBytes {
		c.out = make([]byte, 0, bufferBytes)
	}
	c.releaseReplies()
	c.session.followUp(c)
}

// holdReplies takes the memory of replies that may wait for their client out of Limits.ClientBytes, before
// more bytes are appended. If there is not enough, the client has to be disconnected.
func (c *Conn) holdReplies(more int) bool {
	size := len(c.out) + more
	n := size - max(c.held, bufferBytes)
	if n <= 0 {
		return true
	}
	if c.held == 0 {
		n = size
	}
	if !c.s.reserve(n) {
		c.s.counts.unread.Add(1)
		c.disconnecting("there is no memory for its replies: too much waits to be read")
		return false
	}
	c.held += n
	return true
}

func (c *Conn) releaseReplies() {
	if c.held > 0 {
		c.s.reserve(-c.held)
		c.held = 0
	}
}

func (c *Conn) write(large string) (err error) {
	if large == "" {
		_, err = c.nc.Write(c.out)
		return err
	}
	parts := net.Buffers{c.out, unsafe.Slice(unsafe.StringData(large), len(large)), crlf}
	_, err = parts.WriteTo(c.nc)
	return err
}

// whatFollows appends to the replies what is sent with them. The caller holds c.mu, and sending.
func (c *Conn) whatFollows(large string) {
	if large != "" && c.holdReplies(len(large)) { // else send does not either
		c.out = append(append(c.out, large...), crlf...)
	} else if large != "" {
		c.failed = true
	}
	c.out = append(c.out, c.pushes...)
	c.s.reserve(-len(c.pushes))
	c.pushes = nil
	c.out = append(c.out, c.later.bytes...)
	c.s.reserve(-len(c.later.bytes))
	c.later.bytes = nil
	c.settleReads()
}

// push has a message follow what was sent to the client, and returns false if too much waits
// already. The caller holds c.mu. It may be called by others, who call deliver afterwards.
func (c *Conn) push(message []byte) bool {
	if c.gone || len(c.pushes)+len(message) > c.s.limits.OutputBytes || !c.s.reserve(len(message)) {
		return false
	}
	c.pushes = append(c.pushes, message...)
	return true
}

// deliver sends the messages of push, and returns when they are in the hands of the operating
// system, or the client is disconnected: sweep does that to one that does not read. It may be called
// by others.
func (c *Conn) deliver() {
	c.mu.Lock()
	if c.waiting++; c.waiting == 1 {
		c.waitSince = c.s.now.Load()
	}
	c.mu.Unlock()
	select {
	case c.sending <- struct{}{}:
		c.mu.Lock()
		pushes := c.pushes
		c.pushes = nil
		c.mu.Unlock()
		if len(pushes) > 0 {
			if _, err := c.nc.Write(pushes); err != nil {
				c.kill()
			}
			c.s.reserve(-len(pushes))
		}
		<-c.sending
	case <-c.done:
	}
	c.mu.Lock()
	c.waiting--
	c.waitSince = c.s.now.Load()
	c.mu.Unlock()
}

// pushOverdue reports whether a message has waited for too long.
func (c *Conn) pushOverdue(now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting > 0 && now-c.waitSince > int64(c.s.limits.PushTimeout)
}

// Push sends a message that nobody has asked for: of n parts in version 3, which message appends to
// b. It returns when the message is sent, and may be called by others.
func (c *Conn) Push(n int, message func(b []byte, proto int) []byte) {
	c.mu.Lock()
	proto := c.facts.proto
	ok := c.push(message(codec.AppendPush(nil, proto, n), proto))
	c.mu.Unlock()
	if !ok {
		c.kill()
		return
	}
	c.deliver()
}
