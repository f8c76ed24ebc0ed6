package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/body"
)

// How many keys of a batch are asked for at a time. The values of these are in memory together, so it
// depends on how large those before them were.
const (
	firstChunk      = 32
	mostChunk       = 1000
	chunkValueBytes = 4 << 20
)

// batchGet answers with the values of many keys, in the order in which they were given: as one
// document, or as lines (NDJSON).
func (h *Handler) batchGet(ctx context.Context, w *answer, r *http.Request, cache door.Cache) *problem {
	format, p := negotiate(r, typeJSON, typeNDJSON)
	if p != nil {
		return p
	}
	keys, held, p := h.readKeys(w, r)
	if p != nil {
		return p
	}
	defer held.Release()
	if err := ctx.Err(); err != nil {
		return h.problemOf(err)
	}
	vary(w.Header())
	b := batch{h: h, out: newStream(w, r, format), lines: format == typeNDJSON, left: h.maxBatch}
	b.out.pace.limit = h.sendTime
	if !b.lines {
		b.out.text(`{"results":[`)
	}
	for chunk := firstChunk; len(keys) > 0; chunk = b.nextChunk() {
		n := min(chunk, len(keys))
		if b.get(ctx, cache, keys[:n]); b.out.err != nil || r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // nobody is to take a part for the whole
		}
		keys = keys[n:]
	}
	if !b.lines {
		b.out.text("]}\n")
	}
	b.out.end()
	return nil
}

// batch is a batchGet.
type batch struct {
	h       *Handler
	out     *stream
	lines   bool
	left    int64 // the bytes that the values may still have
	full    bool  // a value had no room: there are no more
	written int   // keys
	got     int   // the values of the last chunk,
	size    int   // and their bytes
}

// nextChunk returns how many keys are asked for next.
func (b *batch) nextChunk() int {
	if b.size == 0 {
		return mostChunk
	}
	return min(max(chunkValueBytes/max(b.size/b.got, 1), 1), mostChunk)
}

// get writes the values of some keys.
func (b *batch) get(ctx context.Context, cache door.Cache, keys []string) {
	if b.full {
		for _, key := range keys {
			b.write(key, "", b.noRoom())
		}
		return
	}
	b.got, b.size = 0, 0
	for i, result := range cache.GetMulti(ctx, keys) {
		size := result.View.Len()
		b.got, b.size = b.got+1, b.size+size
		switch {
		case result.Err != nil:
			b.write(keys[i], "", b.h.problemOf(result.Err))
		case b.full || int64(size) > b.left:
			b.full = true
			b.write(keys[i], "", b.noRoom())
		default:
			b.left -= int64(size)
			b.write(keys[i], result.View.String(), nil)
		}
	}
}

func (b *batch) noRoom() *problem {
	return &problem{status: http.StatusRequestEntityTooLarge, code: codeBatchSize, detail: "the values before have taken the room of an answer: want this key in another request"}
}

// write writes what there is for one key: its value, or a problem.
func (b *batch) write(key, value string, p *problem) {
	switch {
	case b.out.err != nil:
		return
	case !b.lines && b.written > 0:
		b.out.text(",")
	}
	b.written++
	b.out.text("{")
	b.out.bytes("key", key)
	if p != nil {
		b.out.text(`,"error":`)
		b.out.problem(p)
	} else {
		b.out.text(",")
		b.out.bytes("value", value)
	}
	b.out.text("}")
	if b.lines {
		b.out.text("\n")
	}
}

// remove drops the values of many keys.
func (h *Handler) remove(ctx context.Context, w *answer, r *http.Request, cache door.Cache) *problem {
	keys, held, p := h.readKeys(w, r)
	if p != nil {
		return p
	}
	defer held.Release()
	ctx, cancel := context.WithTimeout(ctx, h.changeTime)
	defer cancel()
	if err := cache.Remove(ctx, keys...); err != nil {
		return h.problemOf(err)
	}
	return done(w)
}

