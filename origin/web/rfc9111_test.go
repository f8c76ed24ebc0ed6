package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

const (
	notKept = time.Duration(-1)
	groups  = time.Duration(0) // the TTL of the group
)

// at is the Date header of a time so long after the beginning of a bubble of synctest.
func at(d time.Duration) string {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat)
}

// TestRFC9111 checks what becomes of the headers of an answer. Each case names the section.
func TestRFC9111(t *testing.T) {
	const second, minute, hour = time.Second, time.Minute, time.Hour
	private := Config{Private: true}
	for name, c := range map[string]struct {
		headers  string
		config   Config
		ttl      time.Duration
		asksNext bool // the next load has a validator
	}{
		"1.2.2 a number that is too large is the largest":      {"Cache-Control: max-age=99999999999999999999", Config{}, mostSeconds * second, false},
		"3 an answer that says nothing has the configured TTL": {"", Config{TTL: hour}, hour, false},
		"3 an answer that says nothing has the group's TTL":    {"", Config{}, groups, false},
		"3 an answer that says nothing may be kept out":        {"", Config{TTL: -1}, notKept, false},
		"3.5 static credentials are those of the group":        {"Cache-Control: max-age=60", Config{Headers: map[string]string{"Authorization": "Bearer x"}}, minute, false},
		"4.1 Vary: * matches nothing":                          {"Cache-Control: max-age=60\nVary: *\nETag: \"1\"", Config{}, notKept, false},
		"4.1 * in a list":                                      {"Cache-Control: max-age=60\nVary: Accept, *", Config{}, notKept, false},
		"4.1 headers that each request has":                    {"Cache-Control: max-age=60\nVary: Accept-Encoding, Accept", Config{}, minute, false},
		"4.1 a header that is forwarded":                       {"Cache-Control: max-age=60\nVary: accept, accept-language\nETag: \"1\"", Config{Forward: []string{"Accept-Language"}}, notKept, true},
		"4.2.1 s-maxage goes before max-age":                   {"Cache-Control: max-age=60, s-maxage=3600", Config{}, hour, false},
		"4.2.1 max-age goes before Expires":                    {"Cache-Control: max-age=60\nDate: " + at(0) + "\nExpires: " + at(hour), Config{}, minute, false},
		"4.2.1 Expires counts from Date":                       {"Date: " + at(hour) + "\nExpires: " + at(2*hour), Config{}, hour, false},
		"4.2.1 of several max-ages the first":                  {"Cache-Control: max-age=60\nCache-Control: max-age=3600", Config{}, minute, false},
		"4.2.1 a max-age that is no number is stale":           {"Cache-Control: max-age=1.5", Config{}, notKept, false},
		"4.2.1 a negative max-age is stale":                    {"Cache-Control: max-age=-1", Config{}, notKept, false},
		"4.2.1 a max-age without a number is stale":            {"Cache-Control: max-age", Config{}, notKept, false},
		"4.2.2 no heuristic by default":                        {"Date: " + at(0) + "\nLast-Modified: " + at(-hour), Config{}, groups, true},
		"4.2.2 a heuristic if configured":                      {"Date: " + at(0) + "\nLast-Modified: " + at(-hour), Config{Heuristic: 0.1}, 6 * minute, true},
		"4.2.2 no heuristic against what it says":              {"Cache-Control: max-age=1\nDate: " + at(0) + "\nLast-Modified: " + at(-hour), Config{Heuristic: 0.1}, second, true},
		"4.2.2 a heuristic for a file of the future":           {"Date: " + at(0) + "\nLast-Modified: " + at(hour), Config{Heuristic: 0.1}, notKept, true},
		"4.2.3 Age is taken off":                               {"Cache-Control: max-age=60\nAge: 10", Config{}, 50 * second, false},
		"4.2.3 older than fresh":                               {"Cache-Control: max-age=60\nAge: 61", Config{}, notKept, false},
		"4.2.3 as old as fresh":                                {"Cache-Control: max-age=60\nAge: 60", Config{}, notKept, false},
		"4.2.3 the server's clock is not compared":             {"Cache-Control: max-age=60\nDate: " + at(-hour), Config{}, minute, false},
		"4.2.3 Age counts for Expires":                         {"Date: " + at(0) + "\nExpires: " + at(minute) + "\nAge: 10", Config{}, 50 * second, false},
		"4.2.4 s-maxage forbids stale answers":                 {"Cache-Control: s-maxage=60", Config{StaleIfError: 10 * second}, 50 * second, false},
		"4.2.4 without a word the group's windows hold":        {"Cache-Control: max-age=60", Config{StaleIfError: hour, StaleWhileRevalidate: minute}, minute, false},
		"5.1 an Age that is no number":                         {"Cache-Control: max-age=60\nAge: ten", Config{}, minute, false},
		"5.1 a negative Age":                                   {"Cache-Control: max-age=60\nAge: -10", Config{}, minute, false},
		"5.1 of a list of Ages the first":                      {"Cache-Control: max-age=60\nAge: 10, 20", Config{}, 50 * second, false},
		"5.2 quoted arguments":                                 {`Cache-Control: max-age="60"`, Config{}, minute, false},
		"5.2 names in any case":                                {"Cache-Control: MAX-AGE=60", Config{}, minute, false},
		"5.2 a comma in quotes is none":                        {`Cache-Control: ext="a, no-store", max-age=60`, Config{}, minute, false},
		"5.2 a quote in quotes ends nothing":                   {`Cache-Control: ext="a\", no-store", max-age=60`, Config{}, minute, false},
		"5.2 spaces and empty members":                         {"Cache-Control: , ,max-age=60 ,, ", Config{}, minute, false},
		"5.2 several lines are one list":                       {"Cache-Control: max-age=60\nCache-Control: no-store", Config{}, notKept, false},
		"5.2.2.1 max-age":                                      {"Cache-Control: max-age=60", Config{}, minute, false},
		"5.2.2.1 max-age=0":                                    {"Cache-Control: max-age=0\nETag: \"1\"", Config{}, notKept, true},
		"5.2.2.2 must-revalidate ends in time":                 {"Cache-Control: max-age=60, must-revalidate", Config{StaleIfError: 20 * second, StaleWhileRevalidate: 10 * second}, 40 * second, false},
		"5.2.2.2 must-revalidate within long windows":          {"Cache-Control: max-age=60, must-revalidate\nETag: \"1\"", Config{StaleIfError: hour}, notKept, true},
		"5.2.2.2 must-revalidate goes before windows":          {"Cache-Control: max-age=60, must-revalidate, stale-if-error=3600", Config{StaleIfError: 20 * second}, 40 * second, false},
		"5.2.2.4 no-cache is asked about each time":            {"Cache-Control: no-cache, max-age=60\nETag: \"1\"", Config{}, notKept, true},
		"5.2.2.4 no-cache for a header":                        {`Cache-Control: no-cache="Set-Cookie", max-age=60`, Config{}, minute, false},
		"5.2.2.5 no-store is kept nowhere":                     {"Cache-Control: no-store, max-age=60\nETag: \"1\"", Config{}, notKept, false},
		"5.2.2.7 private is kept nowhere":                      {"Cache-Control: private, max-age=60\nETag: \"1\"", Config{}, notKept, false},
		"5.2.2.7 private for one user":                         {"Cache-Control: private, max-age=60\nETag: \"1\"", private, minute, true},
		"5.2.2.7 private for a header":                         {`Cache-Control: private="Set-Cookie", max-age=60`, Config{}, minute, false},
		"5.2.2.8 proxy-revalidate":                             {"Cache-Control: max-age=60, proxy-revalidate", Config{StaleIfError: 20 * second}, 40 * second, false},
		"5.2.2.8 proxy-revalidate for one user":                {"Cache-Control: max-age=60, proxy-revalidate", Config{Private: true, StaleIfError: 20 * second}, minute, false},
		"5.2.2.9 public":                                       {"Cache-Control: public, max-age=60", Config{}, minute, false},
		"5.2.2.10 s-maxage for one user":                       {"Cache-Control: max-age=60, s-maxage=3600", private, minute, false},
		"5.3 Expires that is no date":                          {"Expires: 0\nETag: \"1\"", Config{}, notKept, true},
		"5.3 Expires of the past":                              {"Date: " + at(0) + "\nExpires: " + at(-minute), Config{}, notKept, false},
		"5.3 Expires without Date":                             {"Expires: " + at(hour), Config{}, hour, false},

		"RFC 5861, 3 stale-while-revalidate bounds the window":  {"Cache-Control: max-age=60, stale-while-revalidate=5", Config{StaleWhileRevalidate: 15 * second}, 50 * second, false},
		"RFC 5861, 3 stale-while-revalidate beyond the window":  {"Cache-Control: max-age=60, stale-while-revalidate=500", Config{StaleWhileRevalidate: 15 * second}, minute, false},
		"RFC 5861, 3 stale-while-revalidate without a window":   {"Cache-Control: max-age=60, stale-while-revalidate=500", Config{}, minute, false},
		"RFC 5861, 4 stale-if-error bounds the window":          {"Cache-Control: max-age=60, stale-if-error=5", Config{StaleIfError: 15 * second}, 50 * second, false},
		"RFC 5861, 4 stale-if-error with s-maxage":              {"Cache-Control: s-maxage=60, stale-if-error=15", Config{StaleIfError: 15 * second}, minute, false},
		"RFC 5861, 4 stale-if-error says nothing of the other":  {"Cache-Control: max-age=60, stale-if-error=5", Config{StaleIfError: 5 * second, StaleWhileRevalidate: 50 * second}, minute, false},
		"RFC 9110, 13.1.3 Last-Modified is a validator as well": {"Cache-Control: max-age=60\nLast-Modified: " + at(-hour), Config{}, minute, true},

		"by configuration: at most max_ttl":                       {"Cache-Control: max-age=3600", Config{MaxTTL: minute}, minute, false},
		"by configuration: cache-control is ignored":              {"Cache-Control: no-store\nETag: \"1\"", Config{TTL: minute, IgnoreCacheControl: true, StaleIfError: hour}, minute, true},
		"by configuration: cache-control is ignored, Expires too": {"Expires: 0", Config{IgnoreCacheControl: true}, groups, false},
		"by configuration: ignored, but for Vary":                 {"Vary: *", Config{TTL: minute, IgnoreCacheControl: true}, notKept, false},
		"by configuration: nothing is kept to be asked about":     {"Cache-Control: max-age=60\nETag: \"1\"", Config{RevalidateBytes: -1}, minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answer: func(w http.ResponseWriter, r *http.Request) {
					headers(w, c.headers)
					fmt.Fprint(w, "630")
				}}
				o := newOrigin(t, s, c.config)
				for range 2 {
					item, err := o.Get(t.Context(), "Tom")
					if err != nil || string(item.Value) != "630" || item.TTL != c.ttl {
						t.Errorf("%q for %v, %v, want it for %v", item.Value, item.TTL, err, c.ttl)
					}
				}
				r, n := s.last()
				if n != 2 {
					t.Errorf("%d requests for 2 loads", n)
				}
				if asks := r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since") != ""; asks != c.asksNext {
					t.Errorf("the second request has %v, want a validator: %v", r.Header, c.asksNext)
				}
			})
		})
	}
}

