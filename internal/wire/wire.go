// Package wire reads encoded messages of package pb without decoding them whole.
package wire

import (
	"errors"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields that are read.
const (
	FieldKeys    = 2  // of ChangeRequest
	FieldItem    = 4  // of ChangeRequest
	FieldHolders = 5  // of ChangeRequest
	FieldView    = 7  // of ChangeRequest
	FieldAbsent  = 10 // of ChangeRequest
	FieldOffered = 12 // of ChangeRequest
	FieldSince   = 16 // of ChangeRequest
	FieldRelay   = 22 // of ChangeRequest
	FieldPassOn  = 25 // of ChangeRequest

	FieldPending     = 2  // of ChangeResponse
	FieldStillAbsent = 5  // of ChangeResponse
	FieldMembers     = 12 // of ChangeResponse
	FieldGroupNames  = 15 // of ChangeResponse
)

// ErrNoMessage says that bytes are no protobuf message.
var ErrNoMessage = errors.New("it is no protobuf message")

// EachField calls each for each field of a message, until each returns an error. field is the whole
// field with its tag. in is the content of a field of bytes or of a fixed64; otherwise it is nil.
// Both are in the memory of raw.
func EachField(raw []byte, each func(num protowire.Number, typ protowire.Type, field, in []byte) error) error {
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return ErrNoMessage
		}
		m := protowire.ConsumeFieldValue(num, typ, raw[n:])
		if m < 0 {
			return ErrNoMessage
		}
		var in []byte
		switch typ {
		case protowire.BytesType:
			in, _ = protowire.ConsumeBytes(raw[n:])
		case protowire.Fixed64Type:
			in = raw[n : n+m]
		}
		if err := each(num, typ, raw[:n+m], in); err != nil {
			return err
		}
		raw = raw[n+m:]
	}
	return nil
}

// StringOf returns b as a string without a copy. b must not be changed any more.
func StringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Waits says for what the answer to a change may wait. So changes that wait for each other can be
// kept apart.
type Waits int

// The values of Waits, in ascending order.
const (
	ForNobody Waits = iota
	ForSender       // for the sender to answer a change that waits ForNobody
	ForOthers       // for other peers to answer changes that do not wait ForOthers
)

// ChangeWaits returns for what the answer to an encoded pb.ChangeRequest may wait. A change with a
// view may have to be confirmed at its sender. One with holders or offers makes the peer ask
// others, and one with relay or pass_on makes it tell them.
func ChangeWaits(raw []byte) (waits Waits) {
	EachField(raw, func(num protowire.Number, typ protowire.Type, _, in []byte) error {
		switch {
		case (num == FieldHolders || num == FieldRelay) && typ == protowire.VarintType, (num == FieldOffered || num == FieldPassOn) && len(in) > 0:
			waits = ForOthers
		case num == FieldView:
			waits = max(waits, ForSender)
		}
		return nil
	})
	return waits
}

// LargestChange returns how many bytes an encoded pb.ChangeRequest may have, by its first bytes,
// head. A change that sets the value of one key may go up to the end of that value, and overhead
// bytes beyond it, if the value has at most maxValue bytes and overhead more. For any other change
// it returns zero.
func LargestChange(head []byte, maxValue, overhead int64) int64 {
	keys := 0
	for at := 0; at < len(head); {
		num, typ, n := protowire.ConsumeTag(head[at:])
		if n < 0 {
			return 0
		}
		if num == FieldItem && typ == protowire.BytesType {
			size, m := protowire.ConsumeVarint(head[at+n:])
			if m < 0 || keys > 1 || size > uint64(maxValue+overhead) {
				return 0
			}
			return int64(at+n+m) + int64(size) + overhead
		}
		if num == FieldKeys {
			keys++
		}
		m := protowire.ConsumeFieldValue(num, typ, head[at+n:])
		if m < 0 {
			return 0
		}
		at += n + m
	}
	return 0
}
