package hash

import (
	"encoding/binary"
	"errors"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
)

// The first byte of what AppendTo writes: what follows is a packed.List; or the number of fields, and each field and each value with its
// length before it. Numbers are as in encoding/binary's Uvarint.
const (
	formFlat  = 0
	formTable = 1
)

// AppendTo implements engine.Object.
func (h *Hash) AppendTo(b []byte) []byte {
	if h.table == nil {
		return h.flat.AppendTo(append(b, formFlat))
	}
	b = append(b, formTable)
	b = binary.AppendUvarint(b, uint64(h.Len()))
	h.table.dict.All(func(n *dict.Node[string]) bool {
		b = number.AppendText(number.AppendText(b, n.Key), n.Value)
		return true
	})
	return b
}

var errDecode = errors.New("not a hash")

func decode(b []byte) (engine.Object, error) {
	if len(b) == 0 {
		return nil, errDecode
	}
	h, ok := (*Hash)(nil), false
	switch b[0] {
	case formFlat:
		h, ok = decodeFlat(b[1:])
	case formTable:
		h, ok = decodeTable(string(b[1:]))
	}
	if !ok || h.Len() == 0 {
		return nil, errDecode
	}
	return h, nil
}

func decodeFlat(b []byte) (*Hash, bool) {
	flat, err := packed.Decode(b)
	if err != nil || flat.Len()%2 != 0 || flat.Len() > 2*flatFields {
		return nil, false
	}
	h := &Hash{flat: flat}
	ok := true
	seen := make(map[string]bool, h.Len())
	h.All(func(field, value packed.Text) {
		if field.Len() > flatText || value.Len() > flatText || seen[field.String()] {
			ok = false
		}
		seen[field.String()] = true
	})
	return h, ok
}

// decodeTable reads a table. Its strings are copied once more, each by itself, so that one of them does not keep all.
func decodeTable(s string) (*Hash, bool) {
	count, s, ok := number.CutUvarint(s)
	if !ok {
		return nil, false
	}
	t := new(table)
	for s != "" {
		var field, value string
		if field, s, ok = number.CutText(s); !ok {
			return nil, false
		}
		if value, s, ok = number.CutText(s); !ok || !t.set(field, value) {
			return nil, false
		}
	}
	return &Hash{table: t}, uint64(t.dict.Len()) == count
}