// TestRFC9111Section423Delay checks that an answer ages while it is on its way.
func TestRFC9111Section423Delay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(3 * time.Second)
			headers(w, "Cache-Control: max-age=60\nAge: 10")
		}}
		if item, err := newOrigin(t, s, Config{}).Get(t.Context(), "Tom"); err != nil || item.TTL != 47*time.Second {
			t.Errorf("%v, %v, want 47s", item.TTL, err)
		}
	})
}

// TestRFC9111Section35 checks what is kept of answers to the caller's own credentials.
func TestRFC9111Section35(t *testing.T) {
	for control, want := range map[string]time.Duration{
		"max-age=60":                  notKept,
		"":                            notKept,
		"max-age=60, public":          time.Minute,
		"s-maxage=60":                 time.Minute,
		"max-age=60, must-revalidate": time.Minute,
	} {
		for _, name := range []string{"Authorization", "Cookie"} {
			s := &server{answer: func(w http.ResponseWriter, r *http.Request) {
				headers(w, "ETag: \"1\"\nCache-Control: "+control)
				fmt.Fprint(w, r.Header.Get(name))
			}}
			synctest.Test(t, func(t *testing.T) {
				o := newOrigin(t, s, Config{Forward: []string{name}, ForwardCredentials: true})
				ctx := origin.WithHeaders(t.Context(), http.Header{name: {"Tom's"}})
				item, err := o.Get(ctx, "Tom")
				if err != nil || string(item.Value) != "Tom's" || item.TTL != want {
					t.Errorf("%s, %q: %q for %v, %v, want it for %v", name, control, item.Value, item.TTL, err, want)
				}
				_, _ = o.Get(ctx, "Tom")
				if r, _ := s.last(); (r.Header.Get("If-None-Match") != "") != (want > 0) {
					t.Errorf("%s, %q: the next request has %v", name, control, r.Header)
				}
				if item, _ := o.Get(t.Context(), "Tom"); item.TTL == notKept && control == "max-age=60" {
					t.Errorf("%s, %q: an answer to a request without is not kept", name, control)
				}
			})
		}
	}
}

