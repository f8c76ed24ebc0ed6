package web

import (
	"context"
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

// A key reaches the server as it is, wherever it stands in the URL.
func TestWhereAKeyIs(t *testing.T) {
	const everything = "a b/c?d&e=f+g#h%20;i:j@k\\\"\x00\xffü.."
	for _, c := range []struct{ url, key, target string }{
		{"http://api.example/users/{key}", "Tom", "/users/Tom"},
		{"http://api.example/users/{key}", "a/b c", "/users/a%2Fb%20c"},
		{"http://api.example/{key}/of/{key}.json", "a?b", "/a%3Fb/of/a%3Fb.json"},
		{"http://api.example/x%2Fy/{key}", "a", "/x%2Fy/a"},
		{"http://api.example/files/{key...}", "a/b c/d?e", "/files/a/b%20c/d%3Fe"},
		{"http://api.example/get?id={key}&x=1", "a&b=c +/%", "/get?id=a%26b%3Dc%20%2B%2F%25&x=1"},
		{"http://api.example?id={key}", "a", "/?id=a"},
		{"http://api.example/a/{key}?key={key}", "x/y", "/a/x%2Fy?key=x%2Fy"},
		{"http://api.example:8080/{key}", "-._~", "/-._~"},
		{"http://api.example/{key}.json", "..", "/...json"},
		{"http://api.example/get?id={key}", "..", "/get?id=.."},
		{"http://api.example/{key}", "...", "/..."},

		{"http://api.example/users/{key}", "..", ""},
		{"http://api.example/users/{key}", ".", ""},
		{"http://api.example/users/.{key}", ".", ""},
		{"http://api.example/files/{key...}", "a/../../b", ""},
		{"http://api.example/files/{key...}", "..", ""},
		{"http://api.example/files/{key...}", "./a", ""},
	} {
		s := &server{answer: func(w http.ResponseWriter, r *http.Request) {}}
		_, err := newOrigin(t, s, Config{URL: c.url}).Get(t.Context(), c.key)
		r, n := s.last()
		switch {
		case c.target == "" && (!errors.Is(err, peercache.ErrNotFound) || n > 0):
			t.Errorf("%s, %q: %v and %d requests, want ErrNotFound and none", c.url, c.key, err, n)
		case c.target != "" && (err != nil || r.RequestURI != c.target):
			t.Errorf("%s, %q: %v, asked for %v, want %s", c.url, c.key, err, r, c.target)
		}
	}
	s := &server{answer: func(w http.ResponseWriter, r *http.Request) {}}
	if _, err := newOrigin(t, s, Config{URL: "http://api.example/{key}/?q={key}"}).Get(t.Context(), everything); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.last(); r.URL.Path != "/"+everything+"/" || r.URL.Query().Get("q") != everything {
		t.Errorf("the server has %q and %q, want %q", r.URL.Path, r.URL.Query().Get("q"), everything)
	}
}

// Whatever a key is, the server and the path before it are those of the configuration.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"Tom", "../x", "a/../../b", "//evil.example/", "?x=1", "#", "%2e%2e", "\r\nX: 1", "@evil.example", "{key}"} {
		f.Add(key)
	}
	var templates []*template
	for _, text := range []string{"http://api.example/a/b/{key}", "http://api.example/a/b/{key...}", "http://api.example/a/b/?q={key}&r=1"} {
		where, err := parseTemplate(text)
		if err != nil {
			f.Fatal(err)
		}
		templates = append(templates, where)
	}
	f.Fuzz(func(t *testing.T, key string) {
		for i, where := range templates {
			u, err := where.expand(key)
			if err != nil {
				continue
			}
			path := u.JoinPath().Path // without dots
			got := []string{strings.TrimPrefix(u.Path, "/a/b/"), strings.TrimPrefix(u.Path, "/a/b/"), u.Query().Get("q")}[i]
			if u.Host != "api.example" || u.Scheme != "http" || !strings.HasPrefix(path, "/a/b/") || got != key {
				t.Errorf("%q is at %s, path %q: the server takes the key for %q", key, u, path, got)
			}
			if i < 2 && u.RawQuery != "" || i == 2 && u.Query().Get("r") != "1" {
				t.Errorf("%q is at %s: it changes the query", key, u)
			}
		}
	})
}

