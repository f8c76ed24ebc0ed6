package peer

import (
	"encoding/binary"
	"iter"

	"github.com/cespare/xxhash/v2"
)

// A Roll is what one process tells of others: which processes have said that they have which view.
// It is a list of Statements.
type Roll struct {
	// View is the view of most of the Statements.
	View uint64
	// Packed are the Statements, each as the ID in 8 bytes, the lowest first, then the Number and
	// twice its distance to Began as varints. If the distance is odd then, the Statement has another
	// view, whose 8 bytes follow.
	Packed []byte
}

// A Statement is what a process has said of itself: of its State, what others need to know.
type Statement struct {
	ID                  uint64 // see StatementID
	Number, View, Began uint64 // as in State; Began is not after Number
}

// StatementID returns a hash that stands for a process and its name. Who has not heard of that
// process of that name cannot take it for another one.
func StatementID(name string, process uint32) uint64 {
	var h xxhash.Digest
	h.Reset()
	h.WriteString(name)
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], process)
	h.Write(b[:])
	return h.Sum64()
}

// NameID returns a hash that stands for the name of a peer.
func NameID(name string) uint64 { return xxhash.Sum64String(name) }

// Add adds a Statement.
func (r *Roll) Add(s Statement) {
	r.Packed = binary.LittleEndian.AppendUint64(r.Packed, s.ID)
	r.Packed = binary.AppendUvarint(r.Packed, s.Number)
	age := s.Number - min(s.Number, s.Began)
	age = min(age, 1<<63-1) << 1
	if s.View == r.View {
		r.Packed = binary.AppendUvarint(r.Packed, age)
		return
	}
	r.Packed = binary.AppendUvarint(r.Packed, age|1)
	r.Packed = binary.LittleEndian.AppendUint64(r.Packed, s.View)
}

// All returns the Statements, up to the first that is none.
func (r *Roll) All() iter.Seq[Statement] {
	return func(yield func(Statement) bool) {
		for raw := r.Packed; len(raw) >= 8; {
			s := Statement{ID: binary.LittleEndian.Uint64(raw), View: r.View}
			raw = raw[8:]
			number, n := binary.Uvarint(raw)
			if n <= 0 {
				return
			}
			age, m := binary.Uvarint(raw[n:])
			if m <= 0 || age>>1 > number {
				return
			}
			raw = raw[n+m:]
			s.Number, s.Began = number, number-age>>1
			if age&1 != 0 {
				if len(raw) < 8 {
					return
				}
				s.View, raw = binary.LittleEndian.Uint64(raw), raw[8:]
			}
			if !yield(s) {
				return
			}
		}
	}
}
