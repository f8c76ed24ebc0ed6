package consistenthash

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// MaxWeight bounds the sum of the weights of a ring's members, and so the number of members. A unit
// of weight costs about 2.4 kB of memory.
const MaxWeight = 1<<16 - 1

const (
	// pointsPerWeight and acceptOneIn determine how even the shares are: see the package
	// comment. The first costs memory, the second steps of a lookup. A change of either would
	// move every key.
	pointsPerWeight = 320
	acceptOneIn     = 16

	maxPoints = MaxWeight * pointsPerWeight
)

// Member is a member of a ring.
type Member struct {
	Name   string // not empty, unique in the ring
	Weight int    // its share of the keys, relative to the other members; zero means 1
}

// Ring chooses the owners of keys. It is made by New or NewGroupcache, never changes, and may be
// used concurrently.
type Ring struct {
	names   []string // as given to the constructor
	weights []uint16 // of the names; nil: made by NewGroupcache

	// slots has the positions of the points in ascending order, and owners the indices of their
	// members, in the same order. Each point is at its home slot (see home) or after it. Slots
	// between two points are filled with repeats of a point beside them, which change nothing:
	// a repeat accepts the same keys. So a walk that starts at a key's home slot misses no
	// point at or after the key, without a search.
	slots  []uint32
	owners []uint16
	homes  uint64 // the number of home slots; len(slots) is no less

	accept     uint32 // a point at p accepts a key if p*coin is at most this
	groupcache bool   // keys are hashed as golang/groupcache does
}

// New makes a ring of members. Rings of the same members, in any order, choose the same owners. New
// fails if there are no members, if a name is empty or given twice, if a weight is negative, or if
// the weights add up to more than MaxWeight.
func New(members ...Member) (*Ring, error) {
	names, weights := make([]string, len(members)), make([]uint16, len(members))
	total := 0
	for i, m := range members {
		if m.Weight < 0 || m.Weight > MaxWeight {
			return nil, fmt.Errorf("consistenthash: member %q has weight %d, want 0 to %d", m.Name, m.Weight, MaxWeight)
		}
		names[i], weights[i] = m.Name, uint16(max(m.Weight, 1))
		total += max(m.Weight, 1)
	}
	if err := checkNames(names); err != nil {
		return nil, err
	}
	if total > MaxWeight {
		return nil, fmt.Errorf("consistenthash: weights add up to %d, want at most %d", total, MaxWeight)
	}
	rings := recent.inUse()
	for _, r := range rings {
		if slices.Equal(r.names, names) && slices.Equal(r.weights, weights) {
			return r, nil
		}
	}
	r := &Ring{names: names, weights: weights, accept: math.MaxUint32 / acceptOneIn}
	r.reserve(total * pointsPerWeight)
	r.merge(r.nearest(rings))
	recent.add(r)
	return r, nil
}

// pointsOf returns the points of some of the members, given by their indices, in the order in which
// a walk meets them. It sorts the indices.
func (r *Ring) pointsOf(members []int) []uint64 {
	slices.SortFunc(members, func(a, b int) int { return strings.Compare(r.names[a], r.names[b]) })
	total := 0
	for _, i := range members {
		total += int(r.weights[i])
	}
	points := make([]uint64, 0, total*pointsPerWeight)
	var buf []byte
	for _, i := range members {
		name := r.names[i]
		buf = append(buf[:0], name...)
		for n := range int(r.weights[i]) * pointsPerWeight {
			buf = binary.LittleEndian.AppendUint32(buf[:len(name)], uint32(n))
			points = append(points, point(uint32(xxhash.Sum64(buf)>>32), i))
		}
	}
	return byPosition(points)
}

// NewGroupcache makes exactly the ring that golang/groupcache makes of names, added in this order,
// with its default hash (CRC-32). Its shares are uneven. It is for fleets with processes of
// golang/groupcache, where replicas is 50. It fails if there are no names, if one is empty or given
// twice, or if replicas is less than 1 or absurdly large.
func NewGroupcache(replicas int, names ...string) (*Ring, error) {
	names = slices.Clone(names)
	if err := checkNames(names); err != nil {
		return nil, err
	}
	if most := maxPoints / len(names); replicas < 1 || replicas > most {
		return nil, fmt.Errorf("consistenthash: %d replicas, want 1 to %d for %d members", replicas, most, len(names))
	}
	// Of points at one position, groupcache has the last one that was added.
	points := make([]uint64, 0, replicas*len(names))
	var buf []byte
	for i, name := range slices.Backward(names) {
		for n := range replicas {
			buf = append(strconv.AppendInt(buf[:0], int64(n), 10), name...)
			points = append(points, point(crc32.ChecksumIEEE(buf), i))
		}
	}
	r := &Ring{names: names, accept: math.MaxUint32, groupcache: true}
	r.reserve(len(points))
	for _, p := range byPosition(points) {
		r.put(uint32(p>>32), uint16(p))
	}
	r.fill(int(r.homes))
	return r, nil
}

// checkNames returns an error if names cannot be the names of a ring's members.
func checkNames(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("consistenthash: no members, want at least one")
	}
	if len(names) > MaxWeight {
		return fmt.Errorf("consistenthash: %d members, want at most %d", len(names), MaxWeight)
	}
	seen := make(map[string]int, len(names))
	for i, name := range names {
		if name == "" {
			return fmt.Errorf("consistenthash: member %d has an empty name", i)
		}
		if first, ok := seen[name]; ok {
			return fmt.Errorf("consistenthash: members %d and %d are both named %q, want each name once", first, i, name)
		}
		seen[name] = i
	}
	return nil
}

// point packs a position and the index of its member.
func point(position uint32, member int) uint64 { return uint64(position)<<32 | uint64(member) }

