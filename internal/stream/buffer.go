package stream

import (
	"encoding/binary"
	"io"
)

const (
	// readBuffer is how much is read from a busy connection at once. Frames up to that
	// size are decoded where they are.
	readBuffer = 64 << 10
	// firstBuffer is what a connection on which nothing has come yet costs.
	firstBuffer = 2 << 10
)

// buffer holds what was read and not yet taken. It grows with what arrives, never with
// what is announced: it doubles when one read, or one frame, has filled it.
type buffer struct {
	src  io.Reader
	b    []byte
	r, w int   // b[r:w] is what is held
	err  error // of the last read, when all that came with it is taken

	// acquire is asked for memory beyond readBuffer, and release gives it back; nil: there is no
	// bound but that of a frame.
	acquire func(n int) error
	release func(n int)
	charged int // what was acquired
}

// buffered returns how many bytes are held.
func (b *buffer) buffered() int { return b.w - b.r }

// peek returns the next n bytes without taking them. They are valid until the next read.
func (b *buffer) peek(n int) ([]byte, error) {
	for b.w-b.r < n {
		if b.err != nil {
			return nil, b.err
		}
		b.fill(n)
	}
	return b.b[b.r : b.r+n : b.r+n], nil
}

// fill reads once, on the way to n bytes.
func (b *buffer) fill(n int) {
	switch held := b.w - b.r; {
	case held == len(b.b):
		if !b.charge(n) {
			return
		}
		b.resize(max(2*held, firstBuffer))
	case held == 0 && len(b.b) > readBuffer && n <= readBuffer:
		b.b = make([]byte, readBuffer) // a long frame is over
		b.r, b.w = 0, 0
		b.discharge()
	case b.r > 0:
		b.w = copy(b.b, b.b[b.r:b.w])
		b.r = 0
	}
	room := b.b[b.w:]
	if len(b.b) > readBuffer { // no more than the frame, so that nothing is copied back
		room = room[:min(len(room), n-b.w)]
	}
	m, err := b.src.Read(room)
	b.w, b.err = b.w+m, err
	if m == len(room) && b.w == len(b.b) && len(b.b) < readBuffer {
		b.resize(2 * len(b.b))
	}
}

// charge acquires what b needs for a frame of n bytes, before it grows beyond readBuffer: all of it at
// once, because streams that have a part and wait for the rest would wait for each other. It reports
// false, and sets err, if there is none.
func (b *buffer) charge(n int) bool {
	if b.acquire == nil || b.charged > 0 || len(b.b) < readBuffer || n <= readBuffer {
		return true
	}
	size := readBuffer
	for size < n {
		size *= 2
	}
	if b.err = b.acquire(size - readBuffer); b.err != nil {
		return false
	}
	b.charged = size - readBuffer
	return true
}

func (b *buffer) resize(size int) {
	bigger := make([]byte, size)
	b.w = copy(bigger, b.b[b.r:b.w])
	b.b, b.r = bigger, 0
}

// discharge gives back what was acquired.
func (b *buffer) discharge() {
	if b.charged > 0 {
		b.release(b.charged)
		b.charged = 0
	}
}

// discard takes n bytes of those that are held.
func (b *buffer) discard(n int) { b.r += n }

// ReadByte implements io.ByteReader.
func (b *buffer) ReadByte() (byte, error) {
	if b.r == b.w {
		if _, err := b.peek(1); err != nil {
			return 0, err
		}
	}
	c := b.b[b.r]
	b.r++
	return c, nil
}

// uvarint takes a number, which is in the buffer as a rule.
func (b *buffer) uvarint() (uint64, error) {
	if v, n := binary.Uvarint(b.b[b.r:b.w]); n > 0 {
		b.r += n
		return v, nil
	}
	return binary.ReadUvarint(b)
}

// readFull fills p.
func (b *buffer) readFull(p []byte) error {
	n := copy(p, b.b[b.r:b.w])
	b.r += n
	if n == len(p) {
		return nil
	}
	if b.err != nil {
		return b.err
	}
	_, err := io.ReadFull(b.src, p[n:])
	return err
}
