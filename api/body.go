package api

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/peercache/peercache/internal/body"
)

// readBody reads the body of a request. If there is no problem, the caller releases the body.
func (h *Handler) readBody(w *answer, r *http.Request) (*body.Body, *problem) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, &problem{status: http.StatusUnsupportedMediaType, code: codeMediaType, detail: "want a body without Content-Encoding: it would not be decoded"}
	}
	if r.ContentLength > h.maxBody {
		return nil, h.problemOfBody(body.ErrTooLarge)
	}
	deadlines := bodyDeadlines(w, r)
	b, err := body.Read(r, &h.bodies, body.Limits{Most: h.maxBody, Time: h.bodyTime, PerTime: bytesPerBodyTime, Deadline: deadlines.set})
	if err != nil {
		return nil, h.problemOfBody(err)
	}
	w.bodyRead = true
	deadlines.set(time.Time{}) // otherwise it would end the request
	return b, nil
}

// bytesPerBodyTime is how much of a body has to arrive in the time for a small one.
const bytesPerBodyTime = 4 << 20

// problemOfBody says what is wrong if a body cannot be read.
func (h *Handler) problemOfBody(err error) *problem {
	switch {
	case errors.Is(err, body.ErrTooLarge):
		return &problem{status: http.StatusRequestEntityTooLarge, code: codeBodySize, detail: fmt.Sprintf("a body of more than %d bytes", h.maxBody)}
	case errors.Is(err, body.ErrNoRoom):
		return &problem{status: http.StatusServiceUnavailable, code: codeOverloaded, detail: "the bodies of the requests in progress take too much memory", retry: time.Second}
	case errors.Is(err, os.ErrDeadlineExceeded):
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
