package resp

import (
	"github.com/peercache/peercache/resp/codec"
)

// These write replies. A command writes one: one of these, or the beginning of one and as many
// others as that says, between Begin and End if there may be many.

// Proto returns the version of the protocol that the client speaks, 2 or 3.
func (c *Conn) Proto() int { return c.session.proto }

// OK replies OK.
func (c *Conn) OK() { c.out = append(c.out, "+OK\r\n"...) }

// Simple replies a word, or words without line breaks.
func (c *Conn) Simple(s string) {
	c.out = codec.AppendSimple(c.out, s)
	c.bound()
}

// Error replies an error. Its text begins with a word in capitals, as a rule ERR.
func (c *Conn) Error(text string) {
	c.out = codec.AppendError(c.out, text)
	c.bound()
}

// Int replies a number.
func (c *Conn) Int(n int64) {
	c.out = codec.AppendInt(c.out, n)
	c.bound()
}

// Gather says that replies are not sent until Gathered is called, so that writing them waits for nothing: for commands that
// write while they hold locks. Replies that are larger than a client's may be are dropped meanwhile.
func (c *Conn) Gather() { c.gathering++ }

// Gathered ends that. It disconnects the client if replies were dropped.
func (c *Conn) Gathered() {
	if c.gathering--; c.gathering > 0 {
		return
	}
	if c.tooMuch {
		c.disconnecting("a reply is larger than the output buffer may be")
		c.overflow()
	}
}

// bound drops the replies that are gathered if they are too large. It waits for nothing.
func (c *Conn) bound() {
	if c.gathering > 0 && (len(c.out) > sendBytes || c.tooMuch) {
		c.hasRoom(0)
	}
}

// heldStep is how much memory is reserved at a time for replies that are gathered.
const heldStep = 1 << 20

// hasRoom reports whether there is room for so much more of the replies that are gathered. If there is not, they are dropped.
func (c *Conn) hasRoom(more int) bool {
	size := len(c.out) + more
	switch {
	case c.tooMuch:
	case size <= max(c.held, sendBytes):
		return true
	case size <= c.s.limits.OutputBytes:
		if n := max(size-c.held, heldStep); c.s.reserve(n) {
			c.held += n
			return true
		}
	}
	c.tooMuch = true
	c.out = c.out[:0]
	return false
}

// Bytes replies a string of any bytes, which may change afterwards.
func (c *Conn) Bytes(b []byte) {
	if c.gathering > 0 && !c.hasRoom(len(b)) {
		return
	}
	c.out = codec.AppendBulk(c.out, b)
	c.written()
}

// Bulk replies a string of any bytes.
func (c *Conn) Bulk(s string) {
	if c.gathering > 0 {
		if c.hasRoom(len(s)) {
			c.out = codec.AppendBulk(c.out, s)
		}
		return
	}
	if len(s) >= largeBytes && c.mayBreak() {
		c.out = codec.AppendBulkHead(c.out, len(s))
		c.send(s)
		return
	}
	if len(s) >= largeBytes && !c.holdReplies(len(s)) {
		c.overflow()
		return
	}
	c.out = codec.AppendBulk(c.out, s)
	c.written()
}

// Null replies that there is no such string.
func (c *Conn) Null() {
	c.out = codec.AppendNull(c.out, c.session.proto)
	c.bound()
}

// NullArray replies that there is no such array.
func (c *Conn) NullArray() {
	c.out = codec.AppendNullArray(c.out, c.session.proto)
	c.bound()
}

// Array begins a reply of n replies.
func (c *Conn) Array(n int) {
	c.out = codec.AppendArray(c.out, n)
	c.bound()
}

// Map begins a reply of n pairs.
func (c *Conn) Map(n int) {
	c.out = codec.AppendMap(c.out, c.session.proto, n)
	c.bound()
}

// Set begins a reply of n replies of which no two are equal.
func (c *Conn) Set(n int) {
	c.out = codec.AppendSet(c.out, c.session.proto, n)
	c.bound()
}

// Double replies a number with a fraction.
func (c *Conn) Double(f float64) {
	c.out = codec.AppendDouble(c.out, c.session.proto, f)
	c.bound()
}

// Bool replies true or false.
func (c *Conn) Bool(v bool) { c.out = codec.AppendBool(c.out, c.session.proto, v) }

// Verbatim replies a text for people.
func (c *Conn) Verbatim(text string) {
	c.out = codec.AppendVerbatim(c.out, c.session.proto, "txt", text)
}

// Written returns how much is written that is not sent, for Rewrite.
func (c *Conn) Written() int { return len(c.out) }

// Rewrite takes back what was written after Written has returned that, and Gather was called.
func (c *Conn) Rewrite(written int) { c.out = c.out[:min(written, len(c.out))] }

// Begin says that a reply of several parts begins.
func (c *Conn) Begin() { c.whole++ }

// End says that it is complete.
func (c *Conn) End() { c.whole-- }

// mayBreak reports whether a reply may be sent in parts: nothing can come in between, and it is sent.
func (c *Conn) mayBreak() bool {
	return (c.whole == 0 || !c.pushable.Load()) && !c.session.muted && !c.session.skip
}

// written sends the parts that are written of a large reply, if that can be. If not, it holds them
// up to a limit.
func (c *Conn) written() {
	switch {
	case len(c.out) < sendBytes || c.whole == 0 || c.gathering > 0:
	case c.mayBreak():
		c.Flush()
	case !c.holdReplies(0):
		c.overflow()
	case len(c.out) > c.s.limits.OutputBytes:
		c.disconnecting("a reply is larger than the output buffer may be")
		c.overflow()
	}
}

// overflow disconnects a client whose replies find no room.
func (c *Conn) overflow() {
	c.failed = true
	c.out = c.out[:0]
	c.kill()
}

// arg shows an argument in an error.
func arg(b []byte) string {
	if len(b) > 128 {
		b = b[:128]
	}
	return string(b)
}
