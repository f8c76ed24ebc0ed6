// Package set has the values of sets.
package set

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"unsafe"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/internal/alloc"
)

const (
	// mostInts is how many integers a set has at most that has nothing else.
	mostInts = 512
	// flatMembers is how many members a flat set has at most.
	flatMembers = 128
	// flatText is how long members of a flat set are at most.
	flatText = 64
)

// Kind is the kind of sets.
var Kind = &engine.Kind{Name: "set", ID: 3, Decode: decode}

// Set is a set of strings. It has one of three forms: integers, until it has many, or something else; then flat, until it has many
// members, or long ones; then a table, for good.
type Set struct {
	ints  ints
	flat  *packed.List // nil: it is not flat
	table *table       // nil: it is no table
}

type table struct {
	dict  dict.Dict[struct{}]
	bytes int64 // of nodes and members
}

// What the allocator takes.
const (
	setBytes   = 48
	flatBytes  = int64(unsafe.Sizeof(packed.List{}))
	tableBytes = 48
	nodeBytes  = int64(unsafe.Sizeof(dict.Node[struct{}]{}))
)

// New makes an empty Set.
func New() *Set { return new(Set) }

// Kind implements engine.Object.
func (s *Set) Kind() *engine.Kind { return Kind }

// Encoding implements engine.Object. Redis 7.0 has no flat sets but of integers.
func (s *Set) Encoding() string {
	if s.table == nil && s.flat == nil {
		return "intset"
	}
	return "hashtable"
}

// Len implements engine.Object.
func (s *Set) Len() int {
	switch {
	case s.table != nil:
		return s.table.dict.Len()
	case s.flat != nil:
		return s.flat.Len()
	}
	return s.ints.len()
}

// Bytes implements engine.Object.
func (s *Set) Bytes() int64 {
	switch {
	case s.table != nil:
		return setBytes + tableBytes + s.table.dict.Bytes() + s.table.bytes
	case s.flat != nil:
		return setBytes + flatBytes + s.flat.Bytes()
	}
	return setBytes + s.ints.bytes()
}

// Clone implements engine.Object.
func (s *Set) Clone() engine.Object {
	c := New()
	switch {
	case s.table != nil:
		c.table = new(table)
		s.table.dict.All(func(n *dict.Node[struct{}]) bool {
			c.table.add(n.Key)
			return true
		})
	case s.flat != nil:
		flat := s.flat.Clone()
		c.flat = &flat
	default:
		c.ints = s.ints.clone()
	}
	return c
}

// Has reports whether there is a member.
func (s *Set) Has(member string) bool {
	switch {
	case s.table != nil:
		return s.table.dict.Get(member) != nil
	case s.flat != nil:
		return s.flat.Find(member, 1) >= 0
	}
	n, ok := number.Int(member)
	if ok {
		_, ok = s.ints.find(n)
	}
	return ok
}

// Add adds a member, and reports whether it is new. It copies it.
func (s *Set) Add(member string) (added bool) {
	switch {
	case s.table != nil:
		return s.table.add(member)
	case s.flat != nil:
		return s.addFlat(member)
	}
	if n, ok := number.Int(member); ok {
		if s.ints.len() < mostInts {
			return s.ints.add(n)
		}
		if _, ok := s.ints.find(n); ok {
			return false
		}
	}
	if s.ints.len() >= flatMembers || len(member) > flatText {
		s.toTable()
		return s.table.add(member)
	}
	s.flat = new(packed.List)
	for i := range s.ints.len() {
		s.flat.Append(strconv.FormatInt(s.ints.at(i), 10))
	}
	s.ints = ints{}
	s.flat.Append(member)
	return true
}

func (s *Set) addFlat(member string) (added bool) {
	if s.flat.Find(member, 1) >= 0 {
		return false
	}
	if s.flat.Len() < flatMembers && len(member) <= flatText {
		s.flat.Append(member)
		return true
	}
	s.toTable()
	return s.table.add(member)
}

// toTable has the Set be a table, which it was not.
func (s *Set) toTable() {
	t := new(table)
	s.All(func(member packed.Text) bool {
		t.add(member.String())
		return true
	})
	*s = Set{table: t}
}

func (t *table) add(member string) (added bool) {
	hash := dict.Hash(member)
	if t.dict.GetHashed(member, hash) != nil {
		return false
	}
	t.dict.PutHashed(&dict.Node[struct{}]{Key: strings.Clone(member)}, hash)
	t.bytes += nodeBytes + textBytes(member)
	return true
}

// textBytes is what the allocator takes for a string.
func textBytes(s string) int64 {
	if s == "" {
		return 0
	}
	return alloc.Size(int64(len(s)))
}

// Remove takes a member away, and reports whether it was there.
func (s *Set) Remove(member string) bool {
	switch {
	case s.table != nil:
		n := s.table.dict.Delete(member)
		if n == nil {
			return false
		}
		s.table.bytes -= nodeBytes + textBytes(n.Key)
		return true
	case s.flat != nil:
		at := s.flat.Find(member, 1)
		if at < 0 {
			return false
		}
		s.flat.Delete(at, 1)
		return true
	}
	n, ok := number.Int(member)
	return ok && s.ints.remove(n)
}

// All calls do with each member, which is valid until do returns, until it returns false.
func (s *Set) All(do func(member packed.Text) bool) {
	var buf [20]byte // for an integer
	switch {
	case s.table != nil:
		s.table.dict.All(func(n *dict.Node[struct{}]) bool { return do(packed.Own(n.Key)) })
	case s.flat != nil:
		for at := s.flat.Start(); at < s.flat.End(); {
			var member []byte
			member, at = s.flat.At(at, buf[:])
			if !do(packed.Shared(member)) {
				return
			}
		}
	default:
		for i := range s.ints.len() {
			if !do(packed.Shared(strconv.AppendInt(buf[:0], s.ints.at(i), 10))) {
				return
			}
		}
	}
}

// Random returns a member, each with the same probability. There must be one. It is valid until the Set changes.
func (s *Set) Random() packed.Text {
	switch {
	case s.table != nil:
		return packed.Own(s.table.dict.Random().Key)
	case s.flat != nil:
		member, _ := s.flat.At(s.flat.Random(1), nil)
		return packed.Shared(member)
	}
	return packed.Shared(strconv.AppendInt(nil, s.ints.at(rand.IntN(s.ints.len())), 10))
}

// Sample calls do with n different members, valid until it returns. Each such choice has the same probability; the order is not random. n is
// Len at most.
func (s *Set) Sample(n int, do func(member packed.Text)) {
	if left := s.Len(); s.table == nil || left < sparse*n {
		s.All(func(member packed.Text) bool {
			if rand.IntN(left) < n {
				do(member)
				n--
			}
			left--
			return n > 0
		})
		return
	}
	seen := make(map[*dict.Node[struct{}]]bool, n)
	for len(seen) < n {
		if node := s.table.dict.Random(); !seen[node] {
			seen[node] = true
			do(packed.Own(node.Key))
		}
	}
}

// sparse is how many times more members than are wanted there have to be for a Sample to try its luck: choices that were made before are
// then rare.
const sparse = 3

// Scan calls visit with some members from place on, valid until it returns, and returns the next place, or 0: see dict.Dict.Scan. What is no
// table is all in one place.
func (s *Set) Scan(place uint64, visit func(member packed.Text)) (next uint64) {
	if s.table != nil {
		return s.table.dict.Scan(place, func(n *dict.Node[struct{}]) { visit(packed.Own(n.Key)) })
	}
	s.All(func(member packed.Text) bool {
		visit(member)
		return true
	})
	return 0
}
