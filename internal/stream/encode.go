package stream

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// body says what a frame is: the number of its field in the oneof of Frame.
type body = protowire.Number

const (
	bodyNone    body = 0
	bodyAnswer  body = 3
	bodyGet     body = 4
	bodyBatch   body = 5
	bodyChange  body = 6
	bodyChanged body = 7
	bodyCancel  body = 8
	bodyPing    body = 9
	bodyPong    body = 10
	bodyGoAway  body = 11
	bodyHello   body = 12
)

// hello is the message Hello.
type hello struct {
	maxFrame, maxRequests, maxRequestBytes, maxKeys uint64
	idleTimeout                                     time.Duration
}

// tag returns the tag of a field. All fields of the protocol have a number below
// 16, so that it is one byte.
func tag(n protowire.Number, t protowire.Type) byte { return byte(n)<<3 | byte(t) }

// sizeBytes is the size of a field that has n bytes.
func sizeBytes(n int) int { return 1 + protowire.SizeBytes(n) }

// sizeGet is the size of the body of a get.
func sizeGet(q *peer.Query) int {
	size := sizeBytes(len(q.Key)) + sizeUint(uint64(q.Lease))
	if q.Group != "" {
		size += sizeBytes(len(q.Group))
	}
	if q.Digest != "" {
		size += sizeBytes(len(q.Digest))
	}
	if q.CachedOnly {
		size += 2
	}
	return size + sizeUint(uint64(q.Nested)) + sizeCarried(q)
}

// sizeCarried is the size of the fields of a Query's Context and Trace, of which none is not sent.
func sizeCarried(q *peer.Query) (size int) {
	if q.Context != "" {
		size = sizeBytes(len(q.Context))
	}
	if q.Trace != "" {
		size += sizeBytes(len(q.Trace))
	}
	return size
}

// sizeUint is the size of a field that holds v, of which 0 is not sent.
func sizeUint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

// sizeFrame is the size of a frame, without the length before it, of a request
// with a body of n bytes.
func sizeFrame(id uint64, n int) int { return 1 + protowire.SizeVarint(id) + sizeBytes(n) }

// appendFrame appends a frame up to its body of n bytes, which is to follow.
func appendFrame(b []byte, id uint64, kind body, n int) []byte {
	if id == 0 {
		b = protowire.AppendVarint(b, uint64(sizeBytes(n)))
	} else {
		b = protowire.AppendVarint(b, uint64(sizeFrame(id, n)))
		b = append(b, tag(1, protowire.VarintType))
		b = protowire.AppendVarint(b, id)
	}
	b = append(b, tag(kind, protowire.BytesType))
	return protowire.AppendVarint(b, uint64(n))
}

func appendString(b []byte, n protowire.Number, s string) []byte {
	b = append(b, tag(n, protowire.BytesType))
	b = protowire.AppendVarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendUint(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = append(b, tag(n, protowire.VarintType))
	return protowire.AppendVarint(b, v)
}

// appendGet appends the frame of a get whose body has size bytes.
func appendGet(b []byte, id uint64, size int, q *peer.Query) []byte {
	b = appendFrame(b, id, bodyGet, size)
	if q.Group != "" {
		b = appendString(b, 1, q.Group)
	}
	b = appendString(b, 2, q.Key)
	b = appendUint(b, 3, uint64(q.Lease))
	if q.Digest != "" {
		b = appendString(b, 4, q.Digest)
	}
	b = appendFlag(b, 5, q.CachedOnly)
	if q.Context != "" {
		b = appendString(b, 6, q.Context)
	}
	b = appendUint(b, 7, uint64(q.Nested))
	if q.Trace != "" {
		b = appendString(b, 8, q.Trace)
	}
	return b
}

// appendBatch appends the frame of a batch, whose body has size bytes.
func appendBatch(b []byte, id uint64, size int, q *peer.Query, keys, digests []string) []byte {
	b = appendFrame(b, id, bodyBatch, size)
	if q.Group != "" {
		b = appendString(b, 1, q.Group)
	}
	for _, key := range keys {
		b = appendString(b, 2, key)
	}
	b = appendUint(b, 3, uint64(q.Lease))
	if q.Context != "" {
		b = appendString(b, 4, q.Context)
	}
	b = appendUint(b, 5, uint64(q.Nested))
	if digests != nil {
		for _, digest := range digests[:len(keys)] {
			b = appendString(b, 6, digest)
		}
	}
	if q.Trace != "" {
		b = appendString(b, 7, q.Trace)
	}
	return b
}

func appendFlag(b []byte, n protowire.Number, set bool) []byte {
	if !set {
		return b
	}
	return append(b, tag(n, protowire.VarintType), 1)
}

// appendAnswer appends the frame of an answer, but for the bytes of its value,
// which are to follow: the value is the frame's last field, so that it need not be
// copied on either side.
func appendAnswer(b []byte, id uint64, index uint32, a *response) []byte {
	size := sizeUint(uint64(a.TTL))
	var errSize int
	if a.err != nil {
		errSize = sizeError(a.err)
		size += sizeBytes(errSize)
	}
	for _, flag := range [...]bool{a.plain, a.Noted, a.Unchanged} {
		if flag {
			size += 2
		}
	}
	if len(a.Value) > 0 {
		size += sizeBytes(len(a.Value))
	}
	whole := sizeFrame(id, size) + sizeUint(uint64(index))
	b = protowire.AppendVarint(b, uint64(whole))
	b = append(b, tag(1, protowire.VarintType))
	b = protowire.AppendVarint(b, id)
	b = appendUint(b, 2, uint64(index))
	b = append(b, tag(bodyAnswer, protowire.BytesType))
	b = protowire.AppendVarint(b, uint64(size))
	b = appendUint(b, 3, uint64(a.TTL))
	if a.err != nil {
		b = appendError(b, 4, errSize, a.err)
	}
	b = appendFlag(b, 5, a.plain)
	b = appendFlag(b, 6, a.Noted)
	b = appendFlag(b, 7, a.Unchanged)
	if len(a.Value) > 0 {
		b = append(b, tag(1, protowire.BytesType))
		b = protowire.AppendVarint(b, uint64(len(a.Value)))
	}
	return b
}

// appendEnd appends a frame that holds nothing but possibly an error, in field 1.
func appendEnd(b []byte, id uint64, kind body, e *pb.Error) []byte {
	if e == nil {
		return appendFrame(b, id, kind, 0)
	}
	size := sizeError(e)
	return appendError(appendFrame(b, id, kind, sizeBytes(size)), 1, size, e)
}

func sizeError(e *pb.Error) int {
	size := sizeUint(uint64(e.Kind))
	if n := len(e.Message); n > 0 {
		size += sizeBytes(n)
	}
	return size
}

func appendError(b []byte, n protowire.Number, size int, e *pb.Error) []byte {
	b = append(b, tag(n, protowire.BytesType))
	b = protowire.AppendVarint(b, uint64(size))
	b = appendUint(b, 1, uint64(e.Kind))
	if len(e.Message) > 0 {
		b = appendString(b, 2, wire.StringOf(e.Message))
	}
	return b
}

func appendHello(b []byte, h hello) []byte {
	var in []byte
	in = appendUint(in, 1, h.maxFrame)
	in = appendUint(in, 2, h.maxRequests)
	in = appendUint(in, 3, h.maxRequestBytes)
	in = appendUint(in, 4, h.maxKeys)
	in = appendUint(in, 5, uint64(h.idleTimeout))
	return append(appendFrame(b, 0, bodyHello, len(in)), in...)
}
