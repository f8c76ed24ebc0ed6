package aof

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"

	"github.com/peercache/peercache/data/internal/disk"
)

// Recovery says what recovery has found.
type Recovery struct {
	Snapshot int64 // bytes of the snapshot
	Segments int
	Records  int
	Bytes    int64 // of segments
	// Cut is how many bytes at the end of CutFile, from CutAt on, were cut off: a crash left them torn.
	Cut     int64
	CutFile string
	CutAt   int64
}

// Recover loads what the directory has into s, and makes l ready for Append. The directory may be empty. An error that is a
// DamagedError says what is broken; then nothing in the directory was changed.
func (l *Log) Recover(s Store) (r Recovery, err error) {
	l.store = s
	files, err := Survey(l.disk)
	if err != nil {
		return r, err
	}
	if files.Fresh {
		return r, l.begin()
	}
	l.manifest = files.manifest
	s.Replaying(true)
	defer s.Replaying(false)
	if files.manifest.snapshot {
		if r.Snapshot, err = l.loadSnapshot(snapshotName(files.manifest.first)); err != nil {
			return r, err
		}
	}
	l.base = r.Snapshot
	ends, err := l.replay(files.Segments, &r)
	if err != nil {
		return r, err
	}
	r.Segments = len(ends)
	if err := Judge(ends); err != nil {
		return r, err
	}
	for _, end := range ends {
		if end.Torn != nil {
			r.Cut, r.CutFile, r.CutAt = end.Size-end.At, segmentName(end.Number), end.At
			r.Bytes -= r.Cut
		}
	}
	return r, l.resume(ends, files.Leftovers)
}

// loadGCPercent is the percentage of garbage with which a snapshot is loaded, if the process has less: to load makes next to no garbage, and to look for it
// again and again takes as long as the rest.
const loadGCPercent = 400

func (l *Log) loadSnapshot(name string) (int64, error) {
	percent := debug.SetGCPercent(loadGCPercent)
	defer debug.SetGCPercent(percent)
	if percent < 0 || percent > loadGCPercent {
		debug.SetGCPercent(percent)
	}
	return ReadSnapshotFile(l.disk, name, l.store.Load)
}

// replay replays segments.
func (l *Log) replay(segments []uint64, r *Recovery) (ends []*SegmentEnd, err error) {
	replayer := newReplayer(l.store)
	defer replayer.close()
	for _, number := range segments {
		end, err := ReadSegment(l.disk, number, func(at int64, record []byte) error {
			r.Records++
			return replayer.add(at, record)
		})
		if err == nil {
			err = replayer.wait()
		}
		if err != nil {
			return nil, inFile(segmentName(number), err)
		}
		ends = append(ends, end)
		r.Bytes += end.Size
	}
	return ends, nil
}

// inFile adds the name of a file to an error about its contents.
func inFile(name string, err error) error {
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		return &DamagedError{name, damaged.Offset, damaged.Why}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// begin makes the first files of a directory.
func (l *Log) begin() error {
	first, err := l.createSegment(1)
	if err != nil {
		return err
	}
	l.manifest = manifest{first: 1}
	if err := writeManifest(l.disk, l.manifest); err != nil {
		return errors.Join(err, first.file.Close())
	}
	l.open(first, extent{1, headerSize})
	return nil
}

// open has what is appended go to a segment.
func (l *Log) open(s *segment, tail ...extent) {
	l.segment, l.seed, l.tail, l.last = s, s.seed(), tail, s.number
}

// SegmentEnd is where the records of a segment end.
type SegmentEnd struct {
	Number uint64
	Size   int64
	// At is the offset behind the last record.
	At int64
	// Begun: the segment has something behind its header.
	Begun bool
	// Torn says why the bytes from At on are no records. nil: there are none.
	Torn *DamagedError
	// Synced is up to where the segment is known to have been durable.
	Synced int64
	header header
}

// Broken reports whether what is torn was durable once: then no crash explains it.
func (e *SegmentEnd) Broken() bool { return e.Torn != nil && e.Synced > e.At }

// Judge returns an error if a crash does not explain what the segments are like. A crash may tear the last segment that was
// begun, behind what was durable.
func Judge(ends []*SegmentEnd) error {
	for i, end := range ends {
		if end.Torn == nil {
			continue
		}
		later := slices.ContainsFunc(ends[i+1:], func(e *SegmentEnd) bool { return e.Begun })
		if end.Broken() || later || end.At < headerSize {
			return inFile(segmentName(end.Number), end.Torn)
		}
	}
	return nil
}

// ReadSnapshotFile is ReadSnapshot of a file.
func ReadSnapshotFile(d disk.Disk, name string, load func(block []byte) error) (int64, error) {
	n, err := readFile(d, name, func(f io.Reader, size int64) (int64, error) { return ReadSnapshot(f, size, load) })
	if err != nil {
		err = inFile(name, err)
	}
	return n, err
}

// readFile calls do with a file, to be read from its beginning.
func readFile(d disk.Disk, name string, do func(f io.Reader, size int64) (int64, error)) (int64, error) {
	f, err := d.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	return do(io.NewSectionReader(f, 0, size), size)
}

// ReadSegment calls record with each record of a segment and its offset, up to the end, or to where it is torn.
func ReadSegment(d disk.Disk, number uint64, record func(at int64, record []byte) error) (*SegmentEnd, error) {
	end := &SegmentEnd{Number: number}
	_, err := readFile(d, segmentName(number), func(r io.Reader, size int64) (int64, error) {
		end.Size, end.Begun = size, size > headerSize
		return 0, end.read(r, record)
	})
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		err = inFile(segmentName(number), err)
	}
	return end, err
}

