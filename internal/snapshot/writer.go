package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// encoder writes the bytes of a file.
type encoder struct {
	out     *bufio.Writer // writes to the file and to the checksum
	to      io.Writer     // the file alone
	sum     *xxhash.Digest
	records int64
	scratch []byte
}

// bufferSize is how many bytes are written or read at once.
const bufferSize = 64 << 10

func newEncoder(to io.Writer, h Header) (*encoder, error) {
	head, err := appendHeader(nil, h)
	if err != nil {
		return nil, err
	}
	sum := xxhash.New()
	e := &encoder{out: bufio.NewWriterSize(io.MultiWriter(to, sum), bufferSize), to: to, sum: sum}
	_, err = e.out.Write(head)
	return e, err
}

func (e *encoder) add(r Record) error {
	if len(r.Key) > MostKeyBytes || len(r.Value) > MostValueBytes {
		return fmt.Errorf("a key of %d and a value of %d bytes: want at most %d and %d", len(r.Key), len(r.Value), MostKeyBytes, MostValueBytes)
	}
	f := fixed{kind: kindValue, left: int64(r.Left), key: uint32(len(r.Key)), value: uint32(len(r.Value))}
	if r.Missing {
		f.kind = kindMissing
	}
	e.records++
	e.scratch = f.append(e.scratch[:0])
	e.out.Write(e.scratch) // a bufio.Writer says at the end what went wrong before
	e.out.WriteString(r.Key)
	_, err := e.out.Write(r.Value)
	return err
}

func (e *encoder) end() error {
	e.out.Write(fixed{kind: kindEnd, left: e.records}.append(nil))
	if err := e.out.Flush(); err != nil {
		return err
	}
	_, err := e.to.Write(binary.LittleEndian.AppendUint64(nil, e.sum.Sum64()))
	return err
}

// Writer writes a file. The caller calls Add for each record, then Seal, then Publish, and in any
// case Discard.
type Writer struct {
	path      string
	file      *os.File // at path + tempSuffix; closed by Seal
	encoder   *encoder
	published bool
}

// The suffixes of the two files that may be beside a file.
const (
	tempSuffix  = ".tmp"   // while it is written
	takenSuffix = ".taken" // while it is read, see Take
)

// Create returns a Writer for a file that will be at path. A file that is there stays until
// Publish. Only the user of this process may read the new file. Only one process at a time may
// write to path.
func Create(path string, h Header) (*Writer, error) {
	file, err := createNew(path + tempSuffix)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	w := &Writer{path: path, file: file}
	if w.encoder, err = newEncoder(file, h); err != nil {
		w.Discard()
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return w, nil
}

// Add adds a record. It keeps nothing of it.
func (w *Writer) Add(r Record) error {
	if err := w.encoder.add(r); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Seal writes the end, and waits until the file is on the disk.
func (w *Writer) Seal() error {
	err := w.encoder.end()
	if err == nil {
		err = w.file.Sync()
	}
	if err := errors.Join(err, w.file.Close()); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Publish puts the sealed file in place of the one at the path, in one step. It is quick, because
// the contents are on the disk. After an error, either of the two files is at the path.
func (w *Writer) Publish() error {
	if err := os.Rename(w.path+tempSuffix, w.path); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	w.published = true
	return syncDirOf(w.path)
}

// Discard removes a file that was not published. It may be called at any time, and does nothing
// after Publish.
func (w *Writer) Discard() {
	if w.published {
		return
	}
	w.file.Close() // Seal may have done that
	os.Remove(w.path + tempSuffix)
}
