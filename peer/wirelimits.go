package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/pb"
)

// A message of a few bytes can stand for a much larger one in memory: an empty key takes
// two bytes on the wire and 40 as a slice and a string. So the elements of a message are
// counted before memory is set aside for them, and strings are taken from the memory of
// the message itself. A change of n bytes takes at most 8 × n, whatever is in it.

// The most elements that one message may have. None is ever reached by a peer: it sends at
// most changeBytes of keys in a change, and the lists of peers are shorter.
const (
	mostChangeKeys = 1 << 17
	mostAbsent     = 1 << 14
	mostSince      = 1 << 14
	mostPending    = 1 << 14
)

// The numbers of the fields that are looked at.
const (
	fieldKeys    = 2  // of ChangeRequest
	fieldItem    = 4  // of ChangeRequest
	fieldHolders = 5  // of ChangeRequest
	fieldView    = 7  // of ChangeRequest
	fieldAbsent  = 10 // of ChangeRequest
	fieldOffered = 12 // of ChangeRequest
	fieldSince   = 16 // of ChangeRequest

	fieldPending     = 2  // of ChangeResponse
	fieldStillAbsent = 5  // of ChangeResponse
	fieldMembers     = 12 // of ChangeResponse
	fieldGroupNames  = 15 // of ChangeResponse
)

// changeRequest is a change that was read. Its keys, and the value of its item, are in the
// memory of the request, which must not be changed.
type changeRequest struct {
	*pb.ChangeRequest // without Keys and Offered
	keys, offered     []string
}

// changeSize is what is in a pb.ChangeRequest.
type changeSize struct {
	keys, offered, absent, since int
	rest                         int // bytes of all other fields but the item
}

// countChange counts what is in a pb.ChangeRequest, without the keys of no bytes and the names
// that are too short for one. Its error says that there is more than any peer sends.
func countChange(raw []byte) (n changeSize, err error) {
	err = eachField(raw, func(num protowire.Number, typ protowire.Type, field, in []byte) error {
		switch num {
		case fieldKeys, fieldOffered, fieldAbsent, fieldItem, fieldSince:
			if typ != protowire.BytesType && (num != fieldSince || typ != protowire.Fixed64Type) {
				return errNoMessage
			}
		default:
			n.rest += len(field)
		}
		switch {
		case num == fieldKeys && len(in) > 0:
			n.keys++
		case num == fieldOffered && len(in) > 0:
			n.offered++
		case num == fieldAbsent && len(in) >= leastName:
			n.absent++
		case num == fieldSince:
			n.since += len(in) / 8
		}
		return nil
	})
	if err == nil && (n.keys+n.offered > mostChangeKeys || n.absent > mostAbsent || n.since > mostSince) {
		err = fmt.Errorf("%d keys, %d absent peers and %d departures: want at most %d, %d and %d",
			n.keys+n.offered, n.absent, n.since, mostChangeKeys, mostAbsent, mostSince)
	}
	return n, err
}