func (e *SegmentEnd) read(r io.Reader, record func(at int64, record []byte) error) error {
	f, err := newFrames(r, e.Size, segmentMagic)
	if errors.As(err, &e.Torn) {
		return nil
	}
	if err != nil {
		return err
	}
	if f.number != e.Number {
		return &DamagedError{Why: fmt.Sprintf("it is that of segment %d", f.number)}
	}
	e.header = f.header
	for {
		b, err := f.next()
		if err != nil {
			e.At, e.Synced = f.at, f.synced
			switch {
			case err == io.EOF:
				return nil
			case errors.As(err, &e.Torn):
				e.Synced, err = f.laterMark(r.(io.ReaderAt), e.Size)
			}
			return err
		}
		if err := record(f.at-frameSize-int64(len(b)), b); err != nil {
			return err
		}
	}
}

// laterMark looks behind a damaged frame for the last mark, and returns what it says is durable.
func (f *frames) laterMark(r io.ReaderAt, size int64) (synced int64, err error) {
	synced = f.synced
	needle := binary.LittleEndian.AppendUint64(nil, f.nonce)
	b := make([]byte, 4*readSize)
	for at := f.at; at < size; {
		n, err := r.ReadAt(b, at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		chunk := b[:n]
		for i := 0; ; i++ {
			next := bytes.Index(chunk[i:], needle)
			if next < 0 {
				break
			}
			i += next
			if begin := i - frameSize; begin >= 0 {
				if y, ok := f.isMark(chunk[begin:], at+int64(begin)); ok {
					synced = max(synced, y)
				}
			}
		}
		if n < 2*markSize || at+int64(n) >= size {
			break
		}
		at += int64(n - markSize + 1) // a mark may be at the border
	}
	return synced, nil
}

// resume cuts off what is torn, makes durable what was read, removes what is left over, and opens the last segment.
func (l *Log) resume(ends []*SegmentEnd, leftovers []string) error {
	last := ends[len(ends)-1]
	var open *segment
	for _, end := range ends {
		if end == last && !end.Begun {
			s, err := l.createSegment(end.Number)
			if err != nil {
				return err
			}
			open = s
			break
		}
		s, err := l.settle(end)
		if err != nil {
			return err
		}
		if end != last {
			err = s.file.Close()
		}
		if err != nil {
			return err
		}
		open = s
	}
	// After a sync of the directory that failed, the manifest that was read may be one that a crash would take back.
	if err := writeManifest(l.disk, l.manifest); err != nil {
		return errors.Join(err, open.file.Close())
	}
	if err := l.remove(leftovers); err != nil {
		return errors.Join(err, open.file.Close())
	}
	var tail []extent
	for _, end := range ends {
		tail = append(tail, extent{end.Number, end.At})
	}
	l.open(open, tail...)
	return nil
}

// settle opens a segment, cuts it off behind its last record, and makes it durable. What no mark says is durable is written
// again: after a sync that failed, the operating system may take for durable what is not.
func (l *Log) settle(end *SegmentEnd) (*segment, error) {
	f, err := l.disk.Open(segmentName(end.Number))
	if err != nil {
		return nil, err
	}
	s := &segment{header: end.header, file: f, size: end.At, synced: end.At}
	if end.Torn != nil {
		if err := f.Truncate(end.At); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	b := make([]byte, min(readSize, end.At-end.Synced))
	for at := end.Synced; at < end.At; at += int64(len(b)) {
		b = b[:min(int64(len(b)), end.At-at)]
		if _, err = f.ReadAt(b, at); err == nil || err == io.EOF {
			_, err = f.WriteAt(b, at)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}
