package stream

import (
	"bytes"
	"errors"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/peercache/peercache/pb"
)

// span is a part of a message: that from one place up to another. Half as large as the
// slice that it stands for, because a key may have no more than its tag on the wire.
type span struct{ from, to uint32 }

// of returns the part of b that s is.
func (s span) of(b []byte) []byte { return b[s.from:s.to:s.to] }

// longestField bounds what one field may have, in bytes, so that no sum of lengths
// overflows an int of 32 bits.
const longestField = 1<<30 + 1<<20

// longestDuration bounds what a peer may say of time, either way: about 146 years. Two of
// them can be added.
const longestDuration = 1 << 62

// durationOf returns a duration that a peer sent, or the longest there is.
func durationOf(v uint64) time.Duration {
	return time.Duration(max(-longestDuration, min(int64(v), longestDuration)))
}

// errShort says that more of a frame is needed to decode it.
var errShort = errors.New("stream: more of the frame is needed")

var errMalformed = protocolError("a frame that is no protobuf of the protocol")

// frame is a decoded frame. Its byte slices are those of the memory it was decoded
// from.
type frame struct {
	id    uint64
	index uint32
	kind  body // bodyNone: one that this version does not know

	group, key []byte // of a get; group also of a batch
	body       []byte // of a batch: its message
	keys       []span // of a batch: the places of its keys in body
	digests    []span // and of the digests; as many as keys, or none
	lease      time.Duration
	digest     []byte
	cachedOnly bool
	nested     uint32
	context    []byte
	trace      []byte

	message []byte // the body of a change and a changed, as it is

	// value is the value of an answer. If it is shorter than valueSize, its rest
	// is the rest of the frame.
	value     []byte
	valueSize int
	owned     bool // value is in memory of its own
	ttl       time.Duration
	plain     bool
	noted     bool
	unchanged bool

	err   *pb.Error // of an answer, a goaway; it has memory of its own
	hello hello
}

// decode decodes a frame of size bytes of which b are the first. All of them are
// needed, but for the value of an answer where that is last; errShort says
// that b is not enough. At most maxKeys keys are taken.
//
// It accepts a part of what protobuf would: no field of a message may come twice
// that is a message itself.
func (f *frame) decode(b []byte, size, maxKeys int) error {
	*f = frame{keys: f.keys[:0], digests: f.digests[:0]}
	short := len(b) < size
	for len(b) > 0 {
		num, typ, v, in, n := field(b)
		if n < 0 {
			return shortOr(short, errMalformed)
		}
		cut := n > len(b) // the field goes on beyond b
		if n > size {
			return errMalformed
		}
		switch {
		case typ == protowire.BytesType && num >= bodyAnswer && num <= bodyHello:
			if f.kind != bodyNone {
				return errMalformed
			}
			f.kind = num
			if cut && (num != bodyAnswer || n != size) {
				return errShort
			}
			if err := f.decodeBody(in, int(v), maxKeys); err != nil {
				return err
			}
		case cut:
			return errShort
		case num == 1 && typ == protowire.VarintType:
			f.id = v
		case num == 2 && typ == protowire.VarintType:
			if f.index = uint32(v); uint64(f.index) != v {
				return errMalformed
			}
		}
		b, size = b[min(n, len(b)):], size-n
	}
	if size > 0 {
		return errShort
	}
	return nil
}

func shortOr(short bool, err error) error {
	if short {
		return errShort
	}
	return err
}

// field takes one field from b, of which n bytes are its own; n is negative if b
// does not begin with one. v is its number or, of bytes, their length, and in are
// the bytes: as many as there are.
func field(b []byte) (num protowire.Number, typ protowire.Type, v uint64, in []byte, n int) {
	num, typ, n = protowire.ConsumeTag(b)
	if n < 0 || num > protowire.MaxValidNumber {
		return 0, 0, 0, nil, -1
	}
	switch typ {
	case protowire.VarintType:
		v, m := protowire.ConsumeVarint(b[n:])
		if m < 0 {
			return 0, 0, 0, nil, -1
		}
		return num, typ, v, nil, n + m
	case protowire.BytesType:
		v, m := protowire.ConsumeVarint(b[n:])
		if m < 0 || v > longestField {
			return 0, 0, 0, nil, -1
		}
		n += m
		return num, typ, v, b[n : n+min(int(v), len(b)-n)], n + int(v)
	default:
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return 0, 0, 0, nil, -1
		}
		return num, typ, 0, nil, n + m
	}
}

// decodeBody decodes a body of size bytes, of which b are the first.
func (f *frame) decodeBody(b []byte, size, maxKeys int) error {
	switch f.kind {
	case bodyAnswer:
		return f.decodeAnswer(b, size)
	case bodyGet, bodyBatch:
		return f.decodeRequest(b, maxKeys)
	case bodyChange, bodyChanged:
		f.message = b
		return nil
	case bodyGoAway:
		return f.decodeEnd(b)
	case bodyHello:
		return f.decodeHello(b)
	}
	return fields(b, func(protowire.Number, protowire.Type, uint64, []byte) bool { return true })
}