// edition is a server with one answer that has validators.
type edition struct {
	server
	tag, modified, control, body string
	confirms                     string // headers of a 304 besides
}

func newEdition() *edition {
	e := &edition{tag: `"1"`, modified: at(-time.Hour), control: "max-age=60", body: strings.Repeat("630", 1000)}
	e.answer = func(w http.ResponseWriter, r *http.Request) {
		if e.control != "" {
			w.Header().Set("Cache-Control", e.control)
		}
		if e.tag != "" {
			w.Header().Set("Etag", e.tag)
		}
		if e.modified != "" {
			w.Header().Set("Last-Modified", e.modified)
		}
		if tag := r.Header.Get("If-None-Match"); tag != "" && tag == e.tag || tag == "" && e.modified != "" && r.Header.Get("If-Modified-Since") == e.modified {
			headers(w, e.confirms)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, e.body)
	}
	return e
}

// brings loads a key, and checks what that took.
func (e *edition) brings(t *testing.T, o *Origin, want string, ttl time.Duration, bytes int) {
	t.Helper()
	before := e.sent
	item, err := o.Get(t.Context(), "Tom")
	if err != nil || string(item.Value) != want || item.TTL != ttl {
		t.Errorf("%d bytes for %v, %v, want %d for %v", len(item.Value), item.TTL, err, len(want), ttl)
	}
	if n := e.sent - before; n != bytes {
		t.Errorf("the server sent %d bytes, want %d", n, bytes)
	}
}

