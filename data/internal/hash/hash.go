// Package hash has the values of hashes: fields, each with a string.
package hash

import (
	"math/rand/v2"
	"strings"
	"unsafe"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/internal/alloc"
)

const (
	// flatFields is how many fields a flat hash has at most. Redis 7.0 has 512 here; a search through as many takes longer
	// than one in a table.
	flatFields = 128
	// flatText is how long fields and values of a flat hash are at most.
	flatText = 64
)

// Kind is the kind of hashes.
var Kind = &engine.Kind{Name: "hash", ID: 2, Decode: decode}

// Hash is a hash. It is flat until it has many fields, or long ones; then a table, for good.
type Hash struct {
	flat  packed.List // fields, each with its value; empty if there is a table
	table *table
}

// table is a Hash that is not flat.
type table struct {
	dict  dict.Dict[string]
	bytes int64 // of nodes, fields and values
}

const (
	hashBytes  = int64(unsafe.Sizeof(Hash{}))
	tableBytes = 48 // what the allocator takes for a table
	nodeBytes  = int64(unsafe.Sizeof(dict.Node[string]{}))
)

// New makes an empty Hash.
func New() *Hash { return new(Hash) }

// Kind implements engine.Object.
func (h *Hash) Kind() *engine.Kind { return Kind }

// Encoding implements engine.Object.
func (h *Hash) Encoding() string {
	if h.table != nil {
		return "hashtable"
	}
	return "listpack"
}

// Len implements engine.Object.
func (h *Hash) Len() int {
	if h.table != nil {
		return h.table.dict.Len()
	}
	return h.flat.Len() / 2
}

// Bytes implements engine.Object.
func (h *Hash) Bytes() int64 {
	if h.table != nil {
		return hashBytes + tableBytes + h.table.dict.Bytes() + h.table.bytes
	}
	return hashBytes + h.flat.Bytes()
}

// Clone implements engine.Object.
func (h *Hash) Clone() engine.Object {
	if h.table == nil {
		return &Hash{flat: h.flat.Clone()}
	}
	t := new(table)
	h.table.dict.All(func(n *dict.Node[string]) bool {
		t.set(n.Key, n.Value)
		return true
	})
	return &Hash{table: t}
}

// Get returns the value of a field. It is valid until the Hash changes.
func (h *Hash) Get(field string) (value packed.Text, ok bool) {
	if h.table != nil {
		n := h.table.dict.Get(field)
		if n == nil {
			return packed.Text{}, false
		}
		return packed.Own(n.Value), true
	}
	at := h.flat.Find(field, 2)
	if at < 0 {
		return packed.Text{}, false
	}
	s, _ := h.flat.At(h.flat.Next(at), nil)
	return packed.Shared(s), true
}

// Has reports whether there is a field.
func (h *Hash) Has(field string) bool {
	if h.table != nil {
		return h.table.dict.Get(field) != nil
	}
	return h.flat.Find(field, 2) >= 0
}

// Set gives a field a value, and reports whether the field is new. It copies both.
func (h *Hash) Set(field, value string) (added bool) {
	if h.table == nil {
		if len(field) <= flatText && len(value) <= flatText {
			if at := h.flat.Find(field, 2); at >= 0 {
				h.flat.Replace(h.flat.Next(at), value)
				return false
			}
			if h.flat.Len() < 2*flatFields {
				h.flat.Append(field, value)
				return true
			}
		}
		h.toTable()
	}
	return h.table.set(field, value)
}

// toTable has a flat Hash be one no more.
func (h *Hash) toTable() {
	t := new(table)
	for at := h.flat.Start(); at < h.flat.End(); {
		value := h.flat.Next(at)
		t.set(h.flat.Text(at), h.flat.Text(value))
		at = h.flat.Next(value)
	}
	h.flat, h.table = packed.List{}, t
}

func (t *table) set(field, value string) (added bool) {
	hash := dict.Hash(field)
	if n := t.dict.GetHashed(field, hash); n != nil {
		t.bytes += textBytes(value) - textBytes(n.Value)
		n.Value = strings.Clone(value)
		return false
	}
	t.dict.PutHashed(&dict.Node[string]{Key: strings.Clone(field), Value: strings.Clone(value)}, hash)
	t.bytes += nodeBytes + textBytes(field) + textBytes(value)
	return true
}

// textBytes is what the allocator takes for a string.
func textBytes(s string) int64 {
	if s == "" {
		return 0
	}
	return alloc.Size(int64(len(s)))
}

// Delete takes a field away, and reports whether it was there.
func (h *Hash) Delete(field string) bool {
	if h.table != nil {
		n := h.table.dict.Delete(field)
		if n == nil {
			return false
		}
		h.table.bytes -= nodeBytes + textBytes(n.Key) + textBytes(n.Value)
		return true
	}
	at := h.flat.Find(field, 2)
	if at < 0 {
		return false
	}
	h.flat.Delete(at, 2)
	return true
}

// All calls do with each field and its value, which are valid until it returns.
func (h *Hash) All(do func(field, value packed.Text)) {
	if h.table != nil {
		h.table.dict.All(func(n *dict.Node[string]) bool {
			do(packed.Own(n.Key), packed.Own(n.Value))
			return true
		})
		return
	}
	var bufs [2][20]byte // for integers
	for at := h.flat.Start(); at < h.flat.End(); {
		var field, value []byte
		field, at = h.flat.At(at, bufs[0][:])
		value, at = h.flat.At(at, bufs[1][:])
		do(packed.Shared(field), packed.Shared(value))
	}
}

// Random returns a field with its value, each with the same probability. There must be one. Both are valid until the Hash changes.
func (h *Hash) Random() (field, value packed.Text) {
	if h.table != nil {
		n := h.table.dict.Random()
		return packed.Own(n.Key), packed.Own(n.Value)
	}
	at := h.flat.Random(2)
	f, at := h.flat.At(at, nil)
	v, _ := h.flat.At(at, nil)
	return packed.Shared(f), packed.Shared(v)
}

// Sample calls do with n different fields and their values, valid until it returns. Each such choice has the same probability; the order
// is not random. n is Len at most.
func (h *Hash) Sample(n int, do func(field, value packed.Text)) {
	if left := h.Len(); h.table == nil || left < sparse*n {
		h.All(func(field, value packed.Text) {
			if rand.IntN(left) < n {
				do(field, value)
				n--
			}
			left--
		})
		return
	}
	seen := make(map[*dict.Node[string]]bool, n)
	for len(seen) < n {
		if node := h.table.dict.Random(); !seen[node] {
			seen[node] = true
			do(packed.Own(node.Key), packed.Own(node.Value))
		}
	}
}

// sparse is how many times more elements than are wanted there have to be for a Sample to try its luck: choices that were made before are
// then rare.
const sparse = 3

// Scan calls visit with some fields and values from place on, valid until it returns, and returns the next place, or 0: see dict.Dict.Scan. A
// flat hash is all in one place.
func (h *Hash) Scan(place uint64, visit func(field, value packed.Text)) (next uint64) {
	if h.table == nil {
		h.All(visit)
		return 0
	}
	return h.table.dict.Scan(place, func(n *dict.Node[string]) { visit(packed.Own(n.Key), packed.Own(n.Value)) })
}