func TestWhatIsSent(t *testing.T) {
	s := &server{answer: func(w http.ResponseWriter, r *http.Request) {}}
	o := newOrigin(t, s, Config{
		Headers: map[string]string{"authorization": "Bearer x", "Host": "other.example", "X-Tenant": "all"},
		Forward: []string{"x-tenant", "Accept-Language", "Traceparent"},
	})
	ctx := origin.WithHeaders(t.Context(), http.Header{
		"X-Tenant": {"one"}, "Accept-Language": {"de", "fr"}, "Authorization": {"Bearer y"}, "Cookie": {"z"},
	})
	if _, err := o.Get(ctx, "Tom"); err != nil {
		t.Fatal(err)
	}
	r, _ := s.last()
	want := http.Header{"Authorization": {"Bearer x"}, "X-Tenant": {"one"}, "Accept-Language": {"de", "fr"}, "User-Agent": {"peercache"}}
	if r.Method != "GET" || r.Host != "other.example" || fmt.Sprint(r.Header) != fmt.Sprint(want) {
		t.Errorf("%s %s %v, want %v", r.Method, r.Host, r.Header, want)
	}
	if _, err := o.Get(t.Context(), "Tom"); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.last(); r.Header.Get("X-Tenant") != "all" || r.Header.Get("Accept-Language") != "" {
		t.Errorf("%v: what another caller sent is sent", r.Header)
	}
}

// What the server answers, and what becomes of it.
func TestAnswers(t *testing.T) {
	const none = "\x00"
	for status, c := range map[int]struct {
		value    string // or none: an error
		requests int
		is       error
	}{
		200: {"630", 1, nil}, 203: {"630", 1, nil}, 204: {"", 1, nil},
		404: {none, 1, peercache.ErrNotFound}, 410: {none, 1, peercache.ErrNotFound},
		201: {none, 1, nil}, 206: {none, 1, nil}, 300: {none, 1, nil}, 302: {none, 1, nil},
		400: {none, 1, nil}, 401: {none, 1, nil}, 403: {none, 1, nil}, 451: {none, 1, nil}, 501: {none, 1, nil},
		429: {none, 3, nil}, 500: {none, 3, nil}, 502: {none, 3, nil}, 503: {none, 3, nil}, 504: {none, 3, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answer: func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				if status != 204 {
					fmt.Fprint(w, "630")
				}
			}}
			item, err := newOrigin(t, s, Config{}).Get(t.Context(), "Tom")
			_, n := s.last()
			switch {
			case c.value != none && (err != nil || string(item.Value) != c.value):
				t.Errorf("%d: %q, %v", status, item.Value, err)
			case c.value == none && (err == nil || item.Value != nil || errors.Is(err, peercache.ErrNotFound) != (c.is != nil) || !strings.Contains(err.Error(), fmt.Sprint(status))):
				t.Errorf("%d: %q, %v", status, item.Value, err)
			case n != c.requests:
				t.Errorf("%d: %d requests, want %d", status, n, c.requests)
			}
		})
	}
}

