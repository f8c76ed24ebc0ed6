package peercache

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache/discovery"
)

// spellings are base URLs, and the one way to write each; "" where there is none.
var spellings = map[string]string{
	"http://a.example":                          "http://a.example",
	"http://a.example:80":                       "http://a.example",
	"http://a.example:":                         "http://a.example",
	"http://a.example:080":                      "http://a.example",
	"http://a.example:443":                      "http://a.example:443",
	"http://a.example:08001":                    "http://a.example:8001",
	"https://a.example:443":                     "https://a.example",
	"https://a.example:80":                      "https://a.example:80",
	"HTTP://A.Example:8001":                     "http://a.example:8001",
	"http://a.example.:8001":                    "http://a.example:8001",
	"http://a.example:8001/":                    "http://a.example:8001",
	"http://u:p@a.example:8001":                 "http://a.example:8001",
	"http://my_peer-1:8001":                     "http://my_peer-1:8001",
	"http://[::1]:8001":                         "http://[::1]:8001",
	"http://[0:0:0:0:0:0:0:1]:8001":             "http://[::1]:8001",
	"http://[FD00::000A]:80":                    "http://[fd00::a]",
	"http://[::ffff:10.0.0.1]:8001":             "http://10.0.0.1:8001",
	"http://[::ffff:a00:1]:8001":                "http://10.0.0.1:8001",
	"http://[fe80::1%25eth0]:8001":              "",
	"http://0.0.0.0:8001":                       "",
	"http://[::]:8001":                          "",
	"http://[::ffff:0.0.0.0]:8001":              "",
	"http://0:8001":                             "",
	"http://255.255.255.255:8001":               "",
	"http://[ff02::1]:8001":                     "",
	"http://127.1:8001":                         "",
	"http://10.0.0.010:8001":                    "",
	"http://0x7f000001:8001":                    "",
	"http://é.example:8001":                     "",
	"http://%C3%A9.example:8001":                "",
	"http://%61.example:8001":                   "",
	"http://a..example:8001":                    "",
	"http://.:8001":                             "",
	"http://a.example:0":                        "",
	"http://a,b:8001":                           "",
	"http://" + strings.Repeat("a.", 200) + "b": "",
	"http://" + strings.Repeat("a", 64) + ":1":  "",
}

// There is one way to write a base URL. All others are refused, as the name of this process
// and in a list, with an error that has that one.
func TestOneSpellingOfAPeer(t *testing.T) {
	const self = "http://self.example:8001"
	for name, want := range spellings {
		pool, err := NewHTTPPool(self, WithTransport(nowhere{}))
		if err != nil {
			t.Fatal(err)
		}
		asPeer := pool.Set(self, name)
		_, asSelf := NewHTTPPool(name, WithTransport(nowhere{}))
		pool.Shutdown(t.Context())
		for _, err := range []error{asPeer, asSelf} {
			switch {
			case want == name:
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			case err == nil:
				t.Errorf("%s: no error", name)
			case want != "" && !strings.Contains(err.Error(), "spelled "+want+","):
				t.Errorf("%s: %v, want an error with %s", name, err, want)
			case !strings.Contains(err.Error(), "want"):
				t.Errorf("%s: %v, want an error that says what would be right", name, err)
			}
		}
		if want != "" {
			if again, err := spell(want); again != want || err != nil {
				t.Errorf("%s is spelled %s, and that %s, %v", name, want, again, err)
			}
		}
	}
}

// Who forgets the scheme is told the whole base URL.
func TestSchemeIsMissing(t *testing.T) {
	for name, want := range map[string]string{
		"127.0.0.1:18101":    "http://127.0.0.1:18101",
		"a.example":          "http://a.example",
		"A.example:80":       "http://a.example",
		"[::1]:8001":         "http://[::1]:8001",
		"localhost:8001":     "http://localhost:8001",
		"a.example:99999":    "http://10.0.0.1:8001", // the example: nobody knows what is meant
		"file:///etc/passwd": "http://10.0.0.1:8001",
	} {
		pool, err := NewHTTPPool("http://self.example:8001", WithTransport(nowhere{}))
		if err != nil {
			t.Fatal(err)
		}
		asPeer := pool.Set("http://self.example:8001", name)
		pool.Shutdown(t.Context())
		_, asSelf := NewHTTPPool(name)
		for _, err := range []error{asPeer, asSelf} {
			if err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s: %v: want an error that ends with %s", name, err, want)
			}
		}
	}
}

