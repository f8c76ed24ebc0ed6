package set

import (
	"encoding/binary"
	"errors"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
)

// The first byte of what AppendTo writes: what follows is the width of integers, and ints.b; or a packed.List; or the number of members, as in encoding/binary's Uvarint,
// and each member with its length before it.
const (
	formInts  = 0
	formFlat  = 1
	formTable = 2
)

// AppendTo implements engine.Object.
func (s *Set) AppendTo(b []byte) []byte {
	switch {
	case s.table != nil:
		b = binary.AppendUvarint(append(b, formTable), uint64(s.Len()))
		s.table.dict.All(func(n *dict.Node[struct{}]) bool {
			b = number.AppendText(b, n.Key)
			return true
		})
		return b
	case s.flat != nil:
		return s.flat.AppendTo(append(b, formFlat))
	}
	return append(append(b, formInts, s.ints.width), s.ints.b...)
}

var errDecode = errors.New("not a set")

func decode(b []byte) (engine.Object, error) {
	if len(b) == 0 {
		return nil, errDecode
	}
	s, ok := New(), false
	switch b[0] {
	case formInts:
		s.ints, ok = decodeInts(b[1:])
	case formFlat:
		s.flat, ok = decodeFlat(b[1:])
	case formTable:
		s.table, ok = decodeTable(string(b[1:]))
	}
	if !ok || s.Len() == 0 {
		return nil, errDecode
	}
	return s, nil
}

func decodeInts(b []byte) (ints, bool) {
	if len(b) == 0 {
		return ints{}, false
	}
	width, b := int(b[0]), b[1:]
	if width != 2 && width != 4 && width != 8 || len(b)%width != 0 {
		return ints{}, false
	}
	count := len(b) / width
	if count == 0 || count > mostInts {
		return ints{}, false
	}
	s := makeInts(count, width)
	copy(s.b, b)
	for i := 1; i < count; i++ {
		if s.at(i-1) >= s.at(i) {
			return ints{}, false
		}
	}
	return s, true
}

func decodeFlat(b []byte) (*packed.List, bool) {
	flat, err := packed.Decode(b)
	if err != nil || flat.Len() > flatMembers {
		return nil, false
	}
	seen := make(map[string]bool, flat.Len())
	for at := flat.Start(); at < flat.End(); at = flat.Next(at) {
		member := flat.Text(at)
		if len(member) > flatText || seen[member] {
			return nil, false
		}
		seen[member] = true
	}
	return &flat, true
}

// decodeTable reads a table. Its strings are copied once more, each by itself, so that one of them does not keep all.
func decodeTable(s string) (*table, bool) {
	count, s, ok := number.CutUvarint(s)
	if !ok {
		return nil, false
	}
	t := new(table)
	for s != "" {
		var member string
		if member, s, ok = number.CutText(s); !ok || !t.add(member) {
			return nil, false
		}
	}
	return t, uint64(t.dict.Len()) == count
}
