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

// Reader returns the records of a file that was found complete: its checksum is right, it has as
// many records as it says, and nothing follows them. A Reader allocates memory for one record at a
// time, and never more than the file is long.
type Reader struct {
	header Header
	file   *os.File // for Close

	maxKey, maxValue int // see Limit

	in      *bufio.Reader
	sum     *xxhash.Digest // of what in has read
	whole   uint64         // the checksum of the file when it was found complete
	rest    int64          // bytes before the checksum that were not read yet
	records int64          // records that were read
	fixed   [fixedRecord]byte
}

// newReader checks a file of the given size.
func newReader(src io.ReaderAt, size int64) (*Reader, error) {
	sum, err := verify(src, size-checksumSize)
	if err != nil {
		return nil, fmt.Errorf("the file is torn, or no snapshot: %w", err)
	}
	r, err := read(src, size-checksumSize)
	r.whole = sum
	return r, err
}

// verify reads the whole file, which has content bytes before the checksum, and returns the
// checksum.
func verify(src io.ReaderAt, content int64) (uint64, error) {
	if content < int64(fixedHeader+fixedRecord) {
		return 0, fmt.Errorf("it has %d bytes", content+checksumSize)
	}
	var stored [checksumSize]byte
	if _, err := io.ReadFull(io.NewSectionReader(src, content, checksumSize), stored[:]); err != nil {
		return 0, unexpected(err)
	}
	r, err := read(src, content)
	r.whole = binary.LittleEndian.Uint64(stored[:])
	for err == nil {
		_, err = r.next(false)
	}
	if err != io.EOF {
		return 0, err
	}
	return r.whole, nil
}

// read returns a Reader at the beginning of a file that has content bytes before the checksum.
func read(src io.ReaderAt, content int64) (*Reader, error) {
	r := &Reader{sum: xxhash.New(), maxKey: MostKeyBytes, maxValue: MostValueBytes}
	r.in = bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(src, 0, content), r.sum), bufferSize)
	var err error
	r.header, err = readHeader(r.in, content)
	r.rest = content - int64(fixedHeader+len(r.header.Name)+len(r.header.Note))
	return r, unexpected(err)
}

// Header returns the header of the file.
func (r *Reader) Header() Header { return r.header }

// Limit makes Next skip the records whose key or value has more bytes. It allocates nothing for
// them. The default is MostKeyBytes and MostValueBytes.
func (r *Reader) Limit(maxKey, maxValue int) { r.maxKey, r.maxValue = maxKey, maxValue }

// Next returns the next record, whose value belongs to the caller. The error is io.EOF after the
// last record. Any other error says that the disk fails, or that the file was changed since it was
// found complete: then the caller must not use any of its records, not even the earlier ones.
func (r *Reader) Next() (Record, error) {
	record, err := r.next(true)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("snapshot: %w", err)
	}
	return record, err
}

// next does what Next does. Without keep, it only reads over the record, and allocates nothing.
func (r *Reader) next(keep bool) (Record, error) {
	for {
		record, passed, err := r.nextOf(keep)
		if err != nil || !passed || !keep {
			return record, err
		}
	}
}

// nextOf reads one record, and reports whether it was skipped.
func (r *Reader) nextOf(keep bool) (record Record, passed bool, err error) {
	if r.rest < fixedRecord {
		return record, false, io.ErrUnexpectedEOF
	}
	if _, err := io.ReadFull(r.in, r.fixed[:]); err != nil {
		return record, false, unexpected(err)
	}
	r.rest -= fixedRecord
	f := parseFixed(r.fixed[:])
	if f.kind == kindEnd {
		return record, false, r.end(f)
	}
	if err := f.check(r.rest); err != nil {
		return record, false, err
	}
	r.rest -= int64(f.key) + int64(f.value)
	r.records++
	if !keep || int64(f.key) > int64(r.maxKey) || int64(f.value) > int64(r.maxValue) {
		_, err := r.in.Discard(int(f.key) + int(f.value))
		return record, true, unexpected(err)
	}
	key, value := make([]byte, f.key), make([]byte, f.value)
	for _, b := range [][]byte{key, value} {
		if _, err := io.ReadFull(r.in, b); err != nil {
			return record, false, unexpected(err)
		}
	}
	return Record{Key: string(key), Value: value, Left: time.Duration(f.left), Missing: f.kind == kindMissing}, false, nil
}

// end returns io.EOF if f is the right end for the records that were read.
func (r *Reader) end(f fixed) error {
	switch {
	case f.key != 0 || f.value != 0:
		return errors.New("its end is not one that a Writer wrote")
	case f.left != r.records:
		return fmt.Errorf("it has %d records, and says that it has %d", r.records, f.left)
	case r.rest != 0:
		return fmt.Errorf("there are %d bytes after its end", r.rest)
	case r.sum.Sum64() != r.whole: // all has been read, up to the end
		return errors.New("its checksum is wrong")
	}
	return io.EOF
}

// unexpected returns err, or io.ErrUnexpectedEOF for io.EOF: a Reader never reads where the file
// may end.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
