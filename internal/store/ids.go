package store

// Queues and the wheel link entries by number, because an entry can hold no pointers. The number,
// an id, leads to the place in the table where the pointer is. That costs 8 bytes an entry, which
// the collector does not scan.

// place says where in the table the pointer to an entry is: the number of the bucket, shifted, and
// the slot in it. Overflow buckets have numbers of their own, marked by the highest bit.
type place uint32

const (
	slotBits      = 3
	slotMask      = 1<<slotBits - 1
	overflowPlace = place(1 << 31)
	// maxBuckets is how many buckets a place can number.
	maxBuckets = 1 << (31 - slotBits)
)

func (p place) slot() int      { return int(p & slotMask) }
func (p place) bucket() uint32 { return uint32(p&^overflowPlace) >> slotBits }

// maxID leaves one bit free, for listRef.
const maxID = 1<<31 - 1

// member is what is kept for an id.
type member struct {
	at   place  // where the entry is; of a free id: the next free one
	born uint32 // when the entry was added (bornAt)
}

// ids gives entries small numbers. It is guarded by the shard's lock.
type ids struct {
	members chunks[member]
	used    uint32 // the highest id given so far; 0 is no id
	free    uint32 // the first of the ids that were given back; 0: none
}

func (s *ids) member(id uint32) *member { return s.members.at(id) }

// take returns an id that is not in use.
func (s *ids) take() uint32 {
	if id := s.free; id != 0 {
		s.free = uint32(s.member(id).at)
		return id
	}
	s.used++
	s.members.reach(s.used)
	return s.used
}

// give takes id back.
func (s *ids) give(id uint32) {
	*s.member(id) = member{at: place(s.free)}
	s.free = id
}

// bytes returns the heap that the ids take.
func (s *ids) bytes() int64 { return s.members.bytes() }
