// Package body reads the bodies of HTTP requests within bounds: of each body, of the memory that all of
// them have together, and of time.
package body

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// First is the memory that is set aside for a body before any of it has arrived. It grows with what
// arrives. Each body counts for so much at least: a goroutine and a connection wait for it.
const First = 16 << 10

// Budget bounds the memory that many bodies have together, in bytes.
type Budget struct {
	Most int64
	used atomic.Int64
}

// Used returns how many bytes are taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// Take takes n bytes for a request that already has had bytes, and reports whether there was room.
// There always is if no other request has any: otherwise a request larger than the budget could
// never be served.
func (b *Budget) Take(had, n int64) bool {
	if used := b.used.Add(n); used > b.Most && used > had+n {
		b.used.Add(-n)
		return false
	}
	return true
}

// Give gives n bytes back.
func (b *Budget) Give(n int64) { b.used.Add(-n) }

// Body is the body of a request, in memory.
type Body struct {
	Bytes   []byte
	charged int64 // the bytes that it has taken from the budget
	of      *Budget
}

// grow takes n more bytes from the budget, and reports whether there was room.
func (b *Body) grow(n int64) bool {
	if !b.of.Take(b.charged, n) {
		return false
	}
	b.charged += n
	return true
}

// Release gives back what the body has taken from the budget. Its Bytes remain valid.
func (b *Body) Release() {
	b.of.Give(b.charged)
	b.charged = 0
}

var (
	// ErrNoRoom says that the budget is used up.
	ErrNoRoom = errors.New("the requests in progress take as much memory as they may together")
	// ErrTooLarge says that a body is larger than its limit.
	ErrTooLarge = errors.New("the request is too large")
)

// Limits are those of one body.
type Limits struct {
	// Most is how many bytes it may have, or as many as More returns for the first bytes of a larger
	// one. A nil More means that none may be larger.
	Most int64
	More func(head []byte) int64
	// Time is how long the first PerTime bytes may take, and each PerTime after that. Deadline sets
	// until when a Read may wait.
	Time     time.Duration
	PerTime  int
	Deadline func(time.Time)
}

// Read reads the body of a request within l and the budget. If there is no error, the caller releases
// the body, and ends the deadline.
func Read(r *http.Request, budget *Budget, l Limits) (_ *Body, err error) {
	b := &Body{of: budget}
	if !b.grow(First) {
		return nil, ErrNoRoom
	}
	defer func() {
		if err != nil {
			b.Release()
		}
	}()
	began := time.Now()
	l.Deadline(began.Add(l.Time))
	size := int64(First)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength+1) // one more, to see the end
	}
	b.Bytes = make([]byte, 0, size)
	for {
		n, err := r.Body.Read(b.Bytes[len(b.Bytes):cap(b.Bytes)])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		if err != nil && err != io.EOF {
			return nil, err
		}
		if int64(len(b.Bytes)) > l.Most {
			if l.More == nil {
				return nil, ErrTooLarge
			}
			if l.Most, l.More = l.More(b.Bytes), nil; l.Most < max(r.ContentLength, int64(len(b.Bytes))) {
				return nil, ErrTooLarge
			}
		}
		if err == io.EOF {
			return b, nil
		}
		if len(b.Bytes) < cap(b.Bytes) {
			continue
		}
		l.Deadline(began.Add(l.Time * time.Duration(1+len(b.Bytes)/l.PerTime)))
		next := 2 * int64(cap(b.Bytes))
		if l.More == nil {
			next = min(next, l.Most+1)
		}
		if r.ContentLength >= int64(cap(b.Bytes)) {
			next = min(next, r.ContentLength+1)
		}
		if !b.grow(max(0, next-b.charged)) {
			return nil, ErrNoRoom
		}
		larger := make([]byte, len(b.Bytes), next)
		copy(larger, b.Bytes)
		b.Bytes = larger
	}
}
