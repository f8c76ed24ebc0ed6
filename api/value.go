package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
)

// get answers with the value of a key.
func (h *Handler) get(ctx context.Context, w *answer, r *http.Request, cache door.Cache, rt *route) *problem {
	format, p := negotiate(r, typeRaw, typeJSON)
	if p != nil {
		return p
	}
	if r.URL.RawQuery != "" && !rt.query { // a key whose question mark was not encoded
		if _, p := queryOf(r); p != nil {
			return p
		}
	}
	view, ttl, err := cache.GetWithTTL(ctx, rt.key)
	if err != nil {
		return h.problemOf(err)
	}
	etag := h.describe(w, view, ttl, format)
	switch decide(r.Header, etag) {
	case http.StatusNotModified:
		w.Header().Del("Content-Length")
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
	case http.StatusPreconditionFailed:
		return &problem{status: http.StatusPreconditionFailed, code: codePrecondition, detail: "the value is another one than If-Match names"}
	default:
		if format == typeJSON {
			h.writeJSON(w, r, rt, view)
			return nil
		}
		return h.writeRaw(w, r, view)
	}
	return nil
}

// describe sets the headers of an answer with a value, and returns its ETag.
//
// The ETag is a hash of the value and its length, the same in all processes, and told apart by
// format. Age is zero: max-age counts from this answer.
func (h *Handler) describe(w *answer, view peercache.ByteView, ttl time.Duration, format string) string {
	// All the text in one string, and all the values in one array: a hit takes two allocations.
	var room [96]byte
	b := appendETag(room[:0], xxhash.Sum64String(view.String()), view.Len(), format)
	etag := len(b)
	b = h.appendFreshness(b, ttl)
	freshness := len(b)
	if format == typeRaw {
		b = strconv.AppendInt(b, int64(view.Len()), 10)
	}
	text := string(b)
	values := &[3]string{text[:etag], text[etag:freshness], text[freshness:]}

	header := w.Header()
	header["Etag"] = values[0:1:1]
	header["Cache-Control"] = values[1:2:2]
	header["Age"] = zero
	header["X-Content-Type-Options"] = nosniff
	if format == typeRaw {
		header["Content-Length"] = values[2:3:3]
		header["Content-Type"] = rawTypes
		header["Accept-Ranges"] = ranges
	} else {
		header["Content-Type"] = jsonTypes
	}
	vary(header)
	return values[0]
}

// Values of headers that do not change. Nobody writes to them: Header.Add makes a copy, because they
// have no room.
var (
	zero      = []string{"0"}
	nosniff   = []string{"nosniff"}
	rawTypes  = []string{typeRaw}
	jsonTypes = []string{typeJSON}
	ranges    = []string{"bytes"}
	accept    = []string{"Accept"}
)

// vary says that the answer depends on Accept, beside what a middleware may have said.
func vary(header http.Header) {
	if header["Vary"] == nil {
		header["Vary"] = accept
	} else {
		header.Add("Vary", "Accept")
	}
}

// appendETag appends the ETag of a value of size bytes that has the hash sum.
func appendETag(b []byte, sum uint64, size int, format string) []byte {
	b = append(b, '"')
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[sum>>shift&15])
	}
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(size), 16)
	if format == typeJSON {
		b = append(b, 'j')
	}
	return append(b, '"')
}

// appendFreshness appends the value of Cache-Control. A value that has no end may change with any
// Remove, of which HTTP caches do not hear: they have to ask each time, and get a 304 as a rule. So
// they have to for a value that is stale already.
func (h *Handler) appendFreshness(b []byte, ttl time.Duration) []byte {
	if h.access.guarded() {
		b = append(b, "private, "...)
	}
	if h.maxAge >= 0 {
		ttl = min(ttl, h.maxAge)
	}
	if ttl < time.Second {
		return append(b, "no-cache"...)
	}
	b = append(b, "max-age="...)
	return strconv.AppendInt(b, int64(ttl/time.Second), 10)
}

// decide evaluates the conditions of a GET or HEAD for a value with an ETag (RFC 9110, 13.2.2). It
// returns 200, 304 or 412. Conditions on dates are ignored, since values have none.
func decide(header http.Header, etag string) int {
	if given := header["If-Match"]; given != nil && !matches(given, etag, false) {
		return http.StatusPreconditionFailed
	}
	if given := header["If-None-Match"]; given != nil && matches(given, etag, true) {
		return http.StatusNotModified
	}
	return http.StatusOK
}

// matches reports whether a list of entity tags has etag, or is "*". By the weak comparison, W/ does
// not count; by the strong one, such a tag matches nothing.
func matches(lists []string, etag string, weak bool) bool {
	for _, list := range lists {
		for list != "" {
			list = strings.TrimLeft(list, " \t,")
			if strings.HasPrefix(list, "*") {
				return true
			}
			rest, isWeak := strings.CutPrefix(list, "W/")
			if !strings.HasPrefix(rest, `"`) {
				break // no entity tag: what follows means nothing
			}
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				break
			}
			if rest[:end+2] == etag && (weak || !isWeak) {
				return true
			}
			list = rest[end+2:]
		}
	}
	return false
}