// decodeAnswer decodes a GetResponse of size bytes, of which b are the first.
func (f *frame) decodeAnswer(b []byte, size int) error {
	short := len(b) < size
	for len(b) > 0 {
		num, typ, v, in, n := field(b)
		if n < 0 {
			return shortOr(short, errMalformed)
		}
		cut := n > len(b)
		if n > size {
			return errMalformed
		}
		switch {
		case num == 1 && typ == protowire.BytesType:
			if cut && n != size {
				return errShort
			}
			f.value, f.valueSize = in, int(v)
		case cut:
			return errShort
		case num == 3 && typ == protowire.VarintType:
			f.ttl = durationOf(v)
		case num == 4 && typ == protowire.BytesType:
			if err := f.decodeError(in); err != nil {
				return err
			}
		case num == 5 && typ == protowire.VarintType:
			f.plain = v != 0
		case num == 6 && typ == protowire.VarintType:
			f.noted = v != 0
		case num == 7 && typ == protowire.VarintType:
			f.unchanged = v != 0
		}
		b, size = b[min(n, len(b)):], size-n
	}
	if size > 0 {
		return errShort
	}
	return nil
}

// decodeRequest decodes a GetRequest or a GetBatchRequest. They have the same fields,
// but for how many keys there are, and what only a GetRequest has.
func (f *frame) decodeRequest(b []byte, maxKeys int) error {
	f.body = b
	for len(b) > 0 {
		num, typ, v, in, n := field(b)
		if n < 0 || n > len(b) {
			return errMalformed
		}
		switch {
		case num == 3 && typ == protowire.VarintType:
			f.lease = durationOf(v)
		case num == 4 && f.kind == bodyGet && typ == protowire.BytesType:
			f.digest = in
		case num == contextField(f.kind) && typ == protowire.BytesType:
			f.context = in
		case num == 6 && f.kind == bodyBatch && typ == protowire.BytesType:
			if len(f.digests) == maxKeys {
				return protocolError("a request with more than %d digests", maxKeys)
			}
			f.digests = f.append(f.digests, b, in, n, maxKeys)
		case num == nestedField(f.kind) && typ == protowire.VarintType:
			f.nested = uint32(v)
		case num == 5 && typ == protowire.VarintType:
			f.cachedOnly = v != 0
		case num == 1 && typ == protowire.BytesType:
			if !utf8.Valid(in) {
				return errMalformed
			}
			f.group = in
		case num == 2 && typ == protowire.BytesType:
			if f.kind == bodyGet {
				f.key = in
				break
			}
			if len(f.keys) == maxKeys {
				return protocolError("a request with more than %d keys", maxKeys)
			}
			f.keys = f.append(f.keys, b, in, n, maxKeys)
		case num == traceField(f.kind) && typ == protowire.BytesType:
			f.trace = in
		}
		b = b[n:]
	}
	if n := len(f.digests); n > 0 && n != len(f.keys) {
		return protocolError("%d digests of %d keys", n, len(f.keys))
	}
	return nil
}

// append appends the place of in, the end of the first n bytes of b, which are the rest of
// body.
func (f *frame) append(spans []span, b, in []byte, n, most int) []span {
	if cap(spans) == 0 { // at once, or growing costs as much again
		spans = make([]span, 0, min(most, 1+len(b)/2))
	}
	to := len(f.body) - len(b) + n
	return append(spans, span{uint32(to - len(in)), uint32(to)})
}

// nestedField is the number of the field nested in a GetRequest or a GetBatchRequest.
func nestedField(kind body) protowire.Number {
	if kind == bodyBatch {
		return 5
	}
	return 7
}

// contextField is the number of the field context in a GetRequest or a GetBatchRequest.
func contextField(kind body) protowire.Number {
	if kind == bodyBatch {
		return 4
	}
	return 6
}

// traceField is the number of the field trace in a GetRequest or a GetBatchRequest.
func traceField(kind body) protowire.Number {
	if kind == bodyBatch {
		return 7
	}
	return 8
}

// decodeEnd decodes a message that holds nothing but possibly an error, in field 1.
func (f *frame) decodeEnd(b []byte) (err error) {
	bad := fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, in []byte) bool {
		if num == 1 && typ == protowire.BytesType {
			err = f.decodeError(in)
		}
		return err == nil
	})
	return errors.Join(bad, err)
}

func (f *frame) decodeError(b []byte) error {
	if f.err != nil {
		return errMalformed
	}
	f.err = new(pb.Error)
	return fields(b, func(num protowire.Number, typ protowire.Type, v uint64, in []byte) bool {
		switch {
		case num == 1 && typ == protowire.VarintType:
			f.err.Kind = pb.Error_Kind(v)
		case num == 2 && typ == protowire.BytesType:
			f.err.Message = bytes.Clone(in)
		}
		return true
	})
}

func (f *frame) decodeHello(b []byte) error {
	return fields(b, func(num protowire.Number, typ protowire.Type, v uint64, _ []byte) bool {
		if typ != protowire.VarintType {
			return true
		}
		switch num {
		case 1:
			f.hello.maxFrame = v
		case 2:
			f.hello.maxRequests = v
		case 3:
			f.hello.maxRequestBytes = v
		case 4:
			f.hello.maxKeys = v
		case 5:
			f.hello.idleTimeout = durationOf(v)
		}
		return true
	})
}

// fields calls each for the fields of a message, until it returns false.
func fields(b []byte, each func(num protowire.Number, typ protowire.Type, v uint64, in []byte) bool) error {
	for len(b) > 0 {
		num, typ, v, in, n := field(b)
		if n < 0 || n > len(b) {
			return errMalformed
		}
		if !each(num, typ, v, in) {
			return nil
		}
		b = b[n:]
	}
	return nil
}
