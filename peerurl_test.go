package peercache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
)

// spellings returns base URLs, and the one way to write each; "" where there is none.
func spellings(t *testing.T) map[string]string {
	t.Helper()
	table, err := os.ReadFile("internal/peerurl/testdata/spellings.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(table)) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[name] = want
	}
	return all
}

// There is one way to write a base URL. All others are refused, as the name of this process
// and in a list, with an error that has that one.
func TestOneSpellingOfAPeer(t *testing.T) {
	const self = "http://self.example:8001"
	for name, want := range spellings(t) {
		pool, err := peercache.NewHTTPPool(self, peercache.WithInsecure(), peercache.WithTransport(nowhere{}))
		if err != nil {
			t.Fatal(err)
		}
		asPeer := pool.Set(self, name)
		_, asSelf := peercache.NewHTTPPool(name, peercache.WithInsecure(), peercache.WithTransport(nowhere{}))
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
		pool, err := peercache.NewHTTPPool("http://self.example:8001", peercache.WithInsecure(), peercache.WithTransport(nowhere{}))
		if err != nil {
			t.Fatal(err)
		}
		asPeer := pool.Set("http://self.example:8001", name)
		pool.Shutdown(t.Context())
		_, asSelf := peercache.NewHTTPPool(name)
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
		for way, opts := range map[string][]peercache.PoolOption{"peercache": nil, "groupcache": {peercache.WithGroupcacheCompat()}} {
			t.Run(name+"/"+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d, err := make()
					if err != nil {
						t.Fatal(err)
					}
					var log warnings
					opts := append([]peercache.PoolOption{peercache.WithInsecure(), peercache.WithTransport(nowhere{}), peercache.WithDiscovery(d), peercache.WithPoolLogger(log.logger())}, opts...)
					pool, err := peercache.NewHTTPPool(selfURL, opts...)
					if err != nil {
						t.Fatal(err)
					}
					defer pool.Shutdown(t.Context())
					if err := pool.Join(t.Context()); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if w := log.with("member"); len(w) != 1 || !strings.Contains(w[0], forgotten) || !strings.Contains(w[0], "with its scheme: "+want) {
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
		p, err := peercache.NewHTTPPool(self)
		if err == nil || !strings.Contains(err.Error(), "spelled http://a.example,") {
			t.Errorf("NewHTTPPool(%q): %v, want an error with http://a.example", self, err)
		}
		if err := p.Set(self); err == nil { // by whoever does not look at the error
			t.Error("Set on no pool: no error")
		}
	}
	p, err := peercache.NewHTTPPool("http://a.example", peercache.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set("http://a.example:80", "http://a.example", "http://a.example:", "http://a.example:080"); err == nil {
		t.Errorf("Set takes one process for %d", 1+len(p.Peers()))
	}
	// Peers of golang/groupcache are named as they are, but not twice.
	p, err = peercache.NewHTTPPool("http://a.example:80", peercache.WithInsecure(), peercache.WithGroupcacheCompat())
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
		if _, err := peercache.NewHTTPPool(url); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: want an error without the password", err)
		}
	}
}