// TestRFC9111Section43ARevalidationSendsNoBody checks that a value that has not changed is not sent again, by either
// validator, and that one that has is.
func TestRFC9111Section43ARevalidationSendsNoBody(t *testing.T) {
	for name, change := range map[string]func(e *edition){
		"both":          func(e *edition) {},
		"ETag":          func(e *edition) { e.modified = "" },
		"weak ETag":     func(e *edition) { e.modified, e.tag = "", `W/"1"` },
		"Last-Modified": func(e *edition) { e.tag = "" },
		"no-cache":      func(e *edition) { e.control = "no-cache" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEdition()
				change(e)
				ttl := time.Minute
				if e.control == "no-cache" {
					ttl = notKept
				}
				o := newOrigin(t, &e.server, Config{})
				e.brings(t, o, e.body, ttl, len(e.body))
				for range 3 {
					e.brings(t, o, e.body, ttl, 0)
				}
				r, n := e.last()
				if n != 4 || e.tag != r.Header.Get("If-None-Match") || e.modified != r.Header.Get("If-Modified-Since") {
					t.Errorf("%d requests, the last with %v", n, r.Header)
				}
				e.body = "631"
				if e.tag != "" {
					e.tag = `"2"`
				}
				if e.modified != "" {
					e.modified = at(0)
				}
				e.brings(t, o, "631", ttl, 3)
				e.brings(t, o, "631", ttl, 0)
			})
		})
	}
}

