package engine

import (
	"math"
	"sync/atomic"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/internal/alloc"
)

// Kind is a type of values.
type Kind struct {
	// Name is what TYPE replies.
	Name string
	// ID is what stands for the kind in snapshots. It must never change. 0 is a string.
	ID byte
	// Decode makes an Object of what its AppendTo has written. It must check all of b.
	Decode func(b []byte) (Object, error)
}

// String is the kind of strings, which are no Objects.
var String = &Kind{Name: "string"}

// Object is the value of a key that is no string. The lock of the key's shard guards it: who has it
// shared must not change it, which includes what makes later reads faster.
type Object interface {
	Kind() *Kind
	// Encoding is what OBJECT ENCODING replies.
	Encoding() string
	// Len returns the number of elements. An object without elements has no key.
	Len() int
	// Bytes returns the memory that the object takes, in time O(1).
	Bytes() int64
	// Clone returns a copy of which nothing is shared that can change.
	Clone() Object
	// AppendTo appends what Kind.Decode makes an equal object of.
	AppendTo(b []byte) []byte
}

// Entry is what a key has: a string, or an Object. Nothing of it changes once it is in the table, but
// for the last use and what the shard's lock guards.
type Entry struct {
	Str    string
	Object Object // nil: the value is Str
	Expire int64  // in milliseconds since 1970; 0: never

	used atomic.Uint32 // the second of Engine.seconds in which it was last used
	// grown: Str was changed in a part, so Redis calls its encoding raw. It has its memory for itself, GrownCap(len(Str))
	// bytes of it, and it alone may use those that follow it.
	grown bool
	// mark is Engine.mark of the last snapshot that has the entry, or for which it is too young. The
	// shard's lock guards it.
	mark uint16
}

// Node is an entry with its key.
type Node = dict.Node[Entry]

// Kind returns the kind of an entry.
func (e *Entry) Kind() *Kind {
	if e.Object == nil {
		return String
	}
	return e.Object.Kind()
}

// expired reports whether an entry is over.
func (e *Entry) expired(now int64) bool { return e.Expire != 0 && e.Expire <= now }

// Never is an expiry that is as good as none: the last millisecond of which a time.Time can be made.
const Never = math.MaxInt64 / 1_000_000

const (
	// nodeBytes is what the allocator takes for a Node.
	nodeBytes = 64
	// expiryBytes is what the wheel takes for a key that expires.
	expiryBytes = 24
)

// bytesOf returns the memory that a node takes, with its value.
func bytesOf(n *Node) int64 {
	bytes := nodeBytes + alloc.Size(int64(len(n.Key)))
	if n.Value.Expire != 0 {
		bytes += expiryBytes
	}
	if n.Value.Object != nil {
		return bytes + n.Value.Object.Bytes()
	}
	if n.Value.grown {
		return bytes + alloc.Size(int64(GrownCap(len(n.Value.Str))))
	}
	return bytes + alloc.Size(int64(len(n.Value.Str)))
}
