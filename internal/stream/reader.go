package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/pb"
)

const (
	// longestHead is how much of a longer frame is looked at, to find the value
	// that is the rest of it.
	longestHead = 256
	// mostAhead is the memory that is set aside for a value by what is announced of it.
	mostAhead = DefaultLargeValue
)

// reader reads frames. It belongs to one goroutine.
type reader struct {
	src      source
	buf      buffer // of src
	maxFrame int
	maxKeys  int
	answers  bool // it reads answers: a long frame is a value, as a rule
	f        frame
	// onPartial is called where a frame has begun to arrive and its end is waited for, and
	// onWhole when that is over. They may be nil.
	onPartial, onWhole func()
}

// source is the connection, as a reader sees it.
type source struct {
	nc    net.Conn
	first []byte // what was read from nc before there was a reader
	// before is called before each read that may block; it may be nil.
	before func()
	start  time.Time     // when the clock of the stream started
	now    time.Duration // when the last read returned, on that clock
	err    error         // of the last read
	rested bool          // before the last read nothing had come for restAfter
	count  atomic.Int64  // bytes read
}

func (s *source) Read(p []byte) (n int, err error) {
	if len(s.first) > 0 {
		n = copy(p, s.first)
		s.first = s.first[n:]
	} else {
		if s.before != nil {
			s.before()
		}
		n, err = s.nc.Read(p)
	}
	now := time.Since(s.start)
	s.rested = now-s.now >= restAfter
	s.now, s.err = now, err
	s.count.Add(int64(n))
	return n, err
}

// init makes the reader one of nc, where br, which may be nil, holds what was read
// of it before. No more is read from br than that.
func (r *reader) init(nc net.Conn, br *bufio.Reader) {
	r.src.nc, r.src.start = nc, time.Now()
	if br != nil && br.Buffered() > 0 {
		first, _ := br.Peek(br.Buffered())
		r.src.first = append([]byte(nil), first...) // br may be used again
	}
	r.buf.src = &r.src
	r.maxFrame, r.maxKeys = longestHello, 0
}

// next returns the next frame, which is valid until the following call, and its
// size. Only the value of an answer is in memory of its own. The error is io.EOF
// if the connection ended between two frames.
func (r *reader) next() (*frame, int, error) {
	if r.src.rested && r.buf.buffered() == 0 {
		r.rest()
	}
	v, err := r.buf.uvarint()
	if err == io.EOF {
		return nil, 0, err
	}
	if err != nil && r.src.err == nil {
		return nil, 0, protocolError("the size of a frame: %v", err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("stream: read: %w", err)
	}
	if v == 0 || v > uint64(r.maxFrame) {
		return nil, 0, protocolError("a frame of %d bytes: want 1 to %d", v, r.maxFrame)
	}
	size := int(v)
	partial := r.onPartial != nil && r.buf.buffered() < size
	if partial {
		r.onPartial()
	}
	if size <= readBuffer || !r.answers {
		err = r.buffered(size)
	} else {
		err = r.long(size)
	}
	if partial {
		r.onWhole()
	}
	if err == nil {
		return &r.f, size, nil
	}
	switch {
	case errors.Is(err, ErrProtocol):
		return nil, 0, err
	case errors.Is(err, errShort): // it is whole, and still not enough
		return nil, 0, errMalformed
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return nil, 0, fmt.Errorf("stream: read: %w", err)
}

// buffered decodes a frame in the buffer.
func (r *reader) buffered(size int) error {
	b, err := r.buf.peek(size)
	if err != nil {
		return err
	}
	if err := r.f.decode(b, size, r.maxKeys); err != nil {
		return err
	}
	if r.f.valueSize > 0 {
		r.f.value = append([]byte(nil), r.f.value...)
	}
	r.buf.discard(size) // the bytes stay until the next read
	return nil
}

// long decodes a frame that may have a large value. That is read into its own memory
// right away.
func (r *reader) long(size int) error {
	head, err := r.buf.peek(longestHead)
	if err != nil {
		return err
	}
	err = r.f.decode(head, size, r.maxKeys)
	if errors.Is(err, errShort) || err == nil && r.f.valueSize == 0 {
		return r.buffered(size)
	}
	if err != nil {
		return err
	}
	r.f.value = nil // in the buffer, which is read to
	if err := r.skip(size - r.f.valueSize); err != nil {
		return err
	}
	r.f.value, err = r.value(r.f.valueSize)
	return err
}

// skip takes n bytes, of what is in the buffer or will be.
func (r *reader) skip(n int) error {
	_, err := r.buf.peek(n)
	if err == nil {
		r.buf.discard(n)
	}
	return err
}

// value reads a value of n bytes into memory of its own. What is beyond mostAhead is set
// aside as it arrives.
func (r *reader) value(n int) ([]byte, error) {
	b := make([]byte, min(n, mostAhead))
	for from := 0; ; {
		if err := r.buf.readFull(b[from:]); err != nil || len(b) == n {
			return b, err
		}
		from = len(b)
		b = append(b, make([]byte, min(n-from, from))...)
	}
}

// hello reads the other side's first frame.
func (r *reader) hello() (hello, error) {
	f, _, err := r.next()
	switch {
	case err != nil:
		return hello{}, fmt.Errorf("stream: no hello from the peer: %w", err)
	case f.kind == bodyGoAway:
		return hello{}, goAwayError(f.err)
	case f.kind != bodyHello:
		return hello{}, protocolError("the first frame is no hello")
	}
	return f.hello, nil
}

// goAwayError is what a goaway with e means.
func goAwayError(e *pb.Error) error {
	if e == nil {
		return ErrGoAway
	}
	return protocolError("the peer says: %.200q", e.Message)
}
