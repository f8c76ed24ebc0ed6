package httppeer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/peer"
)

const (
	// MaxRequestBytes bounds the body of a change that does not set one large value.
	MaxRequestBytes = 4 << 20

	// mostGetBytes bounds the body of a request for a key.
	mostGetBytes = peer.MaxKeyBytes + peer.MaxOverhead

	// firstBodyBytes is the memory that is set aside for a body before any of it has arrived.
	// It grows with what arrives.
	firstBodyBytes = 16 << 10

	// leastCharged is the least that a request counts for: a goroutine and a connection wait
	// for its body.
	leastCharged = 16 << 10
)

// budget bounds the memory that many requests have together, in bytes.
type budget struct {
	most int64
	used atomic.Int64
}

// take takes n bytes for a request that already has had bytes, and reports whether there was room.
// There always is if no other request has any: otherwise a request larger than the budget could
// never be served.
func (b *budget) take(had, n int64) bool {
	if used := b.used.Add(n); used > b.most && used > had+n {
		b.used.Add(-n)
		return false
	}
	return true
}

// give gives n bytes back.
func (b *budget) give(n int64) { b.used.Add(-n) }

// errNoRoom says that the budget for requests is used up. The status is 429.
var errNoRoom = errors.New("the requests in progress take as much memory as WithRequestMemory allows")

// errTooLarge says that a body is larger than its limit. The status is 413.
var errTooLarge = errors.New("the request is too large")

// body is the body of a request, which is being read or was read.
type body struct {
	bytes   []byte
	charged int64 // the bytes that it has taken from the budget
	of      *budget
}

// release gives back what the body has taken from the budget. Its bytes remain valid.
func (b *body) release() {
	b.of.give(b.charged)
	b.charged = 0
}

// limit says how large a body may be: most bytes, or as many as more returns for the first bytes of
// a larger one. A nil more means that no body may be larger.
type limit struct {
	most int64
	more func(head []byte) int64
}

// readRequestBody reads the body of a request within l and the budget. If there is no error, the
// caller releases the body.
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
		size = min(size, r.ContentLength+1) // one more, to see the end
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

// grow takes n more bytes from the budget, and reports whether there was room.
func (b *body) grow(n int64) bool {
	if !b.of.take(b.charged, n) {
		return false
	}
	b.charged += n
	return true
}

// limitOfChange returns how large the body of a change may be: larger than MaxRequestBytes only if
// it sets one large value.
func (s *Server) limitOfChange() limit {
	return limit{MaxRequestBytes, func(head []byte) int64 { return wire.LargestChange(head, s.cfg.LargestValue(), peer.MaxOverhead) }}
}

// readRequest reads the body of a plain request. If it returns false, it has answered the request
// with an error.
func (s *Server) readRequest(w http.ResponseWriter, r *http.Request, l limit) (*body, bool) {
	if r.Header.Get("Content-Type") != contentType {
		// A web page can have a browser send other types to any address.
		refuse(w, r, "want a body of type "+contentType, http.StatusUnsupportedMediaType)
		return nil, false
	}
	// A body that is sent slowly keeps a connection and a goroutine busy, and the http.Server
	// may have no timeouts. A ResponseWriter without deadlines, such as one of a test, goes
	// without.
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
		// Otherwise the deadline would end the load. After an error it stays, so that the
		// http.Server does not wait for the rest of the body.
		deadlines.SetReadDeadline(time.Time{})
		if err := s.checkBody(r, b.bytes); err != nil {
			b.release()
			s.refuseStranger(w, r, identityOf(r.Header), err)
			return nil, false
		}
		return b, true
	}
	return nil, false
}

// refuse answers a request whose body is not read to its end.
func refuse(w http.ResponseWriter, r *http.Request, text string, status int) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // otherwise the http.Server would read the rest
	}
	http.Error(w, "peercache: "+text, status)
}

// refuseBusy answers that there is no room for the request now.
func (s *Server) refuseBusy(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Retry-After", "1")
	refuse(w, r, err.Error(), http.StatusTooManyRequests)
}