// A request that fails is repeated after a pause that doubles, or as the server says, and never past the timeout.
func TestRetries(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		config   Config
		fails    int // so many tries
		header   string
		requests int
		least    time.Duration // how long it takes
		most     time.Duration
		err      string
	}{
		"at once":                  {Config{}, 0, "", 1, 0, 0, ""},
		"second try":               {Config{}, 1, "", 2, 0, 100 * ms, ""},
		"third try":                {Config{}, 2, "", 3, 0, 300 * ms, ""},
		"not more":                 {Config{}, 9, "", 3, 0, 300 * ms, "(3 tries)"},
		"none":                     {Config{Retries: -1}, 9, "", 1, 0, 0, `"503 Service Unavailable"`},
		"many":                     {Config{Retries: 30, Timeout: time.Hour}, 30, "", 31, 10 * time.Second, 150 * time.Second, ""},
		"pauses end":               {Config{Retries: 1000, Timeout: time.Second}, 1000, "", 0, 0, time.Second, "503"},
		"Retry-After":              {Config{}, 1, "Retry-After: 2", 2, 2 * time.Second, 2*time.Second + 13*ms, ""},
		"Retry-After: 0":           {Config{}, 1, "Retry-After: 0", 2, 0, 13 * ms, ""},
		"Retry-After, a date":      {Config{}, 1, "Date: " + at(time.Hour) + "\nRetry-After: " + at(time.Hour+3*time.Second), 2, 3 * time.Second, 3*time.Second + 13*ms, ""},
		"Retry-After, past":        {Config{}, 1, "Date: " + at(time.Hour) + "\nRetry-After: " + at(0), 2, 0, 13 * ms, ""},
		"Retry-After, no date":     {Config{}, 1, "Retry-After: soon", 2, 0, 100 * ms, ""},
		"Retry-After, too late":    {Config{}, 1, "Retry-After: 11", 1, 0, 0, "503"},
		"the group's load timeout": {Config{Timeout: time.Hour}, 1, "Retry-After: 61", 1, 0, 0, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{}
				s.answer = func(w http.ResponseWriter, r *http.Request) {
					if _, n := s.last(); n <= c.fails {
						headers(w, c.header)
						http.Error(w, "", http.StatusServiceUnavailable)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute*3)
				if name == "the group's load timeout" {
					ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
				}
				defer cancel()
				start := time.Now()
				_, err := newOrigin(t, s, c.config).Get(ctx, "Tom")
				took := time.Since(start)
				_, n := s.last()
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				if c.requests > 0 && n != c.requests || took < c.least || took > c.most {
					t.Errorf("%d requests in %v, want %d in %v to %v", n, took, c.requests, c.least, c.most)
				}
			})
		})
	}
}

// broken fails as connections do.
type broken struct {
	err   error
	tries int
}

func (b *broken) RoundTrip(*http.Request) (*http.Response, error) { b.tries++; return nil, b.err }

func TestConnectionsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broken{err: errors.New("connection refused")}
		o, err := New(Config{URL: "http://api.example/{key}?token=secret", Transport: b})
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Get(t.Context(), "Tom")
		if !errors.Is(err, b.err) || b.tries != 3 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d tries, %v", b.tries, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b.tries, b.err = 0, context.Canceled
		if _, err := o.Get(ctx, "Tom"); !errors.Is(err, context.Canceled) || b.tries > 1 {
			t.Errorf("%d tries, %v", b.tries, err)
		}
	})
}

// A try that hangs is given up, and the next one may do better. All of them end in time.
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := 1
		s := &server{}
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			if _, n := s.last(); n <= hangs {
				<-r.Context().Done()
			}
		}
		start := time.Now()
		o := newOrigin(t, s, Config{TryTimeout: time.Second, Timeout: 5 * time.Second})
		if _, err := o.Get(t.Context(), "Tom"); err != nil || time.Since(start) > 1100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		hangs = 1000
		start = time.Now()
		if _, err := newOrigin(t, s, Config{Timeout: 5 * time.Second}).Get(t.Context(), "Tom"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v, want it after 5s", err, time.Since(start))
		}
	})
}