// decodeChange decodes a pb.ChangeRequest. What countChange does not count is left out.
func decodeChange(raw []byte) (*changeRequest, error) {
	n, err := countChange(raw)
	if err != nil {
		return nil, err
	}
	req := &changeRequest{new(pb.ChangeRequest), make([]string, 0, n.keys), make([]string, 0, n.offered)}
	rest := raw
	whole := n.rest == len(raw)
	if !whole {
		rest = make([]byte, 0, n.rest)
	}
	var item *pb.Item
	names, departures := make([]string, 0, n.absent), make([]uint64, 0, n.since)
	err = eachField(raw, func(num protowire.Number, _ protowire.Type, field, in []byte) error {
		switch {
		case num == fieldKeys && len(in) > 0:
			req.keys = append(req.keys, StringOf(in))
		case num == fieldOffered && len(in) > 0:
			req.offered = append(req.offered, StringOf(in))
		case num == fieldAbsent && len(in) >= leastName:
			if !utf8.Valid(in) {
				return errNoMessage
			}
			names = append(names, string(in)) // it may be kept
		case num == fieldItem:
			if item == nil {
				item = new(pb.Item)
			}
			return decodeItem(item, in)
		case num == fieldSince:
			for ; len(in) >= 8; in = in[8:] {
				departures = append(departures, binary.LittleEndian.Uint64(in))
			}
		case num == fieldKeys, num == fieldOffered, num == fieldAbsent: // no key, no name
		case !whole:
			rest = append(rest, field...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(rest, req.ChangeRequest); err != nil {
		return nil, err
	}
	req.Item, req.Absent, req.Since = item, names, departures
	return req, nil
}

// Waits says what a change may wait for.
type Waits int

const (
	ForNobody Waits = iota
	ForSender       // that the one who sent it answers a change that waits ForNobody
	ForOthers       // that other peers answer changes that do not wait ForOthers
)

// ChangeWaits returns what the answer to a pb.ChangeRequest may wait for: one that has a view
// may be a hint (see hint.go), and those of holders and offers ask them.
func ChangeWaits(raw []byte) (waits Waits) {
	eachField(raw, func(num protowire.Number, typ protowire.Type, _, in []byte) error {
		switch {
		case num == fieldHolders && typ == protowire.VarintType, num == fieldOffered && len(in) > 0:
			waits = ForOthers
		case num == fieldView:
			waits = max(waits, ForSender)
		}
		return nil
	})
	return waits
}

// decodeItem decodes a pb.Item. Its value is in the memory of raw.
func decodeItem(item *pb.Item, raw []byte) error {
	return eachField(raw, func(num protowire.Number, typ protowire.Type, field, in []byte) error {
		switch {
		case num == 1 && typ == protowire.BytesType:
			item.Value = in
		case num == 2 && typ == protowire.VarintType:
			_, _, n := protowire.ConsumeTag(field)
			ttl, _ := protowire.ConsumeVarint(field[n:])
			item.TtlNs = int64(ttl)
		}
		return nil
	})
}

// decodeChanged decodes the answer to a change.
func decodeChanged(raw []byte, resp *pb.ChangeResponse) error {
	pending, absent, members := 0, 0, 0
	err := eachField(raw, func(num protowire.Number, _ protowire.Type, _, in []byte) error {
		switch {
		case num == fieldPending && len(in) < leastHolder:
			return fmt.Errorf("a pending holder of %d bytes: want its base URL, time and reason", len(in))
		case num == fieldPending:
			pending++
		case num == fieldGroupNames:
			members++
		case (num == fieldStillAbsent || num == fieldMembers) && len(in) < leastName:
			return fmt.Errorf("an absent peer, or a member of the view, of %d bytes: want its base URL", len(in))
		case num == fieldStillAbsent:
			absent++
		case num == fieldMembers:
			members++
		}
		return nil
	})
	if err == nil && (pending > mostPending || absent > mostAbsent || members > mostAbsent) {
		err = fmt.Errorf("%d pending holders, %d absent peers and %d members: want at most %d, %d and %d", pending, absent, members, mostPending, mostAbsent, mostAbsent)
	}
	if err != nil {
		return err
	}
	return proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, resp)
}

// leastName is how many bytes the name of a peer has, at least: "http://a" does.
const leastName = 8

// leastHolder is how many bytes a pb.Holder has, at least: its name, its time and a reason.
const leastHolder = 16

// LargestItem returns how many bytes a change may have whose first bytes are head: as many
// as there are up to the end of the value that it sets for its one key, and mostOverhead, if
// that is a value of at most maxValue bytes; otherwise 0.
func LargestItem(head []byte, maxValue int64) int64 {
	keys := 0
	for at := 0; at < len(head); {
		num, typ, n := protowire.ConsumeTag(head[at:])
		if n < 0 {
			return 0
		}
		if num == fieldItem && typ == protowire.BytesType {
			size, m := protowire.ConsumeVarint(head[at+n:])
			if m < 0 || keys > 1 || size > uint64(maxValue)+MaxOverhead {
				return 0
			}
			return int64(at+n+m) + int64(size) + MaxOverhead
		}
		if num == fieldKeys {
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

// errNoMessage says that bytes are no protobuf.
var errNoMessage = errors.New("it is no protobuf message")

// eachField calls each with the fields of a message: all bytes of a field, and those
// within if it is one of bytes, or a fixed64.
func eachField(raw []byte, each func(num protowire.Number, typ protowire.Type, field, in []byte) error) error {
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return errNoMessage
		}
		m := protowire.ConsumeFieldValue(num, typ, raw[n:])
		if m < 0 {
			return errNoMessage
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

// StringOf returns b as a string, in the memory of b, which must not be changed any more.
func StringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
