package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/peercache/peercache/lru"
)

// keptAnswers are those that may be asked about. What is in one is never changed.
type keptAnswers struct{ answers *lru.Cache[*keptAnswer] }

// keptAnswer is an answer with status 200 that has a validator.
type keptAnswer struct {
	body   []byte
	header http.Header // only what judge looks at, and the validators
	url    string      // where it came from, after redirects
	asked  http.Header // of the headers that its Vary names, what was in the request
}

// judged are the headers of an answer that are kept.
var judged = []string{"Cache-Control", "Expires", "Date", "Age", "Vary", "Etag", "Last-Modified"}

func newKeptAnswers(maxBytes int64) (*keptAnswers, error) {
	answers, err := lru.New(maxBytes, func(_ string, a *keptAnswer) int64 { return a.size() }, nil)
	return &keptAnswers{answers}, err
}

// size is what a costs on the heap besides its key, about.
func (a *keptAnswer) size() int64 {
	size := int64(cap(a.body) + len(a.url) + 256)
	for _, h := range []http.Header{a.header, a.asked} {
		for name, values := range h {
			size += int64(len(name) + 128)
			for _, v := range values {
				size += int64(len(v) + 16)
			}
		}
	}
	return size
}

// newKeptAnswer returns what is kept of an answer to a request, or nil if it has no validator.
func newKeptAnswer(req *http.Request, header http.Header, url string, body []byte) *keptAnswer {
	if header.Get("Etag") == "" && header.Get("Last-Modified") == "" {
		return nil
	}
	if cap(body)-len(body) > len(body)/8 {
		body = slices.Clone(body) // or the rest is kept, too
	}
	a := &keptAnswer{body: body, header: only(header, judged), url: url}
	a.asked = only(req.Header, listed(header["Vary"]))
	return a
}

// only returns copies of the headers with such names.
func only(h http.Header, names []string) http.Header {
	some := make(http.Header)
	for _, name := range names {
		if values := h[name]; len(values) > 0 {
			for _, v := range values {
				some[name] = append(some[name], strings.Clone(v))
			}
		}
	}
	return some
}

// matches reports whether a may be the answer to a request with such headers (4.1).
func (a *keptAnswer) matches(header http.Header) bool {
	for _, name := range listed(a.header["Vary"]) {
		if !slices.Equal(header[name], a.asked[name]) {
			return false
		}
	}
	return true
}

// ask adds the validators to a request (4.3.1).
func (a *keptAnswer) ask(h http.Header) {
	if tag := a.header.Get("Etag"); tag != "" {
		h.Set("If-None-Match", tag)
	}
	if modified := a.header.Get("Last-Modified"); modified != "" {
		h.Set("If-Modified-Since", modified)
	}
}

// confirmedBy reports whether a 304 with such headers, from such a URL, is about a (4.3.4).
func (a *keptAnswer) confirmedBy(header http.Header, url string) bool {
	weak := func(tag string) string { return strings.TrimPrefix(tag, "W/") }
	tag := header.Get("Etag")
	return url == a.url && (tag == "" || weak(tag) == weak(a.header.Get("Etag")))
}

// updated returns a with the headers of a 304 (3.2). Date and Age are always those of the 304: they say
// when and by whom it was confirmed.
func (a *keptAnswer) updated(header http.Header) *keptAnswer {
	b := *a
	b.header = only(a.header, judged)
	delete(b.header, "Date")
	delete(b.header, "Age")
	for name, values := range only(header, judged) {
		b.header[name] = values
	}
	return &b
}

func (k *keptAnswers) get(key string, header http.Header) *keptAnswer {
	if k == nil {
		return nil
	}
	if a, ok := k.answers.Get(key); ok && a.matches(header) {
		return a
	}
	return nil
}

// put keeps a in place of what was kept for key. Without a it keeps nothing.
func (k *keptAnswers) put(key string, a *keptAnswer) {
	switch {
	case k == nil:
	case a == nil:
		k.answers.Remove(key)
	default:
		k.answers.Add(strings.Clone(key), a)
	}
}
