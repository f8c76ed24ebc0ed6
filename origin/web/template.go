package web

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
)

// template is a URL with places for the key.
type template struct {
	parts []string // what stands before, between and after the places
	raw   []bool   // of each place: the slashes of the key are those of the path
	path  []bool   // of each place: it is in the path, not in the query
}

const (
	escaped  = "{key}"    // a place for the key as one segment, or as a value of the query
	segments = "{key...}" // one for the key as a path
)

// parseTemplate returns an error that says what would be right.
func parseTemplate(text string) (*template, error) {
	if text == "" {
		return nil, errors.New("url is missing: want one with {key}, such as https://api.example/users/{key}")
	}
	var t template
	query := strings.IndexByte(text, '?')
	begin := 0
	for at := 0; at < len(text); {
		place := escaped
		switch rest := text[at:]; {
		case strings.HasPrefix(rest, escaped):
		case strings.HasPrefix(rest, segments):
			place = segments
		case rest[0] == '{' || rest[0] == '}':
			return nil, fmt.Errorf("url is %q: want braces only around key, as in {key} or {key...}", text)
		default:
			at++
			continue
		}
		inPath := query < 0 || at < query
		if place == segments && !inPath {
			return nil, fmt.Errorf("url is %q: {key...} is a path, want {key} in the query", text)
		}
		t.parts = append(t.parts, text[begin:at])
		t.raw, t.path = append(t.raw, place == segments), append(t.path, inPath)
		at += len(place)
		begin = at
	}
	t.parts = append(t.parts, text[begin:])
	return &t, t.check(text)
}

func (t *template) check(text string) error {
	if len(t.raw) == 0 {
		return fmt.Errorf("url is %q: want {key} in it, such as https://api.example/users/{key}", text)
	}
	plain := strings.Join(t.parts, "key")
	u, err := url.Parse(plain)
	if err != nil && !strings.Contains(plain, "://") { // what it says of localhost:80/x helps nobody
		return fmt.Errorf("url is %q: want http:// or https:// before it", text)
	}
	if err != nil {
		return fmt.Errorf("url is %q: %w", text, errors.Unwrap(err))
	}
	// The key must not choose whom to ask: what is before its first place has the whole host.
	before, errBefore := url.Parse(t.parts[0])
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("url is %q: want http:// or https:// before it", text)
	case u.Host == "":
		return fmt.Errorf("url is %q: want a host", text)
	case u.Fragment != "" || strings.Contains(text, "#"):
		return fmt.Errorf("url is %q: want none with a #, which no server would see", text)
	case u.User != nil:
		return errors.New("url has a user: want an Authorization header in headers, which no error shows")
	case errBefore != nil || before.Host != u.Host || before.Path == "" && before.RawQuery == "" && !before.ForceQuery:
		return fmt.Errorf("url is %q: want {key} in the path or the query only", text)
	}
	return nil
}

// expand returns the URL for a key.
func (t *template) expand(key string) (*url.URL, error) {
	var b strings.Builder
	for i, raw := range t.raw {
		b.WriteString(t.parts[i])
		escape(&b, key, raw)
	}
	b.WriteString(t.parts[len(t.raw)])
	u, err := url.Parse(b.String())
	if err != nil {
		return nil, fmt.Errorf("the key %s makes no URL", quote.Key(key))
	}
	// Servers, and what is before them, take such segments for a way up.
	if strings.Contains(key, ".") || key == "" {
		for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
			if segment == "." || segment == ".." {
				return nil, fmt.Errorf("the key %s would be a way to another path: %w", quote.Key(key), peercache.ErrNotFound)
			}
		}
	}
	return u, nil
}

// escape writes key so that the server decodes it to key, wherever it stands. With raw the slashes stay.
func escape(b *strings.Builder, key string, raw bool) {
	const hex = "0123456789ABCDEF"
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '/' && raw:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}
