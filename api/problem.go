package api

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
)

// The codes of problems. Clients tell problems apart by them.
const (
	codeBadRequest      = "bad_request"
	codeBadKey          = "bad_key"
	codeGroupNeeded     = "group_needed"
	codeCondition       = "condition_unsupported"
	codeUnauthenticated = "unauthenticated"
	codeForbidden       = "forbidden"
	codeReadOnly        = "read_only"
	codeNotFound        = "not_found"
	codeNoGroup         = "no_group"
	codeNoRoute         = "no_route"
	codeMethod          = "method_not_allowed"
	codeNotAcceptable   = "not_acceptable"
	codeSlowBody        = "slow_body"
	codePrecondition    = "precondition_failed"
	codeBodySize        = "body_too_large"
	codeValueSize       = "value_too_large"
	codeTooManyKeys     = "too_many_keys"
	codeMediaType       = "unsupported_media_type"
	codeRange           = "bad_range"
	codeRate            = "rate_limited"
	codeInternal        = "internal"
	codeOrigin          = "origin_error"
	codeUnreachable     = "peer_unreachable"
	codeClosed          = "closed"
	codeOverloaded      = "overloaded"
	codeIncomplete      = "incomplete"
	codeLapsed          = "lapsed"
	codeCanceled        = "canceled"
	codeTimeout         = "timeout"
	codeBatchSize       = "batch_too_large" // of one key of a batch
)

// problem is what is wrong with a request, or went wrong with it: the body of every answer that is
// an error (RFC 9457).
type problem struct {
	status  int
	code    string
	detail  string
	allow   []string      // the methods of a route, with status 405
	retry   time.Duration // after how long the request may succeed; 0: not said
	pending []peercache.Pending
	size    int // of the value whose range was asked for, with status 416

	group, key string // what the request was about; may be empty
	err        error  // is logged
	logged     bool   // it was logged already
}

func badRequest(format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, code: codeBadRequest, detail: fmt.Sprintf(format, args...)}
}

// about says which group and key p is about. p may be nil.
func (p *problem) about(rt *route) *problem {
	if p != nil {
		p.group, p.key = rt.group, rt.key
	}
	return p
}

// problemOf says what a client is told about the error of a group.
func (h *Handler) problemOf(err error) *problem {
	failure := door.FailureOf(err)
	p := &problem{status: http.StatusBadGateway, code: codeOrigin, detail: failure.String(), err: err}
	switch failure {
	case door.Incomplete:
		p.status, p.code, p.retry = http.StatusServiceUnavailable, codeIncomplete, time.Second
		incomplete, _ := errors.AsType[*peercache.InvalidationError](err)
		p.pending = incomplete.Pending
	case door.NotFound:
		p.status, p.code, p.err = http.StatusNotFound, codeNotFound, nil
	case door.KeySize:
		p.status, p.code, p.err = http.StatusBadRequest, codeBadKey, nil
	case door.ValueSize:
		p.code = codeValueSize
	case door.Lapsed:
		p.status, p.code, p.retry = http.StatusServiceUnavailable, codeLapsed, time.Second
	case door.Closed:
		p.status, p.code, p.retry = http.StatusServiceUnavailable, codeClosed, time.Second
	case door.Timeout:
		p.status, p.code = http.StatusGatewayTimeout, codeTimeout
	case door.Canceled:
		p.status, p.code, p.retry = http.StatusServiceUnavailable, codeCanceled, time.Second
	case door.Unreachable:
		p.code = codeUnreachable
	}
	if p.code == codeOrigin && h.errorText != nil {
		p.detail = h.errorText(err)
	}
	return p
}

// refuse answers with a problem.
func (h *Handler) refuse(w *answer, r *http.Request, p *problem) {
	if p.err != nil && !p.logged && r.Context().Err() == nil {
		h.faults.record(r, p.code, slog.String("group", p.group), slog.String("key", quote.Key(p.key)), slog.Any("err", p.err))
	}
	header := w.Header()
	if r.ProtoMajor == 1 && (r.ContentLength != 0 && !w.bodyRead || p.code == codeClosed) {
		// Otherwise the http.Server would read the rest of the body, and the client would ask a
		// process that is shutting down again.
		header.Set("Connection", "close")
	}
	header.Set("Cache-Control", "no-store")
	for _, name := range []string{"Etag", "Age", "Accept-Ranges", "Content-Length"} {
		header.Del(name) // they were of a value
	}
	if p.allow != nil {
		header.Set("Allow", strings.Join(p.allow, ", "))
	}
	if p.retry > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(p.retry.Seconds())), 10))
	}
	if p.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="peercache"`)
	}
	if p.status == http.StatusRequestedRangeNotSatisfiable {
		header.Set("Content-Range", "bytes */"+strconv.Itoa(p.size))
	}
	out := newStream(w, r, "application/problem+json")
	w.WriteHeader(p.status)
	out.problem(p)
	out.text("\n")
	out.end()
}

// problem writes p as JSON.
func (s *stream) problem(p *problem) {
	s.text(`{"title":`)
	s.quoted(http.StatusText(p.status))
	s.text(`,"status":`)
	s.text(strconv.Itoa(p.status))
	s.text(`,"code":`)
	s.quoted(p.code)
	s.text(`,"detail":`)
	s.quoted(strings.ToValidUTF8(p.detail, "\uFFFD"))
	if p.group != "" {
		s.text(",")
		s.bytes("group", p.group)
	}
	if p.key != "" {
		s.text(",")
		s.bytes("key", p.key)
	}
	sep := `,"pending":[`
	for _, one := range p.pending {
		s.text(sep)
		sep = ","
		s.text(`{"peer":`)
		s.quoted(strings.ToValidUTF8(one.Peer, "\uFFFD"))
		if !one.Until.IsZero() {
			s.text(`,"until":`)
			s.quoted(one.Until.UTC().Format(time.RFC3339))
		}
		s.text("}")
	}
	if len(p.pending) > 0 {
		s.text("]")
	}
	s.text("}")
}

// faultLog logs requests that failed, of each code one line in faultEvery: an origin that is down
// would fill the log.
type faultLog struct {
	log *slog.Logger

	mu         sync.Mutex
	last       map[string]clock.Instant // guarded by mu; by code, which are few
	suppressed map[string]int           // guarded by mu
}

// faultEvery is the time after which a failure of the same code is logged again.
const faultEvery = 10 * time.Second

func (f *faultLog) record(r *http.Request, code string, attrs ...slog.Attr) {
	f.mu.Lock()
	now := clock.Now()
	if last, ok := f.last[code]; ok && now < last.Plus(faultEvery) {
		f.suppressed[code]++
		f.mu.Unlock()
		return
	}
	if f.last == nil {
		f.last, f.suppressed = make(map[string]clock.Instant), make(map[string]int)
	}
	n := f.suppressed[code]
	f.last[code], f.suppressed[code] = now, 0
	f.mu.Unlock()
	attrs = append([]slog.Attr{slog.String("code", code), slog.String("method", r.Method)}, attrs...)
	if n > 0 {
		attrs = append(attrs, slog.Int("suppressed", n))
	}
	f.log.LogAttrs(r.Context(), slog.LevelWarn, "a request over HTTP failed", attrs...)
}
