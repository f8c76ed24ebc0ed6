package httppeer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/peer"
)

const (
	// MaxRequestBytes bounds the body of a change that does not set one large value.
	MaxRequestBytes = 4 << 20

	// mostGetBytes bounds the body of a request for a key.
	mostGetBytes = peer.MaxKeyBytes + peer.MaxOverhead

	// firstBodyBytes is the memory that is set aside for a body before anything of it has
	// come. It grows with what arrives.
	firstBodyBytes = 16 << 10

	// leastCharged is what a request counts for at least: a goroutine and a connection
	// wait for its body.
	leastCharged = 16 << 10
)

// budget bounds the memory that many have together, in bytes.
type budget struct {
	most int64
	used atomic.Int64
}

// take takes n bytes for one who has some already. It reports whether there is room: always,
// if nobody else has any, or what is larger than the budget could never come.
func (b *budget) take(had, n int64) bool {
	if used := b.used.Add(n); used > b.most && used > had+n {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// errNoRoom is refused with status 429.
var errNoRoom = errors.New("the requests in progress take as much memory as WithRequestMemory allows")

// errTooLarge is refused with status 413.
var errTooLarge = errors.New("the request is too large")

// body is the body of a request that is read, and what it has of the budget.
type body struct {
	bytes   []byte
	charged int64
	of      *budget
}

// release gives back what the body has of the budget. What is in its memory may be used on.
func (b *body) release() {
	b.of.give(b.charged)
	b.charged = 0
}

// limit says how large a body may be: most bytes, and where it goes on beyond them, as many
// as more says, by its first bytes. more may be nil.
type limit struct {
	most int64
	more func(head []byte) int64
}

// readRequestBody reads the body of a request. What it charges is the caller's to release if there
// is no error.
func (s *Server) readRequestBody(r *http.Request, deadlines *http.ResponseController, l limit) (_ *body, err error) {
	b := &body{of: &s.requests}
	if !b.grow(leastCharged) {
		return nil, errNoRoom
	}
	defer func() {
		if err != nil {
			b.release()
		}
	}()
	began := time.Now()
	deadlines.SetReadDeadline(began.Add(s.cfg.RequestTimeout))
	size := int64(firstBodyBytes)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength+1) // or its end is not seen
	}
	b.bytes = make([]byte, 0, size)
	for {
		n, err := r.Body.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if err != nil && err != io.EOF {
			return nil, err
		}
		if int64(len(b.bytes)) > l.most {
			if l.more == nil {
				return nil, errTooLarge
			}
			if l = (limit{most: l.more(b.bytes)}); l.most < max(r.ContentLength, int64(len(b.bytes))) {
				return nil, errTooLarge
			}
		}
		if err == io.EOF {
			return b, nil
		}
		if len(b.bytes) < cap(b.bytes) {
			continue
		}
		deadlines.SetReadDeadline(began.Add(s.cfg.RequestTimeout * time.Duration(1+len(b.bytes)/MaxRequestBytes)))
		next := 2 * int64(cap(b.bytes))
		if r.ContentLength >= int64(cap(b.bytes)) {
			next = min(next, r.ContentLength+1)
		}
		if !b.grow(max(0, next-b.charged)) {
			return nil, errNoRoom
		}
		larger := make([]byte, len(b.bytes), next)
		copy(larger, b.bytes)
		b.bytes = larger
	}
}

// grow charges n bytes more, if there is room.
func (b *body) grow(n int64) bool {
	if !b.of.take(b.charged, n) {
		return false
	}
	b.charged += n
	return true
}

// limitOfChange is how large a change may be: as large as a value that it sets, if it sets
// one.
func (s *Server) limitOfChange() limit {
	return limit{MaxRequestBytes, func(head []byte) int64 { return peer.LargestItem(head, s.cfg.LargestValue()) }}
}

// readRequest reads the body of a request of the protocol. If it cannot, it has answered.
func (s *Server) readRequest(w http.ResponseWriter, r *http.Request, l limit) (*body, bool) {
	if r.Header.Get("Content-Type") != contentType {
		// A web page can have a browser send other types to any address.
		refuse(w, r, "want a body of type "+contentType, http.StatusUnsupportedMediaType)
		return nil, false
	}
	// Whoever sends a body slowly holds on to a connection and a goroutine, and
	// the server may have no limits of its own. A writer that has no deadlines,
	// such as one of a test, goes without.
	deadlines := http.NewResponseController(w)
	b, err := s.readRequestBody(r, deadlines, l)
	switch {
	case errors.Is(err, errNoRoom):
		s.refuseBusy(w, r, err)
	case errors.Is(err, errTooLarge):
		text := fmt.Sprintf("a request of more than %d bytes: only one that sets the value of one key may be larger", l.most)
		refuse(w, r, text, http.StatusRequestEntityTooLarge)
	case err != nil:
		refuse(w, r, err.Error(), http.StatusBadRequest)
	default:
		// Or it would end the load. After an error it stays, so that the server does
		// not wait for the rest of the body.
		deadlines.SetReadDeadline(time.Time{})
		return b, true
	}
	return nil, false
}

// refuse answers a request whose body is not read to its end.
func refuse(w http.ResponseWriter, r *http.Request, text string, status int) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // or the server would read the rest
	}
	http.Error(w, "peercache: "+text, status)
}

// refuseBusy answers that there is no room for the request now.
func (s *Server) refuseBusy(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Retry-After", "1")
	refuse(w, r, err.Error(), http.StatusTooManyRequests)
}
