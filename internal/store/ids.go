package store

// Queues and the wheel link entries by number, because an entry can hold no pointers: an id
// leads to the place in the table where the pointer is. That is 8 bytes an entry that the
// collector does not look at.

// place says where in the table an entry's pointer is: the bucket's number, shifted, and the
// slot in it. Overflow buckets have a numbering of their own, marked by the highest bit.
type place uint32

const (
	slotBits      = 3
	slotMask      = 1<<slotBits - 1
	overflowPlace = place(1 << 31)
	// maxBuckets is how many a place can number.
	maxBuckets = 1 << (31 - slotBits)
)

func (p place) slot() int      { return int(p & slotMask) }
func (p place) bucket() uint32 { return uint32(p&^overflowPlace) >> slotBits }

// maxID leaves a bit free, which the wheel uses.
const maxID = 1<<31 - 1

// member is what is known of an id.
type member struct {
	at   place // of a free id: the next free one
	born uint32
}

// ids hands out small numbers for entries. All of it is guarded by the store's lock.
type ids struct {
	members chunks[member]
	used    uint32 // ids handed out once; 0 is none's
	free    uint32 // the first of the ids given back; 0: none
}

func (s *ids) member(id uint32) *member { return s.members.at(id) }

// take returns an id that is in no use.
func (s *ids) take() uint32 {
	if id := s.free; id != 0 {
		s.free = uint32(s.member(id).at)
		return id
	}
	s.used++
	s.members.reach(s.used)
	return s.used
}

func (s *ids) give(id uint32) {
	*s.member(id) = member{at: place(s.free)}
	s.free = id
}

// bytes returns the heap that the ids take.
func (s *ids) bytes() int64 { return s.members.bytes() }