// TestRFC9111Section32 checks that a 304 updates the headers that are kept.
func TestRFC9111Section32(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdition()
		e.control = ""
		o := newOrigin(t, &e.server, Config{})
		e.confirms = "Age: 10"
		base := e.answer
		first := true
		e.answer = func(w http.ResponseWriter, r *http.Request) {
			if first {
				headers(w, "Cache-Control: max-age=60\nAge: 30\nDate: "+at(0))
			}
			first = false
			base(w, r)
		}
		e.brings(t, o, e.body, 30*time.Second, len(e.body))
		e.brings(t, o, e.body, 50*time.Second, 0) // the Age of the 304, the max-age of before
		e.confirms = ""
		e.brings(t, o, e.body, time.Minute, 0) // a 304 without Age is from the server itself
		e.confirms = "Cache-Control: max-age=5"
		e.brings(t, o, e.body, 5*time.Second, 0)
		e.confirms = ""
		e.brings(t, o, e.body, 5*time.Second, 0)
		e.confirms = "Cache-Control: no-store"
		e.brings(t, o, e.body, notKept, 0)
		e.brings(t, o, e.body, groups, len(e.body)) // it was forgotten
	})
}

// TestRFC9111Section434 checks that a 304 about something else is not believed.
func TestRFC9111Section434(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				headers(w, `ETag: "2"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			headers(w, `ETag: "1"`)
			_, n := s.last()
			fmt.Fprint(w, n)
		}
		o := newOrigin(t, s, Config{})
		for _, want := range []string{"1", "3", "5"} {
			if item, err := o.Get(t.Context(), "Tom"); err != nil || string(item.Value) != want {
				t.Errorf("%q, %v, want %s: the answer to a request without a validator", item.Value, err, want)
			}
		}
		// A server that answers so without having been asked has no value.
		s.answer = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) }
		if _, err := newOrigin(t, s, Config{}).Get(t.Context(), "Tom"); err == nil || !strings.Contains(err.Error(), "304") {
			t.Errorf("%v, want an error", err)
		}
	})
}

// TestRFC9111Section433 checks that a server that fails in a revalidation does not cost what is kept.
func TestRFC9111Section433(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdition()
		o := newOrigin(t, &e.server, Config{Retries: -1})
		e.brings(t, o, e.body, time.Minute, len(e.body))
		works := e.answer
		e.answer = func(w http.ResponseWriter, r *http.Request) { http.Error(w, "", http.StatusInternalServerError) }
		if _, err := o.Get(t.Context(), "Tom"); err == nil {
			t.Error("no error: a value that is asked about must not be served if the server fails")
		}
		e.answer = works
		e.brings(t, o, e.body, time.Minute, 0)
	})
}

// TestRFC9111Section41 checks that a variant for one caller is not offered for another.
func TestRFC9111Section41(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(w http.ResponseWriter, r *http.Request) {
			language := r.Header.Get("Accept-Language")
			headers(w, "Cache-Control: max-age=60\nVary: Accept-Language\nETag: \""+language+"\"")
			if r.Header.Get("If-None-Match") == `"`+language+`"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, language)
		}}
		o := newOrigin(t, s, Config{Forward: []string{"accept-language"}})
		for i, c := range []struct{ language, tag string }{{"de", ""}, {"de", `"de"`}, {"fr", ""}, {"fr", `"fr"`}, {"de", ""}} {
			item, err := o.Get(origin.WithHeaders(t.Context(), http.Header{"Accept-Language": {c.language}}), "Tom")
			if err != nil || string(item.Value) != c.language || item.TTL != notKept {
				t.Errorf("%d: %q for %v, %v", i, item.Value, item.TTL, err)
			}
			if r, _ := s.last(); r.Header.Get("If-None-Match") != c.tag {
				t.Errorf("%d: If-None-Match is %s, want %s", i, r.Header.Get("If-None-Match"), c.tag)
			}
		}
	})
}

