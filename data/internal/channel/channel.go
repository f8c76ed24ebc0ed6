// Package channel is the channels of the memory driver: queues that have a bound.
package channel

import (
	"encoding/binary"
	"errors"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/list"
)

// Kind is the kind of channels.
var Kind = &engine.Kind{Name: "channel", ID: 5, Decode: decode}

// Channel is a queue of at most Capacity values. It is made by New, and may be empty.
type Channel struct {
	List     *list.List // the first value is the one that leaves first
	Capacity int64
}

// channelBytes is what the allocator takes for a Channel.
const channelBytes = 16

// New makes a Channel.
func New(capacity int64) *Channel { return &Channel{List: list.New(), Capacity: capacity} }

// Kind implements engine.Object.
func (c *Channel) Kind() *engine.Kind { return Kind }

// Encoding implements engine.Object.
func (c *Channel) Encoding() string { return "channel" }

// Len implements engine.Object. A Channel keeps its key without values.
func (c *Channel) Len() int { return c.List.Len() }

// Bytes implements engine.Object.
func (c *Channel) Bytes() int64 { return channelBytes + c.List.Bytes() }

// Clone implements engine.Object.
func (c *Channel) Clone() engine.Object {
	return &Channel{c.List.Clone().(*list.List), c.Capacity}
}

// AppendTo implements engine.Object: the capacity, and the values, if there are some.
func (c *Channel) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(c.Capacity))
	if c.List.Len() == 0 {
		return b
	}
	return c.List.AppendTo(b)
}

var errDecode = errors.New("not a channel")

// decode makes a Channel of all of b.
func decode(b []byte) (engine.Object, error) {
	capacity, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 || int64(capacity) < 1 {
		return nil, errDecode
	}
	c := New(int64(capacity))
	if len(b) == n {
		return c, nil
	}
	values, err := list.Kind.Decode(b[n:])
	if err != nil {
		return nil, err
	}
	c.List = values.(*list.List)
	if int64(c.List.Len()) > c.Capacity {
		return nil, errDecode
	}
	return c, nil
}
