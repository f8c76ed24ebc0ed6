// Package snapshot writes what a cache has to a file at the end of a process. The next process
// reads it once.
//
// The file is complete or does not exist. A Writer fills a temporary file beside it, waits until
// that is on the disk, and renames it only then. A Reader checks the whole file before it returns
// the first record. Take moves the file away before it is read: what one process has restored, and
// may have changed since, no later process restores again.
//
// The file has a header, the records and an end, numbers in little endian:
//
//	header  magic "pcsnap\n", version 1 byte, when written 8, departure 8, lengths of name 1 and note 4, name, note
//	record  kind 1 byte, time left 8, length of the key 4, of the value 4, key, value
//	end     kind 0, number of records 8, zeros 8, XXH64 of all before it 8
package snapshot

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// The largest parts that a file may have. A Writer refuses larger ones. To a Reader, a larger one
// means that the file is no snapshot.
const (
	MostNameBytes  = 255
	MostNoteBytes  = 8 << 20
	MostKeyBytes   = 1 << 20
	MostValueBytes = 1 << 30
)

// Header says what a file is.
type Header struct {
	Name string // of what was saved, 1 to MostNameBytes bytes
	// Written is when the file was written, on the wall clock of the machine, to the
	// nanosecond. Record.Left is counted from then.
	Written time.Time
	// Departure is a number by which other processes may know the file. The package only stores
	// it.
	Departure uint64
	// Note is what else the next process needs to know, at most MostNoteBytes bytes. The
	// package only stores it.
	Note []byte
}

// Record is one key and what was cached for it.
type Record struct {
	Key     string
	Value   []byte
	Left    time.Duration // how long it may still be used; zero: without end; negative: how long ago that ended
	Missing bool          // the origin has no value, and Value is the text of the error that says so
}

const (
	magic   = "pcsnap\n"
	version = 1

	fixedHeader  = len(magic) + 1 + 8 + 8 + 1 + 4
	fixedRecord  = 1 + 8 + 4 + 4
	checksumSize = 8
)

// kind is the first byte of a record.
type kind byte

const (
	kindEnd kind = iota
	kindValue
	kindMissing
)

// fixed is the part of a record that always has the same length. The end is one too, with the
// number of records in left.
type fixed struct {
	kind       kind
	left       int64
	key, value uint32 // lengths
}

func (f fixed) append(b []byte) []byte {
	b = append(b, byte(f.kind))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.left))
	b = binary.LittleEndian.AppendUint32(b, f.key)
	return binary.LittleEndian.AppendUint32(b, f.value)
}

// parseFixed is the inverse of append. b has fixedRecord bytes.
func parseFixed(b []byte) fixed {
	return fixed{
		kind:  kind(b[0]),
		left:  int64(binary.LittleEndian.Uint64(b[1:])),
		key:   binary.LittleEndian.Uint32(b[9:]),
		value: binary.LittleEndian.Uint32(b[13:]),
	}
}

// check returns an error if f does not belong to a record that a Writer wrote. At most rest bytes
// follow f.
func (f fixed) check(rest int64) error {
	switch {
	case f.kind != kindValue && f.kind != kindMissing:
		return fmt.Errorf("a record of kind %d", f.kind)
	case f.key > MostKeyBytes:
		return fmt.Errorf("a key of %d bytes, want at most %d", f.key, MostKeyBytes)
	case f.value > MostValueBytes:
		return fmt.Errorf("a value of %d bytes, want at most %d", f.value, MostValueBytes)
	case int64(f.key)+int64(f.value) > rest:
		return fmt.Errorf("a record of %d bytes where %d are left", int64(f.key)+int64(f.value), rest)
	}
	return nil
}

// appendHeader appends the encoded header to b.
func appendHeader(b []byte, h Header) ([]byte, error) {
	if len(h.Name) == 0 || len(h.Name) > MostNameBytes {
		return nil, fmt.Errorf("a name of %d bytes: want 1 to %d", len(h.Name), MostNameBytes)
	}
	if len(h.Note) > MostNoteBytes {
		return nil, fmt.Errorf("a note of %d bytes: want at most %d", len(h.Note), MostNoteBytes)
	}
	b = append(b, magic...)
	b = append(b, version)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Written.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, h.Departure)
	b = append(b, byte(len(h.Name)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.Note)))
	b = append(b, h.Name...)
	return append(b, h.Note...), nil
}

// readHeader is the inverse of appendHeader. Header and records have content bytes together.
func readHeader(in io.Reader, content int64) (h Header, err error) {
	b := make([]byte, fixedHeader, fixedHeader+MostNameBytes)
	if _, err := io.ReadFull(in, b); err != nil {
		return h, err
	}
	if string(b[:len(magic)]) != magic {
		return h, fmt.Errorf("it begins with %q: that is no snapshot", b[:len(magic)])
	}
	b = b[len(magic):]
	if b[0] != version {
		return h, fmt.Errorf("it is of version %d: want %d", b[0], version)
	}
	h.Written = time.Unix(0, int64(binary.LittleEndian.Uint64(b[1:])))
	h.Departure = binary.LittleEndian.Uint64(b[9:])
	name, note := int64(b[17]), int64(binary.LittleEndian.Uint32(b[18:]))
	switch {
	case name == 0:
		return h, fmt.Errorf("it has no name")
	case note > MostNoteBytes || name+note > content-int64(fixedHeader):
		return h, fmt.Errorf("a name and a note of %d bytes", name+note)
	}
	b = make([]byte, name+note)
	_, err = io.ReadFull(in, b)
	h.Name, h.Note = string(b[:name]), b[name:]
	return h, err
}
