package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// body is the body of a request, in memory.
type body struct {
	bytes   []byte
	charged int64 // what it has taken of the memory for bodies
	of      *Handler
}

// firstBodyBytes is the memory that is set aside for a body before any of it has arrived. It grows
// with what arrives.
const firstBodyBytes = 16 << 10

// grow takes n more bytes of the memory for bodies, and reports whether there was room. There always
// is if no other body has any.
func (b *body) grow(n int64) bool {
	if used := b.of.bodies.Add(n); used > b.of.bodyMemory && used > b.charged+n {
		b.of.bodies.Add(-n)
		return false
	}
	b.charged += n
	return true
}

// release gives back the memory for bodies. The bytes remain valid.
func (b *body) release() {
	b.of.bodies.Add(-b.charged)
	b.charged = 0
}

// readBody reads the body of a request. If there is no problem, the caller releases the body.
func (h *Handler) readBody(w *answer, r *http.Request) (_ *body, p *problem) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, &problem{status: http.StatusUnsupportedMediaType, code: codeMediaType, detail: "want a body without Content-Encoding: it would not be decoded"}
	}
	tooLarge := &problem{status: http.StatusRequestEntityTooLarge, code: codeBodySize, detail: fmt.Sprintf("a body of more than %d bytes", h.maxBody)}
	if r.ContentLength > h.maxBody {
		return nil, tooLarge
	}
	noRoom := &problem{status: http.StatusServiceUnavailable, code: codeOverloaded, detail: "the bodies of the requests in progress take too much memory", retry: time.Second}
	b := &body{of: h}
	if !b.grow(firstBodyBytes) {
		return nil, noRoom
	}
	defer func() {
		if p != nil {
			b.release()
		}
	}()
	deadlines := bodyDeadlines(w, r)
	began := time.Now()
	deadlines.set(began.Add(h.bodyTime))
	size := int64(firstBodyBytes)
	if r.ContentLength >= 0 {
		size = min(size, r.ContentLength+1) // one more, to see the end
	}
	b.bytes = make([]byte, 0, size)
	for {
		n, err := r.Body.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if int64(len(b.bytes)) > h.maxBody {
			return nil, tooLarge
		}
		if err == io.EOF {
			w.bodyRead = true
			deadlines.set(time.Time{}) // otherwise it would end the request
			return b, nil
		}
		if err != nil {
			return nil, problemOfBody(err)
		}
		if len(b.bytes) < cap(b.bytes) {
			continue
		}
		deadlines.set(began.Add(h.bodyTime * time.Duration(1+len(b.bytes)/bytesPerBodyTime)))
		next := min(2*int64(cap(b.bytes)), h.maxBody+1)
		if r.ContentLength >= int64(cap(b.bytes)) {
			next = min(next, r.ContentLength+1)
		}
		if !b.grow(max(0, next-b.charged)) {
			return nil, noRoom
		}
		larger := make([]byte, len(b.bytes), next)
		copy(larger, b.bytes)
		b.bytes = larger
	}
}

// bytesPerBodyTime is how much of a body has to arrive in the time for a small one.
const bytesPerBodyTime = 4 << 20

// problemOfBody says what is wrong if a body cannot be read.
func problemOfBody(err error) *problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem{status: http.StatusRequestTimeout, code: codeSlowBody, detail: "the body did not arrive in time"}
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok { // of a middleware
		return &problem{status: http.StatusRequestEntityTooLarge, code: codeBodySize, detail: fmt.Sprintf("a body of more than %d bytes", large.Limit)}
	}
	return badRequest("the body cannot be read: %v", err)
}

// readDeadlines set how long the body of a request may take. If the http.Server has a ReadTimeout,
// that counts.
type readDeadlines struct{ w http.ResponseWriter }

func bodyDeadlines(w *answer, r *http.Request) readDeadlines {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ReadTimeout > 0 {
		return readDeadlines{}
	}
	return readDeadlines{w}
}

func (d readDeadlines) set(t time.Time) {
	if d.w != nil {
		http.NewResponseController(d.w).SetReadDeadline(t)
	}
}
