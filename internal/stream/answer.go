package stream

import (
	"bytes"
	"strings"

	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// response is what is sent for one key: a pb.GetResponse.
type response struct {
	peer.Answer           // no Value, if there is an err
	err         *pb.Error // nil: there is a value
	plain       bool      // the value is too large for the stream: ask by the plain way
}

// encodeError returns err as it is sent, with as much of its text as a frame has room for. It
// holds no memory of a longer text.
func encodeError(err error) *pb.Error {
	e := peer.EncodeError(err)
	if len(e.Message) > longestMessage {
		e.Message = bytes.Clone(e.Message[:longestMessage])
	}
	return e
}

// encodeChanged returns what a Handler answers to a change as a pb.ChangeResponse.
func encodeChanged(c *peer.Changed, err error) []byte {
	body, bad := peer.EncodeChanged(c, err)
	if bad != nil { // one of its texts is not UTF-8
		body, _ = peer.EncodeChanged(&peer.Changed{}, peer.RefuseInvalid(bad.Error()))
	}
	return body
}

// query sets q to what a request asks for; of a batch, without the keys and the digests. Its
// strings are in the memory of the frame.
func (f *frame) query(q *peer.Query) {
	*q = peer.Query{
		Group:      wire.StringOf(f.group),
		Key:        wire.StringOf(f.key),
		Lease:      f.lease,
		Digest:     wire.StringOf(f.digest),
		CachedOnly: f.cachedOnly,
		Nested:     peer.Nesting(f.nested),
		Context:    wire.StringOf(f.context),
		Trace:      wire.StringOf(f.trace),
	}
}

// cloneQuery returns q with strings that have memory of their own.
func cloneQuery(q *peer.Query) peer.Query {
	c := *q
	c.Group, c.Key = strings.Clone(q.Group), strings.Clone(q.Key)
	c.Digest, c.Context, c.Trace = strings.Clone(q.Digest), strings.Clone(q.Context), strings.Clone(q.Trace)
	return c
}