// byPosition returns points in the order of their positions, and uses their memory. Those at one
// position stay in the order in which they are given. It is a radix sort, stable, from the lowest
// digit to the highest: positions are hashes, and a sort that compares 320,000 of them would take most of the
// time that New takes.
func byPosition(points []uint64) []uint64 {
	const digit = 11 // bits; three digits are enough for a position
	sorted := make([]uint64, len(points))
	for shift := 32; shift < 64; shift += digit {
		var next [1<<digit + 1]int // place of a digit's next point
		for _, p := range points {
			next[p>>shift%(1<<digit)+1]++
		}
		for d := range 1 << digit {
			next[d+1] += next[d]
		}
		for _, p := range points {
			d := p >> shift % (1 << digit)
			sorted[next[d]] = p
			next[d]++
		}
		points, sorted = sorted, points
	}
	return points
}

// reserve makes room for so many points.
func (r *Ring) reserve(points int) {
	// A fifth of the slots stays free, which keeps most points within a few slots of home.
	r.homes = uint64(points + points/4)
	r.slots = make([]uint32, 0, r.homes)
	r.owners = make([]uint16, 0, r.homes)
}

// put places the next point at its home slot, or at the first free one.
func (r *Ring) put(position uint32, owner uint16) {
	n := len(r.slots)
	if n > 0 && r.slots[n-1] == position && r.owners[n-1] == owner {
		return // it would change nothing, and merge could not tell it from a repeat
	}
	for range max(0, r.home(position)-n) + 1 {
		r.slots, r.owners = append(r.slots, position), append(r.owners, owner)
	}
}

// fill fills the slots up to a number of them with the last point.
func (r *Ring) fill(slots int) {
	for last := len(r.slots) - 1; len(r.slots) < slots; {
		r.slots, r.owners = append(r.slots, r.slots[last]), append(r.owners, r.owners[last])
	}
}

// home returns the slot at which a walk from a position starts.
func (r *Ring) home(position uint32) int {
	return int(uint64(position) * r.homes >> 32)
}

// hash returns the position of a key, and the coin that it tosses at each point.
func (r *Ring) hash(key string) (position, coin uint32) {
	if r.groupcache {
		// A plain conversion would copy the key to the heap. The bytes are only read.
		return crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(key), len(key))), 0
	}
	h := xxhash.Sum64String(key)
	return uint32(h >> 32), uint32(h)
}

// Len returns the number of members.
func (r *Ring) Len() int { return len(r.names) }

// Owner returns the name of the member that owns a key.
func (r *Ring) Owner(key string) string { return r.names[r.OwnerIndex(key)] }

// OwnerIndex returns the index of the key's owner among the members as they were given to the
// constructor.
func (r *Ring) OwnerIndex(key string) int {
	position, coin := r.hash(key)
	home, accept := r.home(position), r.accept
	for i, p := range r.slots[home:] {
		if p*coin <= accept && p >= position {
			return int(r.owners[home+i])
		}
	}
	for i, p := range r.slots { // past the end; the points from position on have just refused
		if p*coin <= accept {
			return int(r.owners[i])
		}
	}
	return int(r.owners[r.first(position)])
}

// Shares returns the part of all keys that each member owns, in the order in which they were given to
// the constructor. It takes each point to accept a key by chance, so it is right to within about a
// thousandth of a share. Its time grows with the number of points.
func (r *Ring) Shares() []float64 {
	accepts := (float64(r.accept) + 1) / (1 << 32)
	shares, all := make([]float64, len(r.names)), 0.0
	last := len(r.slots) - 1
	// reach is the part of all keys whose walk comes to the point. In the first turn it is
	// gathered, from the points that refuse a key at the end of the circle.
	var reach float64
	for turn := range 2 {
		before, owner := float64(r.slots[last])-(1<<32), r.owners[last]
		for i, p := range r.slots {
			if i > 0 && float64(p) == before && r.owners[i] == owner {
				continue // a repeat
			}
			reach += (float64(p) - before) / (1 << 32)
			if turn == 1 {
				shares[r.owners[i]] += reach * accepts
				all += reach * accepts
			}
			reach *= 1 - accepts
			before, owner = float64(p), r.owners[i]
		}
	}
	for i := range shares { // keys that are refused for a whole turn are in none
		shares[i] /= all
	}
	return shares
}

// first returns the slot of the first point at or after a position.
func (r *Ring) first(position uint32) int {
	home := r.home(position)
	for i, p := range r.slots[home:] {
		if p >= position {
			return home + i
		}
	}
	return 0
}

// Successors returns the names of the first n members for a key, or of all if there are fewer: its
// owner, then the member that would own it without the owner, and so on.
func (r *Ring) Successors(key string, n int) []string {
	indices := r.AppendSuccessors(nil, key, n)
	names := make([]string, len(indices))
	for i, m := range indices {
		names[i] = r.names[m]
	}
	return names
}

// AppendSuccessors appends the indices of the key's first n members (see Successors) to dst. It is
// meant for a small n: its time grows with the square of n.
func (r *Ring) AppendSuccessors(dst []int, key string, n int) []int {
	position, coin := r.hash(key)
	first, before := r.first(position), len(dst)
	n = min(n, len(r.names))
	for _, accept := range [...]uint32{r.accept, math.MaxUint32} { // turn one, turn two
		slot := first
		for range r.slots {
			if len(dst)-before >= n {
				return dst
			}
			member := int(r.owners[slot])
			if r.slots[slot]*coin <= accept && !slices.Contains(dst[before:], member) {
				dst = append(dst, member)
			}
			if slot++; slot == len(r.slots) {
				slot = 0
			}
		}
	}
	return dst
}
