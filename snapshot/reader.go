package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Reader gives out the records of a file that was found whole: its checksum is right, it
// has as many records as it says, and nothing comes after them. Memory is set aside for
// one record at a time, and only for what the file is long enough to have.
type Reader struct {
	header Header
	file   *os.File // for Close

	in      *bufio.Reader
	rest    int64 // bytes up to the checksum that were not read yet
	records int64 // that were read
	fixed   [fixedRecord]byte
}

// newReader checks a file of the given size.
func newReader(src io.ReaderAt, size int64) (*Reader, error) {
	if err := verify(src, size-checksumSize); err != nil {
		return nil, fmt.Errorf("the file is torn, or no snapshot: %w", err)
	}
	return read(io.NewSectionReader(src, 0, size-checksumSize), size-checksumSize)
}

// verify reads all of a file, whose bytes up to the checksum are content many.
func verify(src io.ReaderAt, content int64) error {
	if content < int64(fixedHeader+fixedRecord) {
		return fmt.Errorf("it has %d bytes", content+checksumSize)
	}
	sum := xxhash.New()
	r, err := read(io.TeeReader(io.NewSectionReader(src, 0, content), sum), content)
	for err == nil {
		_, err = r.next(false)
	}
	if err != io.EOF {
		return err
	}
	var stored [checksumSize]byte
	if _, err := io.ReadFull(io.NewSectionReader(src, content, checksumSize), stored[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint64(stored[:]) != sum.Sum64() {
		return errors.New("its checksum is wrong")
	}
	return nil
}

// read begins to read a file whose bytes up to the checksum are content many.
func read(from io.Reader, content int64) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(from, bufferSize)}
	var err error
	r.header, err = readHeader(r.in, content)
	r.rest = content - int64(fixedHeader+len(r.header.Name)+len(r.header.Note))
	return r, unexpected(err)
}

// Header returns what the file says of itself.
func (r *Reader) Header() Header { return r.header }

// Next returns the next record, whose value is the caller's. The error is io.EOF after
// the last one. Any other is a failure of the disk, for the file was found whole.
func (r *Reader) Next() (Record, error) {
	record, err := r.next(true)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("snapshot: %w", err)
	}
	return record, err
}

// next is Next. If the record is not to be kept, nothing is set aside for it.
func (r *Reader) next(keep bool) (Record, error) {
	if r.rest < fixedRecord {
		return Record{}, io.ErrUnexpectedEOF
	}
	if _, err := io.ReadFull(r.in, r.fixed[:]); err != nil {
		return Record{}, unexpected(err)
	}
	r.rest -= fixedRecord
	f := parseFixed(r.fixed[:])
	if f.kind == kindEnd {
		return Record{}, r.end(f)
	}
	if err := f.check(r.rest); err != nil {
		return Record{}, err
	}
	r.rest -= int64(f.key) + int64(f.value)
	r.records++
	if !keep {
		_, err := r.in.Discard(int(f.key) + int(f.value))
		return Record{}, unexpected(err)
	}
	key, value := make([]byte, f.key), make([]byte, f.value)
	for _, b := range [][]byte{key, value} {
		if _, err := io.ReadFull(r.in, b); err != nil {
			return Record{}, unexpected(err)
		}
	}
	return Record{Key: string(key), Value: value, Left: time.Duration(f.left), Missing: f.kind == kindMissing}, nil
}

// end returns io.EOF if f is the end of the records that were read.
func (r *Reader) end(f fixed) error {
	switch {
	case f.key != 0 || f.value != 0:
		return errors.New("its end is not one that a Writer wrote")
	case f.left != r.records:
		return fmt.Errorf("it has %d records, and says that it has %d", r.records, f.left)
	case r.rest != 0:
		return fmt.Errorf("there are %d bytes after its end", r.rest)
	}
	return io.EOF
}

// unexpected is err, but for an end of the file, which is never where a Reader reads.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
