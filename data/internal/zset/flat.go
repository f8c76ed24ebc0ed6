package zset

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/internal/alloc"
)

// flat is a small set. An item is its score in eight bytes, the length of the member in one, and the member. The score is in
// front and always as long, so that who looks for a score reads no member, and who looks for a member no score: that is why it is no
// packed.List.
type flat struct {
	b []byte
	n int
}

// flatHead is what an item takes besides the member.
const flatHead = 9

func (f *flat) score(at int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(f.b[at:]))
}

func (f *flat) item(at int) Item {
	end := f.next(at)
	return Item{packed.Shared(f.b[at+flatHead : end : end]), f.score(at)}
}

// next returns where the item behind the one at that place is.
func (f *flat) next(at int) int { return at + flatHead + int(f.b[at+8]) }

// find returns the place of a member, and its rank.
func (f *flat) find(member string) (at, rank int, ok bool) {
	if len(member) > flatMember {
		return 0, 0, false
	}
	size := byte(len(member))
	for at < len(f.b) {
		end := f.next(at)
		if f.b[at+8] == size && string(f.b[at+flatHead:end]) == member {
			return at, rank, true
		}
		at = end
		rank++
	}
	return 0, 0, false
}

// insert adds an item, whose member must not be there.
func (f *flat) insert(member string, score float64) {
	at := 0
	for at < len(f.b) {
		if s := f.score(at); s > score || s == score && f.item(at).View() > member {
			break
		}
		at = f.next(at)
	}
	f.insertAt(at, member, score)
}

func (f *flat) insertAt(at int, member string, score float64) {
	if score == 0 {
		score = 0 // and not -0, which Redis keeps in large sets only
	}
	var head [flatHead]byte
	binary.LittleEndian.PutUint64(head[:], math.Float64bits(score))
	head[8] = byte(len(member))
	size := len(f.b) + flatHead + len(member)
	if size > cap(f.b) {
		f.b = append(make([]byte, 0, alloc.Size(int64(size))), f.b...)
	}
	tail := len(f.b) - at
	f.b = f.b[:size]
	copy(f.b[size-tail:], f.b[at:at+tail])
	copy(f.b[at:], head[:])
	copy(f.b[at+flatHead:], member)
	f.n++
}

// cut takes the item at a place away. Memory is given back once most of it is empty.
func (f *flat) cut(at int) {
	f.b = slices.Delete(f.b, at, f.next(at))
	f.n--
	if len(f.b) < cap(f.b)/4 {
		*f = f.clone()
	}
}

// clone returns a copy in as little memory as possible.
func (f *flat) clone() flat {
	if f.n == 0 {
		return flat{}
	}
	return flat{append(make([]byte, 0, alloc.Size(int64(len(f.b)))), f.b...), f.n}
}

// seek returns the place of a rank.
func (f *flat) seek(rank int) (at int) {
	for range rank {
		at = f.next(at)
	}
	return at
}

// ascend calls visit with the items but the skip first ones, until it returns false.
func (f *flat) ascend(skip int, visit func(item Item) bool) {
	for at := f.seek(skip); at < len(f.b) && visit(f.item(at)); at = f.next(at) {
	}
}

// descend calls visit with the items but the skip last ones, the last first, until it returns false.
func (f *flat) descend(skip int, visit func(item Item) bool) {
	var places [flatMembers]int
	at := 0
	for rank := range f.n - skip {
		places[rank] = at
		at = f.next(at)
	}
	for rank := f.n - skip - 1; rank >= 0 && visit(f.item(places[rank])); rank-- {
	}
}
