package aof

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
)

// A file begins with a header: 8 bytes of magic, its version and a CRC of all that follows the CRC, as 4 bytes each, its number
// and its nonce, as 8 bytes each. A frame is the length of its payload and a CRC of length and payload, as 4 bytes each, and the
// payload. Numbers are little-endian. CRCs are CRC-32C; those of frames are XORed with the nonce, so that a frame of another file
// is none, wherever it turns up.
const (
	segmentMagic  = "peerclog"
	snapshotMagic = "peercsnp"
	version       = 1

	headerSize = 32
	frameSize  = 8
)

// Lengths that are none: what follows has a size of its own.
const (
	// markLength: the nonce, the offset of the frame, and how much of the segment was durable when it was written.
	markLength = math.MaxUint32 - iota
	// endLength: the nonce, the number of blocks, and the offset of the frame. It ends a snapshot.
	endLength
	// longest is the length of the longest payload.
	longest = endLength - 1

	noteSize = 24 // of the payload of a mark, or an end
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is how a file begins.
type header struct {
	magic  string
	number uint64
	nonce  uint64
}

func newHeader(magic string, number uint64) header {
	return header{magic, number, rand.Uint64()}
}

func (h header) append(b []byte) []byte {
	at := len(b)
	b = append(b, h.magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, h.nonce)
	binary.LittleEndian.PutUint32(b[at+12:], headerSum(b[at:]))
	return b
}

// headerSum returns the CRC of a header, but for the CRC itself.
func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerSize])
}

// parseHeader returns the header that b is.
func parseHeader(magic string, b []byte) (header, error) {
	switch {
	case len(b) < headerSize:
		return header{}, errors.New("the header ends early")
	case string(b[:8]) != magic:
		return header{}, errors.New("the file is of another kind")
	case binary.LittleEndian.Uint32(b[12:]) != headerSum(b):
		return header{}, errors.New("the checksum of the header is wrong")
	case binary.LittleEndian.Uint32(b[8:]) != version:
		return header{}, fmt.Errorf("the file has version %d, and this program reads version %d", binary.LittleEndian.Uint32(b[8:]), version)
	}
	return header{magic, binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])}, nil
}

// seed is what the CRCs of frames are XORed with.
func (h header) seed() uint32 { return uint32(h.nonce) ^ uint32(h.nonce>>32) }

// frameSum returns the CRC of a frame without a seed.
func frameSum(length uint32, payload []byte) uint32 {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], length)
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, payload)
}

// appendFrame appends a frame with that CRC, the seed included.
func appendFrame(b []byte, length, sum uint32, payload []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, length)
	b = binary.LittleEndian.AppendUint32(b, sum)
	return append(b, payload...)
}

// appendNote appends a mark, or an end.
func (h header) appendNote(b []byte, length uint32, x, y uint64) []byte {
	var payload [noteSize]byte
	binary.LittleEndian.PutUint64(payload[:], h.nonce)
	binary.LittleEndian.PutUint64(payload[8:], x)
	binary.LittleEndian.PutUint64(payload[16:], y)
	return appendFrame(b, length, frameSum(length, payload[:])^h.seed(), payload[:])
}

// markSize is the size of a mark.
const markSize = frameSize + noteSize

// frames reads frames.
type frames struct {
	header
	r    io.Reader
	size int64 // of the file; less than zero: not known

	at         int64 // the offset of the next frame
	buf        []byte
	begin, end int // what was read of buf, and not taken

	synced int64  // as the last mark says
	blocks uint64 // payloads so far
	ended  bool   // the end of a snapshot was read
}

// DamagedError says that a file, or what a reader had, is not what was written.
type DamagedError struct {
	File   string
	Offset int64
	Why    string
}

func (e *DamagedError) Error() string {
	file := e.File
	if file == "" { // a backup comes from a reader, which has no name
		file = "what was read"
	}
	return fmt.Sprintf("%s is damaged at offset %d: %s", file, e.Offset, e.Why)
}

const readSize = 1 << 20

// newFrames reads the header of a file of that size.
func newFrames(r io.Reader, size int64, magic string) (*frames, error) {
	f := &frames{r: r, size: size}
	b, err := f.take(headerSize)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if f.header, err = parseHeader(magic, b); err != nil {
		return nil, &DamagedError{Why: err.Error()}
	}
	f.at, f.synced = headerSize, headerSize
	return f, nil
}

// take returns the next n bytes, which are valid until it is called again. If there are none, it returns io.EOF, and if there are
// fewer, those and io.ErrUnexpectedEOF.
func (f *frames) take(n int) ([]byte, error) {
	for f.end-f.begin < n {
		if len(f.buf)-f.begin < n {
			f.end = copy(f.buf, f.buf[f.begin:f.end])
			f.begin = 0
		}
		if f.end == len(f.buf) { // a length may be wrong: room grows with what there is
			f.buf = append(f.buf, make([]byte, max(readSize, len(f.buf)))...)
		}
		got, err := f.r.Read(f.buf[f.end:])
		f.end += got
		if err == io.EOF && f.end-f.begin < n {
			b := f.buf[f.begin:f.end]
			f.begin = f.end
			if len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return b, err
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
	}
	b := f.buf[f.begin : f.begin+n]
	f.begin += n
	return b, nil
}

func (f *frames) damaged(why string) error { return &DamagedError{Offset: f.at, Why: why} }

// next returns the payload of the next frame that is no mark. It is valid until next is called again. The error is io.EOF at
// the end, a DamagedError where there is no frame, and otherwise one of reading.
func (f *frames) next() ([]byte, error) {
	for {
		if f.ended {
			return nil, io.EOF
		}
		b, err := f.take(frameSize)
		switch {
		case err == io.ErrUnexpectedEOF:
			return nil, f.damaged("a frame ends early")
		case err != nil:
			return nil, err
		}
		length, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		size := int64(length)
		if length > longest {
			size = noteSize
		}
		switch {
		case length == 0:
			return nil, f.damaged("a frame is empty")
		case f.size >= 0 && size > f.size-f.at-frameSize:
			return nil, f.damaged("a frame ends early, or its length is wrong")
		}
		payload, err := f.take(int(size))
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil, f.damaged("a frame ends early")
		case err != nil:
			return nil, err
		case frameSum(length, payload)^f.seed() != sum:
			return nil, f.damaged("a frame has a wrong checksum")
		}
		if length > longest {
			if err := f.note(length, payload); err != nil {
				return nil, err
			}
		}
		f.at += frameSize + size
		if length <= longest {
			f.blocks++
			return payload, nil
		}
	}
}

// note takes a mark, or an end.
func (f *frames) note(length uint32, payload []byte) error {
	nonce, x, y := parseNote(payload)
	switch {
	case nonce != f.nonce:
		return f.damaged("a mark is that of another file")
	case length == markLength && x == uint64(f.at) && f.magic == segmentMagic:
		f.synced = int64(y)
	case length == endLength && x == f.blocks && y == uint64(f.at) && f.magic == snapshotMagic:
		f.ended = true
	default:
		return f.damaged("a mark is not where it was written")
	}
	return nil
}

func parseNote(payload []byte) (nonce, x, y uint64) {
	return binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:]), binary.LittleEndian.Uint64(payload[16:])
}