// clear drops all values of a group. The body is empty, or an empty object.
func (h *Handler) clear(ctx context.Context, w *answer, r *http.Request, cache door.Cache) *problem {
	if p := wantJSON(r); p != nil {
		return p
	}
	if _, p := queryOf(r); p != nil {
		return p
	}
	b, p := h.readBody(w, r)
	if p != nil {
		return p
	}
	b.Release()
	if text := strings.Join(strings.Fields(string(b.Bytes[:min(len(b.Bytes), 64)])), ""); text != "" && text != "{}" || len(b.Bytes) > 64 {
		return badRequest("want no body, or an empty object: a group is cleared as a whole")
	}
	ctx, cancel := context.WithTimeout(ctx, h.changeTime)
	defer cancel()
	if err := cache.Clear(ctx); err != nil {
		return h.problemOf(err)
	}
	return done(w)
}

// readKeys reads the keys in the body of a request. The keys of a batch count for the rate limit. If there is
// no problem, the caller releases the body when it needs the keys no more: they take as much memory.
func (h *Handler) readKeys(w *answer, r *http.Request) (_ []string, _ *body.Body, p *problem) {
	if p := wantJSON(r); p != nil {
		return nil, nil, p
	}
	if _, p := queryOf(r); p != nil {
		return nil, nil, p
	}
	b, p := h.readBody(w, r)
	if p != nil {
		return nil, nil, p
	}
	defer func() {
		if p != nil {
			b.Release()
		}
	}()
	keys, err := keysIn(b.Bytes, h.maxKeys)
	switch {
	case errors.Is(err, errTooMany):
		return nil, nil, &problem{status: http.StatusRequestEntityTooLarge, code: codeTooManyKeys, detail: fmt.Sprintf("more than %d keys", h.maxKeys)}
	case err != nil:
		return nil, nil, badRequest(`want a body like {"keys":["Tom"],"keysBase64":["/w=="]}: %v`, err)
	case slices.Contains(keys, ""):
		return nil, nil, &problem{status: http.StatusBadRequest, code: codeBadKey, detail: "a key is empty"}
	}
	h.rateKeys(r, len(keys))
	b.Bytes = nil
	return keys, b, nil
}

var errTooMany = errors.New("too many keys")

// keysIn reads keys: the member keys has those that are text, and keysBase64 any. It reads token by
// token, so that a body takes no more memory than the keys that are allowed.
func keysIn(text []byte, most int) (keys []string, err error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	in := json.NewDecoder(bytes.NewReader(text))
	if err := want(in, json.Delim('{')); err != nil {
		return nil, err
	}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, err
		}
		if name != "keys" && name != "keysBase64" {
			return nil, fmt.Errorf("there is a member %.40q", name)
		}
		if err := want(in, json.Delim('[')); err != nil {
			return nil, err
		}
		for in.More() {
			if len(keys) == most {
				return nil, errTooMany
			}
			key, err := keyIn(in, name == "keysBase64")
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
		if err := want(in, json.Delim(']')); err != nil {
			return nil, err
		}
	}
	if err := want(in, json.Delim('}')); err != nil {
		return nil, err
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, errors.New("there is more after it")
	}
	return keys, nil
}

// keyIn reads one key.
func keyIn(in *json.Decoder, encoded bool) (string, error) {
	token, err := in.Token()
	if err != nil {
		return "", err
	}
	key, ok := token.(string)
	if !ok {
		return "", errors.New("a key is no string")
	}
	if encoded {
		b, err := base64.StdEncoding.DecodeString(key)
		return string(b), err
	}
	// The decoder puts U+FFFD in the place of an escape that stands for no character.
	if strings.ContainsRune(key, utf8.RuneError) {
		return "", errors.New("a key has the character U+FFFD, or half of a surrogate pair: want it in keysBase64")
	}
	return key, nil
}

// want reads the token that has to come next.
func want(in *json.Decoder, delim json.Delim) error {
	token, err := in.Token()
	if err != nil {
		return err
	}
	if token != delim {
		return fmt.Errorf("want %v at byte %d", delim, in.InputOffset())
	}
	return nil
}