// TestRFC9111Section4 checks, with a group, that a value is served while it is fresh and not after that, that a Remove has
// the server asked at once, and that 404 and 410 are remembered for as long as they are fresh.
func TestRFC9111Section4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEdition()
		o := newOrigin(t, &e.server, Config{})
		group, err := peercache.NewGroup("users", 1<<20, o, peercache.WithTTL(time.Hour), peercache.WithNegativeTTL(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		asked := func(want int) {
			t.Helper()
			view, err := group.Get(t.Context(), "Tom")
			if err != nil || view.String() != e.body {
				t.Errorf("%d bytes, %v", view.Len(), err)
			}
			if _, n := e.last(); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		}
		asked(1)
		time.Sleep(59 * time.Second)
		asked(1)
		time.Sleep(2 * time.Second)
		asked(2)
		if err := group.Remove(t.Context(), "Tom"); err != nil {
			t.Fatal(err)
		}
		e.body, e.tag = "631", `"2"`
		asked(3)

		for _, status := range []int{http.StatusNotFound, http.StatusGone} {
			for control, remembered := range map[string]time.Duration{"max-age=60": time.Minute, "max-age=7200": time.Hour, "": time.Hour, "no-store": 0} {
				e.answer = func(w http.ResponseWriter, r *http.Request) {
					headers(w, "Cache-Control: "+control)
					w.WriteHeader(status)
				}
				if err := group.Clear(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, before := e.last()
				gone := func(want int) {
					t.Helper()
					if _, err := group.Get(t.Context(), "Tom"); !errors.Is(err, peercache.ErrNotFound) {
						t.Errorf("%v, want ErrNotFound", err)
					}
					if _, n := e.last(); n-before != want {
						t.Errorf("%d, %q: %d requests, want %d", status, control, n-before, want)
					}
				}
				gone(1)
				if remembered > 0 {
					time.Sleep(remembered - time.Second)
					gone(1)
					time.Sleep(2 * time.Second)
				}
				gone(2)
			}
		}
	})
}

// TestRFC9111Section424 checks, with a group, that no value is served for longer than the server allows, and that within that
// the group's window holds.
func TestRFC9111Section424(t *testing.T) {
	for control, until := range map[string]time.Duration{
		"max-age=60":                    70 * time.Second,
		"max-age=60, stale-if-error=5":  65 * time.Second,
		"max-age=60, stale-if-error=90": 70 * time.Second,
		"max-age=60, must-revalidate":   60 * time.Second,
		"s-maxage=60":                   60 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			e := newEdition()
			e.control = control
			o := newOrigin(t, &e.server, Config{Retries: -1, StaleIfError: 10 * time.Second})
			group, err := peercache.NewGroup("users", 1<<20, o, peercache.WithStaleIfError(10*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := group.Get(t.Context(), "Tom"); err != nil {
				t.Fatal(err)
			}
			e.answer = func(w http.ResponseWriter, r *http.Request) { http.Error(w, "", http.StatusBadGateway) }
			time.Sleep(until - time.Second)
			if _, err := group.Get(t.Context(), "Tom"); err != nil {
				t.Errorf("%s: %v a second before its end", control, err)
			}
			time.Sleep(time.Second)
			if _, err := group.Get(t.Context(), "Tom"); err == nil {
				t.Errorf("%s: it is served for longer than allowed", control)
			}
		})
	}
}