// Who forgets it in what a discovery reads is told so by a warning, whichever it is.
func TestSchemeIsMissingInADiscovery(t *testing.T) {
	const forgotten, want = "10.0.0.2:8001", "http://10.0.0.2:8001"
	path := filepath.Join(t.TempDir(), "peers")
	if err := os.WriteFile(path, []byte(selfURL+"\n"+forgotten+" # rack 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func() (discovery.Discovery, error){
		"file":   func() (discovery.Discovery, error) { return discovery.File(path) },
		"static": func() (discovery.Discovery, error) { return discovery.Static(selfURL, forgotten) },
	} {
		for way, opts := range map[string][]PoolOption{"peercache": nil, "groupcache": {WithGroupcacheCompat()}} {
			t.Run(name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d, err := make()
					if err != nil {
						t.Fatal(err)
					}
					j := &joining{}
					opts := append([]PoolOption{WithTransport(nowhere{}), WithDiscovery(d), WithPoolLogger(slog.New(slog.NewTextHandler(&j.log, nil)))}, opts...)
					if j.HTTPPool, err = NewHTTPPool(selfURL, opts...); err != nil {
						t.Fatal(err)
					}
					defer j.Shutdown(t.Context())
					if err := j.Join(t.Context()); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if w := j.warnings(t); len(w) != 1 || !strings.Contains(w[0], forgotten) || !strings.Contains(w[0], "with its scheme: "+want) {
						t.Errorf("warnings %q: want one that has %s", w, want)
					}
				})
			})
		}
	}
}

// One process in a list is one peer, whatever ways there are to write it.
func TestSamePeerTwice(t *testing.T) {
	for _, self := range []string{"http://a.example:80", "http://a.example:", "http://a.example:080"} {
		p, err := NewHTTPPool(self)
		if err == nil || !strings.Contains(err.Error(), "spelled http://a.example,") {
			t.Errorf("NewHTTPPool(%q): %v, want an error with http://a.example", self, err)
		}
		if err := p.Set(self); err == nil { // by whoever does not look at the error
			t.Error("Set on no pool: no error")
		}
	}
	p, err := NewHTTPPool("http://a.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set("http://a.example:80", "http://a.example", "http://a.example:", "http://a.example:080"); err == nil {
		t.Errorf("Set takes one process for %d", 1+len(p.Peers()))
	}
	// Peers of golang/groupcache are named as they are, but not twice.
	p, err = NewHTTPPool("http://a.example:80", WithGroupcacheCompat())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set("http://a.example:80", "http://b.example:80"); err != nil {
		t.Error(err)
	}
	if err := p.Set("http://a.example:80", "http://b.example:80", "http://b.example"); err == nil || !strings.Contains(err.Error(), "are one") {
		t.Errorf("Set: %v, want an error that two of the list are one", err)
	}
}

// A password in a URL is no secret of the log.
func TestPasswordIsNotShown(t *testing.T) {
	for _, url := range []string{"http://u:secret@a.example", "http://u:secret@a.example:x", "http://u:secret@é"} {
		if _, err := NewHTTPPool(url); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: want an error without the password", err)
		}
	}
}

// In a view, another spelling is left out, with a warning that has the right one.
func TestSpellingsInAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t)
		j.join(t, selfURL)
		for range 2 {
			j.told.tell(selfURL, "http://10.0.0.1:08001", "http://b.example", "http://b.example:80")
			if got, want := j.members(), selfURL+" http://b.example"; got != want {
				t.Errorf("the view has %s: want %s", got, want)
			}
		}
		warnings := j.warnings(t)
		if len(warnings) != 2 || !strings.Contains(warnings[0], "spelled "+selfURL) || !strings.Contains(warnings[1], "spelled http://b.example,") {
			t.Errorf("warnings %q: want one for each spelling, with the right one", warnings)
		}
	})
}

// A process at an address that others cannot reach is warned of, once.
func TestLoopbackAmongOthers(t *testing.T) {
	const other = "http://10.0.0.2:8001"
	for _, c := range []struct {
		self  string
		peers []string
		says  string // "": nothing
	}{
		{"http://127.0.0.1:8001", []string{"http://127.0.0.1:8002", "http://localhost:8003", "http://[::1]:8004"}, ""},
		{"http://127.0.0.1:8001", []string{other}, "cannot reach this process"},
		{"http://localhost:8001", []string{other}, "cannot reach this process"},
		{"http://10.0.0.1:8001", []string{other, "http://b.example"}, ""},
		{"http://10.0.0.1:8001", []string{other, "http://127.0.0.1:8001"}, "each machine finds itself"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			p, err := NewHTTPPool(c.self, WithTransport(nowhere{}), WithPoolLogger(slog.New(slog.NewTextHandler(&log, nil))))
			if err != nil {
				t.Fatal(err)
			}
			for n := range 2 {
				if err := p.Set(slices.Concat([]string{c.self}, c.peers[n*(len(c.peers)-1):])...); err != nil {
					t.Error(err)
				}
			}
			p.Shutdown(t.Context())
			synctest.Wait() // breakers log in goroutines of their own
			said := 0
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "address of") || strings.Contains(line, "one of its machine") {
					said++
					if c.says == "" || !strings.Contains(line, c.says) {
						t.Errorf("%s among %q: %s", c.self, c.peers, line)
					}
				}
			}
			if want := min(len(c.says), 1); said != want {
				t.Errorf("%s among %q: %d warnings, want %d", c.self, c.peers, said, want)
			}
		})
	}
}
