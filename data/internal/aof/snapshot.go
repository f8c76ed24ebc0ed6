package aof

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// SnapshotWriter writes a snapshot: a header, blocks, and an end. It is what backups are, too.
type SnapshotWriter struct {
	header
	w      io.Writer
	at     int64
	blocks uint64
	buf    []byte
}

// NewSnapshotWriter begins a snapshot.
func NewSnapshotWriter(w io.Writer, number uint64) (*SnapshotWriter, error) {
	s := &SnapshotWriter{header: newHeader(snapshotMagic, number), w: w}
	return s, s.write(s.append(nil))
}

func (s *SnapshotWriter) write(b []byte) error {
	n, err := s.w.Write(b)
	s.at += int64(n)
	return err
}

// Block writes a block.
func (s *SnapshotWriter) Block(block []byte) error {
	if uint64(len(block)) > longest {
		return fmt.Errorf("data: a block of a snapshot has %d bytes, and may have %d", len(block), uint32(longest))
	}
	length := uint32(len(block))
	s.buf = binary.LittleEndian.AppendUint32(s.buf[:0], length)
	s.buf = binary.LittleEndian.AppendUint32(s.buf, frameSum(length, block)^s.seed())
	if err := s.write(s.buf); err != nil {
		return err
	}
	s.blocks++
	return s.write(block)
}

// End ends the snapshot: without an end it is none.
func (s *SnapshotWriter) End() error {
	return s.write(s.appendNote(nil, endLength, s.blocks, uint64(s.at)))
}

// Size returns how many bytes were written.
func (s *SnapshotWriter) Size() int64 { return s.at }

// ReadSnapshot calls load with all blocks of a snapshot, of several at the same time, and then returns the number of bytes that were read.
// If the size is not known, it is less than zero. An error says that the snapshot is not whole, or what load says; some
// blocks may have been loaded.
func ReadSnapshot(r io.Reader, size int64, load func(block []byte) error) (int64, error) {
	f, err := newFrames(r, size, snapshotMagic)
	if err != nil {
		return 0, err
	}
	blocks := make(chan []byte, runtime.GOMAXPROCS(0))
	spare := make(chan []byte, 2*cap(blocks)+1)
	var failed atomic.Pointer[error]
	var loading sync.WaitGroup
	for range cap(blocks) {
		loading.Go(func() {
			for block := range blocks {
				if failed.Load() == nil {
					if err := load(block); err != nil {
						failed.Store(&err)
					}
				}
				spare <- block
			}
		})
	}
	for i := 0; failed.Load() == nil; i++ {
		var payload []byte
		if payload, err = f.next(); err != nil {
			break
		}
		var block []byte
		if i >= cap(spare) {
			block = <-spare
		}
		blocks <- append(block[:0], payload...)
	}
	close(blocks)
	loading.Wait()
	if failure := failed.Load(); failure != nil {
		return f.at, *failure
	}
	if err == io.EOF && !f.ended {
		err = f.damaged("the end is missing")
	}
	if err == io.EOF {
		err = nil
	}
	if err == nil && size >= 0 && f.at != size {
		err = f.damaged("there is something after the end")
	}
	return f.at, err
}