func TestNewRefuses(t *testing.T) {
	const url = "http://api.example/{key}"
	for want, c := range map[string]Config{
		"url is missing":                {},
		"want {key} in it":              {URL: "http://api.example/"},
		"want http:// or https:":        {URL: "ftp://api.example/{key}"},
		"want a host":                   {URL: "http:///{key}"},
		"in the path or the query only": {URL: "http://{key}.example/"},
		"want {key} in the path":        {URL: "http://api.example{key}"},
		"want braces only around":       {URL: "http://api.example/{id}"},
		"want {key} in the query":       {URL: "http://api.example/?q={key...}"},
		"no server would see":           {URL: "http://api.example/#{key}"},
		"which no error shows":          {URL: "http://u:p@api.example/{key}"},
		"invalid port":                  {URL: "http://api.example:x/{key}"},
		"no name of a header":           {URL: url, Headers: map[string]string{"a b": ""}},
		"has control characters":        {URL: url, Headers: map[string]string{"A": "x\r\ny: z"}},
		"headers has Range: want others, a value is the whole": {URL: url, Headers: map[string]string{"Range": "bytes=0-1"}},
		"forward has Connection":                               {URL: url, Forward: []string{"Connection"}},
		"forward has Host":                                     {URL: url, Forward: []string{"host"}},
		"want forward_credentials: true":                       {URL: url, Forward: []string{"cookie"}},
		"forward: \"\" is no name":                             {URL: url, Forward: []string{""}},
		"timeout is -1s":                                       {URL: url, Timeout: -time.Second},
		"max_ttl is -1s":                                       {URL: url, MaxTTL: -time.Second},
		"heuristic is 2":                                       {URL: url, Heuristic: 2},
		"max_bytes is -1":                                      {URL: url, MaxBytes: -1},
		"connections is -1":                                    {URL: url, Connections: -1},
		"excludes heuristic":                                   {URL: url, IgnoreCacheControl: true, MaxTTL: 1},
		"redirect_hosts has \"http://a\"":                      {URL: url, RedirectHosts: []string{"http://a"}},
		"tls: ca: ":                                            {URL: url, TLS: origin.TLS{CA: "nowhere.pem"}},
		"has no certificate":                                   {URL: url, TLS: origin.TLS{CA: "get_test.go"}},
		"want cert and key":                                    {URL: url, TLS: origin.TLS{Cert: "a"}},
		"tls: cert: ":                                          {URL: url, TLS: origin.TLS{Cert: "nowhere.pem", Key: "nowhere.pem"}},
		"Transport excludes tls":                               {URL: url, Transport: &broken{}, TLS: origin.TLS{Insecure: true}},
	} {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "http: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}

func TestFactory(t *testing.T) {
	var f origin.Factory = Factory
	env := origin.Env{StaleIfError: time.Hour, StaleWhileRevalidate: time.Minute}
	getter, err := f(t.Context(), env, func(section any) error {
		section.(*Config).URL = "http://api.example/{key}"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if o := getter.(*Origin); o.StaleIfError != time.Hour || o.StaleWhileRevalidate != time.Minute || o.Close() != nil {
		t.Errorf("%+v: the group's windows are not known", o.Config)
	}
	for said, want := range map[int]int{0: 0, 5: 5} { // in a file, zero means none
		getter, err := f(t.Context(), env, func(section any) error {
			c := section.(*Config)
			c.URL, c.Retries, c.Redirects, c.RevalidateBytes = "http://api.example/{key}", said, said, origin.Bytes(said)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if o := getter.(*Origin); o.Retries != want || max(o.Redirects, 0) != want || max(o.RevalidateBytes, 0) != origin.Bytes(want) {
			t.Errorf("with %d of each: %d retries, %d redirects, %d bytes", said, o.Retries, o.Redirects, o.RevalidateBytes)
		}
	}
	if o := getter.(*Origin); o.Retries != DefaultRetries {
		t.Errorf("%d retries when none are said, want %d", o.Retries, DefaultRetries)
	}
	wrong := errors.New("line 3: unknown key")
	if _, err := f(t.Context(), env, func(any) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("%v, want what decode said", err)
	}
	if getter, err := f(t.Context(), env, func(any) error { return nil }); err == nil || getter != nil {
		t.Errorf("%v, %v: want an error", getter, err)
	}
}
