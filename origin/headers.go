package origin

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/peercache/peercache"
)

type headersKey struct{}

// WithHeaders returns ctx with the headers of the caller's request, for an origin that forwards some of
// them. A front door calls it, and a Go service may. HeaderCodec says which of them travel with
// a request to the owner of a key. The caller must not change h any more.
func WithHeaders(ctx context.Context, h http.Header) context.Context {
	return context.WithValue(ctx, headersKey{}, h)
}

// Headers returns what WithHeaders put into ctx, or nil. It must not be changed.
func Headers(ctx context.Context) http.Header {
	h, _ := ctx.Value(headersKey{}).(http.Header)
	return h
}

// These are more than a request has of headers worth forwarding.
const (
	mostValues      = 64
	mostHeaderBytes = peercache.DefaultContextBytes
)

// HeaderCodec returns what peercache.WithContextCodec takes, so that an origin in the owner's process sees
// the headers of the caller that have one of these names. All members of the cluster need the same names:
// each takes only those that it knows itself. If there are more than 64 values, or more than 4 KiB, none of
// them travels.
func HeaderCodec(names ...string) peercache.ContextCodec {
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[http.CanonicalHeaderKey(name)] = true
	}
	sorted := slices.Sorted(maps.Keys(known)) // so that equal headers are equal bytes
	return peercache.ContextCodec{
		Encode:   func(ctx context.Context) []byte { return encodeHeaders(Headers(ctx), sorted) },
		Decode:   func(ctx context.Context, b []byte) context.Context { return decodeHeaders(ctx, b, known) },
		MaxBytes: mostHeaderBytes,
	}
}

// encodeHeaders writes names and values in turn, each with its length before it.
func encodeHeaders(h http.Header, names []string) (b []byte) {
	n := 0
	for _, name := range names {
		for _, value := range h[name] {
			if n++; n > mostValues {
				return nil
			}
			b = appendText(appendText(b, name), value)
		}
	}
	return b
}

func decodeHeaders(ctx context.Context, b []byte, known map[string]bool) context.Context {
	h := make(http.Header)
	for n := 0; len(b) > 0; n++ {
		name, rest, ok := cutText(b)
		value, rest, okValue := cutText(rest)
		if !ok || !okValue || n == mostValues {
			return ctx // it comes from another version, or from who is no peer
		}
		if b = rest; known[name] && ValidHeader(name, value) == nil {
			h[name] = append(h[name], value)
		}
	}
	return WithHeaders(ctx, h)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutText(b []byte) (text string, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return "", nil, false
	}
	b = b[n:]
	return string(b[:size]), b[size:], true
}

// ValidHeader returns an error if name is no name of a header, or value would end it.
func ValidHeader(name, value string) error {
	notInName := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	if name == "" || strings.ContainsFunc(name, notInName) {
		return fmt.Errorf("%q is no name of a header", name)
	}
	notInValue := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	if strings.ContainsFunc(value, notInValue) {
		return fmt.Errorf("the value of the header %s has control characters", name)
	}
	return nil
}
