package engine

import (
	"math/bits"
	"unsafe"
)

// A string that was changed in a part has spare memory behind it, so that a loop of APPEND does not copy it each time. Who reads
// without a lock sees a node with its length, and never what is written behind that: the bytes are there before the node
// that has them is. The node in the table alone has the right to write there. In a Tx nobody has, since a reply may
// have a string of which the end is undone.

// GrownCap returns how many bytes of memory a string of n bytes has that may grow: up to half as many more.
func GrownCap(n int) int {
	if n == 0 {
		return 0
	}
	part := max(8, 1<<bits.Len(uint(n-1))/4)
	return (n + part - 1) / part * part
}

// Grown returns memory for SetGrown.
func Grown(n int) []byte { return make([]byte, n, GrownCap(n)) }

// SetGrown gives a key a string that may grow, whatever it had, and an expiry, which may be 0. b is what Grown has returned, and belongs
// to the engine from now on.
func (c *Call) SetGrown(key string, b []byte, expire int64) {
	c.put(key, unsafe.String(unsafe.SliceData(b), len(b)), true, nil, expire)
}

// Append adds a tail to the string of a key that is there.
func (c *Call) Append(n *Node, tail string) {
	s := n.Value.Str
	size := len(s) + len(tail)
	var b []byte
	if room := GrownCap(len(s)); n.Value.grown && !c.Undoing() && size <= room {
		b = unsafe.Slice(unsafe.StringData(s), room)[:size]
	} else {
		b = Grown(size)
		copy(b, s)
	}
	copy(b[len(s):], tail)
	c.SetGrown(n.Key, b, n.Value.Expire)
}

// IsGrown reports whether an entry has a string that was changed in a part.
func (e *Entry) IsGrown() bool { return e.grown }

// Move gives the value and the expiry of a node to another key, whatever that had, and removes the node.
func (c *Call) Move(n *Node, key string) {
	c.t.remove(n.Key)
	c.put(key, n.Value.Str, n.Value.grown, n.Value.Object, n.Value.Expire)
}
