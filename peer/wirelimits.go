package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/pb"
)

// A message of a few bytes may need much more memory when it is decoded: an empty key takes two
// bytes on the wire, and 40 as a slice and a string. So the elements of a message are counted
// before memory is set aside for them, and strings share the memory of the message. A change of n
// bytes takes at most 8 × n bytes, whatever is in it.

// The most elements that one message may have. No peer sends as many: it sends at most
// MaxChangeBytes of keys in a change, and lists of peers are shorter.
const (
	mostChangeKeys = 1 << 17
	mostAbsent     = 1 << 14
	mostSince      = 1 << 14
	mostPending    = 1 << 14
)

// changeRequest is a decoded change. Its keys and the value of its item are in the memory of the
// encoded one, which must not be changed.
type changeRequest struct {
	*pb.ChangeRequest // without Keys and Offered
	keys, offered     []string
}

// changeSize says how many elements an encoded pb.ChangeRequest has.
type changeSize struct {
	keys, offered, absent, since int
	rest                         int // bytes of all other fields, without the item
}

// countChange counts what is in a pb.ChangeRequest, without the keys of no bytes and the names
// that are too short for one. Its error says that there is more than any peer sends.
func countChange(raw []byte) (n changeSize, err error) {
	err = wire.EachField(raw, func(num protowire.Number, typ protowire.Type, field, in []byte) error {
		switch num {
		case wire.FieldKeys, wire.FieldOffered, wire.FieldAbsent, wire.FieldItem, wire.FieldSince:
			if typ != protowire.BytesType && (num != wire.FieldSince || typ != protowire.Fixed64Type) {
				return wire.ErrNoMessage
			}
		default:
			n.rest += len(field)
		}
		switch {
		case num == wire.FieldKeys && len(in) > 0:
			n.keys++
		case num == wire.FieldOffered && len(in) > 0:
			n.offered++
		case num == wire.FieldAbsent && len(in) >= MinPeerName:
			n.absent++
		case num == wire.FieldSince:
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
	err = wire.EachField(raw, func(num protowire.Number, _ protowire.Type, field, in []byte) error {
		switch {
		case num == wire.FieldKeys && len(in) > 0:
			req.keys = append(req.keys, wire.StringOf(in))
		case num == wire.FieldOffered && len(in) > 0:
			req.offered = append(req.offered, wire.StringOf(in))
		case num == wire.FieldAbsent && !utf8.Valid(in):
			return wire.ErrNoMessage
		case num == wire.FieldAbsent && len(in) >= MinPeerName:
			names = append(names, string(in)) // it may be kept
		case num == wire.FieldItem:
			if item == nil {
				item = new(pb.Item)
			}
			return decodeItem(item, in)
		case num == wire.FieldSince:
			for ; len(in) >= 8; in = in[8:] {
				departures = append(departures, binary.LittleEndian.Uint64(in))
			}
		case num == wire.FieldKeys, num == wire.FieldOffered, num == wire.FieldAbsent: // no key, no name
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

// decodeItem decodes a pb.Item into item, whose value is then in the memory of raw.
func decodeItem(item *pb.Item, raw []byte) error {
	return wire.EachField(raw, func(num protowire.Number, typ protowire.Type, field, in []byte) error {
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

// decodeChanged decodes a pb.ChangeResponse into resp.
func decodeChanged(raw []byte, resp *pb.ChangeResponse) error {
	pending, absent, members := 0, 0, 0
	err := wire.EachField(raw, func(num protowire.Number, _ protowire.Type, _, in []byte) error {
		switch {
		case num == wire.FieldPending && len(in) < leastHolder:
			return fmt.Errorf("a pending holder of %d bytes: want its name, time and reason", len(in))
		case num == wire.FieldPending:
			pending++
		case num == wire.FieldGroupNames && len(in) == 0:
			return errors.New("a group without a name")
		case num == wire.FieldGroupNames:
			members++
		case (num == wire.FieldStillAbsent || num == wire.FieldMembers) && len(in) < MinPeerName:
			return fmt.Errorf("an absent peer, or a member of the view, of %d bytes: want its name", len(in))
		case num == wire.FieldStillAbsent:
			absent++
		case num == wire.FieldMembers:
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

// leastHolder is how many bytes a pb.Holder has, at least: its name, a time that is not zero, and a
// reason of two bytes.
const leastHolder = 16