// mostRanges is how many ranges of one value are answered. More get the whole value: each costs a
// head of its own in the answer.
const mostRanges = 16

// writeRaw writes the bytes of a value, or ranges of them.
func (h *Handler) writeRaw(w *answer, r *http.Request, view peercache.ByteView) *problem {
	if given := r.Header["Range"]; len(given) == 1 && r.Method == http.MethodGet && strings.Count(given[0], ",") < mostRanges {
		w.Header().Del("Content-Length")
		part := ranged{answer: w, pace: newPacer(w, r, h.sendTime)}
		http.ServeContent(&part, r, "", time.Time{}, view.Reader())
		if part.pace.end(); part.refused {
			return &problem{status: http.StatusRequestedRangeNotSatisfiable, code: codeRange, detail: "the value has no such range", size: view.Len()}
		}
		return nil
	}
	if r.Method == http.MethodHead {
		return nil
	}
	if view.Len() <= pieceBytes {
		view.WriteTo(w)
		return nil
	}
	pace := newPacer(w, r, h.sendTime)
	for at := 0; at < view.Len(); at += pieceBytes {
		pace.next()
		if _, err := view.Slice(at, min(at+pieceBytes, view.Len())).WriteTo(w); err != nil {
			return nil // the client has gone
		}
	}
	pace.end()
	return nil
}

// ranged is a ResponseWriter for http.ServeContent that leaves the answer to a range that is not
// there to the caller.
type ranged struct {
	*answer
	pace    pacer
	sent    int
	refused bool
}

func (r *ranged) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		r.refused = true
		return
	}
	r.answer.WriteHeader(status)
}

func (r *ranged) Write(b []byte) (int, error) {
	if r.refused {
		return len(b), nil
	}
	if r.sent += len(b); r.sent > pieceBytes {
		r.pace.next()
	}
	return r.answer.Write(b)
}

// writeJSON writes a value as JSON.
func (h *Handler) writeJSON(w *answer, r *http.Request, rt *route, view peercache.ByteView) {
	if r.Method == http.MethodHead {
		return
	}
	out := newStream(w, r, typeJSON)
	out.pace.limit = h.sendTime
	out.text("{")
	out.bytes("group", rt.group)
	out.text(",")
	out.bytes("key", rt.key)
	out.text(",")
	out.bytes("value", view.String())
	out.text("}\n")
	out.end()
}

// put sets the value of a key to the body.
func (h *Handler) put(ctx context.Context, w *answer, r *http.Request, cache door.Cache, key string) *problem {
	query, p := queryOf(r, "ttl")
	if p != nil {
		return p
	}
	item := peercache.Item{}
	if query.Has("ttl") {
		if item.TTL, p = ttlOf(query.Get("ttl")); p != nil {
			return p
		}
	}
	if p := unconditional(r); p != nil {
		return p
	}
	if r.Header.Get("Content-Range") != "" {
		return badRequest("a part of a value cannot be set: want the whole, without Content-Range")
	}
	b, p := h.readBody(w, r)
	if p != nil {
		return p
	}
	defer b.Release()
	item.Value = b.Bytes
	ctx, cancel := context.WithTimeout(ctx, h.changeTime)
	defer cancel()
	if err := cache.Set(ctx, key, item); err != nil {
		p := h.problemOf(err)
		if errors.Is(err, peercache.ErrValueSize) {
			p.status, p.err = http.StatusRequestEntityTooLarge, nil
		}
		return p
	}
	var room [96]byte
	w.Header().Set("Etag", string(appendETag(room[:0], xxhash.Sum64(b.Bytes), len(b.Bytes), typeRaw)))
	return done(w)
}

// done answers that a change is made, everywhere.
func done(w *answer) *problem {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ttlOf reads how long a value may be served: seconds, or a duration with units.
func ttlOf(text string) (time.Duration, *problem) {
	ttl, err := time.ParseDuration(text)
	if n, e := strconv.ParseInt(text, 10, 32); e == nil {
		ttl, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || ttl <= 0 {
		return 0, badRequest("the ttl %.40q: want seconds, such as 90, or a duration, such as 1m30s, above zero", text)
	}
	return ttl, nil
}

// unconditional refuses conditions on a change. Between the look at a value and the change others
// could change it too, in any process, so that the condition would promise what is not kept.
func unconditional(r *http.Request) *problem {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Unmodified-Since"} {
		if r.Header[name] != nil {
			return &problem{status: http.StatusBadRequest, code: codeCondition, detail: "a change cannot depend on the value that is cached: want it without " + name}
		}
	}
	return nil
}

// delete drops the value of a key.
func (h *Handler) delete(ctx context.Context, w *answer, r *http.Request, cache door.Cache, key string) *problem {
	if _, p := queryOf(r); p != nil {
		return p
	}
	if p := unconditional(r); p != nil {
		return p
	}
	ctx, cancel := context.WithTimeout(ctx, h.changeTime)
	defer cancel()
	if err := cache.Remove(ctx, key); err != nil {
		return h.problemOf(err)
	}
	return done(w)
}
