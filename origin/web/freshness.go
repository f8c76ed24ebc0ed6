package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// directives are those of a Cache-Control header that mean something here.
type directives struct {
	noStore, noCache, private, public bool
	mustRevalidate, proxyRevalidate   bool

	maxAge, sMaxAge                    seconds
	staleWhileRevalidate, staleIfError seconds
}

// seconds is the argument of a directive. The zero seconds says that it is not there.
type seconds struct {
	given bool
	d     time.Duration // of an argument that is no number: 0, so that it is stale
}

// mostSeconds is what a larger number of seconds is taken for (RFC 9111, 1.2.2).
const mostSeconds = 1 << 31

// parseSeconds returns the number of seconds in text, and reports whether it is one.
func parseSeconds(text string) (time.Duration, bool) {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > mostSeconds {
		n = mostSeconds
	}
	return time.Duration(n) * time.Second, true
}

func (s *seconds) set(argument string) {
	if !s.given { // of several, the first one counts
		s.given = true
		s.d, _ = parseSeconds(argument)
	}
}

// parseDirectives reads the lines of a Cache-Control header. Of no-cache and private with names of
// headers nothing is left, because a value has no headers.
func parseDirectives(lines []string) (d directives) {
	for name, argument := range eachDirective(strings.Join(lines, ",")) {
		switch name {
		case "no-store":
			d.noStore = true
		case "no-cache":
			d.noCache = d.noCache || argument == ""
		case "private":
			d.private = d.private || argument == ""
		case "public":
			d.public = true
		case "must-revalidate":
			d.mustRevalidate = true
		case "proxy-revalidate":
			d.proxyRevalidate = true
		case "max-age":
			d.maxAge.set(argument)
		case "s-maxage":
			d.sMaxAge.set(argument)
		case "stale-while-revalidate":
			d.staleWhileRevalidate.set(argument)
		case "stale-if-error":
			d.staleIfError.set(argument)
		}
	}
	return d
}

// eachDirective calls yield with the directives of a Cache-Control header: their names in lower case,
// and their arguments without quotes.
func eachDirective(text string) func(yield func(name, argument string) bool) {
	return func(yield func(name, argument string) bool) {
		for text != "" {
			end := strings.IndexAny(text, ",=")
			if end < 0 {
				end = len(text)
			}
			name, argument := strings.ToLower(strings.Trim(text[:end], " \t")), ""
			if text = text[end:]; text != "" && text[0] == '=' {
				argument, text = cutArgument(strings.TrimLeft(text[1:], " \t"))
			}
			_, text, _ = strings.Cut(text, ",")
			if name != "" && !yield(name, argument) {
				return
			}
		}
	}
}

// cutArgument returns the token or the quoted string at the beginning of text, and what is after it.
func cutArgument(text string) (argument, rest string) {
	if text == "" || text[0] != '"' {
		end := strings.IndexByte(text, ',')
		if end < 0 {
			end = len(text)
		}
		return strings.Trim(text[:end], " \t"), text[end:]
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:]
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "" // its end is missing
}

// response is what matters of a response, apart from its body.
type response struct {
	header http.Header
	age    time.Duration // when it is judged: RFC 9111, 4.2.3
	now    time.Time     // when it came, for a response without Date
	varies bool          // another caller may have to get another one
	secret bool          // the request had the caller's own credentials
}

// verdict is what a response allows.
type verdict struct {
	ttl      time.Duration // in the sense of peercache.Item
	missing  time.Duration // the same, for a response that says that there is no such key
	store    bool          // it may be kept, to be asked about with its validator
	shortage bool          // the group's stale windows leave no time to it
}

// judge applies RFC 9111 as a shared cache does, or as a private one if the group is for one user.
func (c *Config) judge(r response) verdict {
	never := verdict{ttl: -1, missing: -1}
	d := parseDirectives(r.header["Cache-Control"])
	if c.IgnoreCacheControl {
		d = directives{}
	}
	switch {
	case d.noStore, d.private && !c.Private:
		return never
	case r.secret && !c.Private && !d.public && !d.sMaxAge.given && !d.mustRevalidate: // 3.5
		return never
	case slices.Contains(listed(r.header["Vary"]), "*"):
		return never
	}
	never.store = true
	lifetime, explicit := c.lifetime(d, r)
	switch {
	case r.varies, d.noCache:
		return never
	case c.IgnoreCacheControl, !explicit:
		return verdict{ttl: c.TTL, missing: c.TTL, store: true}
	}
	fresh := lifetime - r.age
	if c.MaxTTL > 0 {
		fresh = min(fresh, c.MaxTTL)
	}
	if fresh <= 0 {
		return never
	}
	v := verdict{ttl: c.withinWindows(fresh, d), missing: fresh, store: true}
	v.shortage = v.ttl < 0
	return v
}

// lifetime returns how long a response is fresh from its origin on (4.2.1), and reports whether it says so.
func (c *Config) lifetime(d directives, r response) (time.Duration, bool) {
	switch {
	case d.sMaxAge.given && !c.Private:
		return d.sMaxAge.d, true
	case d.maxAge.given:
		return d.maxAge.d, true
	}
	if expires := r.header["Expires"]; len(expires) > 0 {
		end, err := http.ParseTime(expires[0])
		if err != nil {
			return 0, true // as "0", which is how servers say that it has expired
		}
		from, err := http.ParseTime(r.header.Get("Date"))
		if err != nil {
			from = r.now
		}
		return end.Sub(from), true
	}
	if modified, err := http.ParseTime(r.header.Get("Last-Modified")); err == nil && c.Heuristic > 0 {
		from, err := http.ParseTime(r.header.Get("Date"))
		if err != nil {
			from = r.now
		}
		return time.Duration(c.Heuristic * float64(max(from.Sub(modified), 0))), true
	}
	return 0, false
}

// withinWindows returns the TTL with which a value that is fresh for so long is served for as long as
// its directives allow, by a group that serves values for a time after they have expired. The group
// has one window of each kind for all its values.
func (c *Config) withinWindows(fresh time.Duration, d directives) time.Duration {
	ttl := fresh
	for _, w := range []struct {
		group   time.Duration
		allowed seconds
	}{{c.StaleWhileRevalidate, d.staleWhileRevalidate}, {c.StaleIfError, d.staleIfError}} {
		allowed := w.group // the server leaves it to who configures the group
		switch {
		case d.mustRevalidate, d.proxyRevalidate && !c.Private:
			allowed = 0
		case w.allowed.given:
			allowed = w.allowed.d
		case d.sMaxAge.given && !c.Private:
			allowed = 0
		}
		if over := w.group - allowed; over > 0 {
			ttl = min(ttl, fresh-over)
		}
	}
	if ttl <= 0 {
		return -1
	}
	return ttl
}

// ageOf returns what the Age header says, or 0 (5.1).
func ageOf(h http.Header) time.Duration {
	text, _, _ := strings.Cut(h.Get("Age"), ",")
	age, _ := parseSeconds(strings.Trim(text, " \t"))
	return age
}

// listed returns the members of a header that is a list of names, in canonical form.
func listed(lines []string) (names []string) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names
}
