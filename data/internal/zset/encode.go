package zset

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/peercache/peercache/data/internal/number"
)

// A set in a snapshot is a byte that says whether it is large, the number of its members, and of each, in their order, the score in
// eight bytes, the length of the member, and the member.
const (
	formFlat = iota
	formBig
)

// AppendTo implements engine.Object.
func (z *Set) AppendTo(b []byte) []byte {
	form := byte(formBig)
	if z.Flat() {
		form = formFlat
	}
	b = binary.AppendUvarint(append(b, form), uint64(z.Len()))
	for item := range z.All {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(item.Score))
		b = number.AppendText(b, item.View())
	}
	return b
}

var (
	errShort = errors.New("it ends early, or too late")
	errForm  = errors.New("an unknown form")
	errOrder = errors.New("its members are not in order")
	errTwice = errors.New("a member is there twice")
	errSize  = errors.New("it is too large for its form, or empty")
)

// Decode makes a Set of what AppendTo has appended.
func Decode(b []byte) (*Set, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	form := b[0]
	if form > formBig {
		return nil, errForm
	}
	count, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return nil, errShort
	}
	b = b[1+n:]
	switch {
	case count > uint64(len(b))/flatHead:
		return nil, errShort // as each member takes as much at least
	case count == 0, form == formFlat && count > flatMembers:
		return nil, errSize
	}
	if form == formFlat {
		return decodeFlat(b, int(count))
	}
	items := make([]*entry, 0, count)
	err := decodeItems(b, int(count), func(member []byte, score float64) error {
		items = append(items, &entry{Key: string(member), Value: score})
		return nil
	})
	if err != nil {
		return nil, err
	}
	big, ok := newBig(items)
	if !ok {
		return nil, errTwice
	}
	return &Set{big: big}, nil
}

func decodeFlat(b []byte, count int) (*Set, error) {
	z := New()
	z.flat.b = make([]byte, 0, len(b))
	err := decodeItems(b, count, func(member []byte, score float64) error {
		if len(member) > flatMember {
			return errSize
		}
		if _, _, ok := z.flat.find(string(member)); ok {
			return errTwice
		}
		z.flat.insertAt(len(z.flat.b), string(member), score)
		return nil
	})
	if err != nil {
		return nil, err
	}
	z.flat = z.flat.clone()
	return z, nil
}

// decodeItems calls add with count items, which are all that b has.
func decodeItems(b []byte, count int, add func(member []byte, score float64) error) error {
	var before []byte
	last := math.Inf(-1)
	for i := range count {
		if len(b) < flatHead {
			return errShort
		}
		score := math.Float64frombits(binary.LittleEndian.Uint64(b))
		size, n := binary.Uvarint(b[8:])
		if n <= 0 || size > uint64(len(b)-8-n) {
			return errShort
		}
		b = b[8+n:]
		member := b[:size:size]
		b = b[size:]
		if err := checkScore(score); err != nil {
			return err
		}
		if i > 0 && (score < last || score == last && string(member) <= string(before)) {
			return errOrder
		}
		if err := add(member, score); err != nil {
			return err
		}
		before, last = member, score
	}
	if len(b) > 0 {
		return errShort
	}
	return nil
}
