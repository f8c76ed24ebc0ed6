package discovery_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/discovery"
)

const (
	urlA = "http://10.0.0.1:8001"
	urlB = "http://10.0.0.2:8001"
)

// write replaces a file in the way that is asked for.
func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.WriteFile(path+".next", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".next", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// watchFile watches a file with a text.
func watchFile(t *testing.T, text string) (w *watcher, path string, log *logged) {
	t.Helper()
	path, log = filepath.Join(t.TempDir(), "peers"), &logged{}
	d, err := discovery.File(path, discovery.WithLogger(log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, text)
	return watch(t, d, urlA), path, log
}

func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path, log := watchFile(t, "# nobody yet\n\n")
		w.after(t, 0)
		log.checkWarnings(t, 1, "nobody is named")

		write(t, path, "# the peers\n\n  "+urlA+"  # rack 1\r\n"+urlB) // no newline at the end
		w.after(t, discovery.DefaultFilePoll, urlA+" "+urlB)
		if text := log.take(); !strings.Contains(text, "can be read again") {
			t.Errorf("logged %q: want that the peers can be read again", text)
		}
		write(t, path, urlB+"\n"+urlA+"\n"+urlA+"\n")
		w.after(t, time.Minute) // the same set

		// Same size, same time, another content.
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, urlA+"\n"+urlA+"\n"+urlA+"\n")
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		w.after(t, discovery.DefaultFilePoll, urlA)
		write(t, path, "rubbish\n"+urlB+"\n") // not for us to judge
		w.after(t, discovery.DefaultFilePoll, urlB+" rubbish")
		log.checkWarnings(t, 0, "")
		if err := w.stop(); err != nil {
			t.Errorf("Run: error %v: want none", err)
		}
	})
}

// What can go wrong with a file that was good. The last list stands, and that is
// said once.
func TestFileGoesBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, path, log := watchFile(t, urlA)
		w.after(t, 0, urlA)
		for _, bad := range []struct {
			what string
			make func() error
		}{
			{"nobody is named", func() error { return os.Truncate(path, 0) }},
			{"no such file", func() error { return os.Remove(path) }},
			{"regular file", func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }},
			{"want a list of at most", func() error { return os.Truncate(path, 1<<30) }},
		} {
			if err := bad.make(); err != nil {
				t.Fatal(err)
			}
			w.after(t, 10*discovery.DefaultFilePoll)
			log.checkWarnings(t, 1, bad.what)
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, urlA)
			w.after(t, discovery.DefaultFilePoll) // no change
			log.checkWarnings(t, 0, "")
		}
	})
}

// A path that is wrong from the beginning is found out at once, and so is what
// nobody can have meant.
func TestFileErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for path, want := range map[string]string{missing: missing, t.TempDir(): "want a regular file"} {
		d, err := discovery.File(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Run(t.Context(), urlA, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run: error %v: want one with %q", err, want)
		}
	}
	for want, make := range map[string]func() (discovery.Discovery, error){
		"an empty path":       func() (discovery.Discovery, error) { return discovery.File("") },
		"WithPoll(0s): want":  func() (discovery.Discovery, error) { return discovery.File("x", discovery.WithPoll(0)) },
		"WithPoll(-1s): want": func() (discovery.Discovery, error) { return discovery.File("x", discovery.WithPoll(-time.Second)) },
		"WithResolver is for DNS": func() (discovery.Discovery, error) {
			return discovery.File("x", discovery.WithResolver(&net.Resolver{}))
		},
		"WithKeepMissing is for DNS": func() (discovery.Discovery, error) {
			return discovery.File("x", discovery.WithKeepMissing(time.Minute))
		},
		"WithKeepMissing(-1ns): want": func() (discovery.Discovery, error) {
			return discovery.DNS("http://x:1", discovery.WithKeepMissing(-1))
		},
		"WithKeepMissing(2h0m0s): want": func() (discovery.Discovery, error) {
			return discovery.DNS("http://x:1", discovery.WithKeepMissing(2*time.Hour))
		},
		"at least one poll": func() (discovery.Discovery, error) {
			return discovery.DNS("http://x:1", discovery.WithKeepMissing(time.Second))
		},
		"WithResolver(nil)":         func() (discovery.Discovery, error) { return discovery.SRV("http://x", discovery.WithResolver(nil)) },
		"option 0 is nil":           func() (discovery.Discovery, error) { return discovery.File("x", nil) },
		"an empty list of peers":    func() (discovery.Discovery, error) { return discovery.Static() },
		`DNS(""): want http`:        func() (discovery.Discovery, error) { return discovery.DNS("") },
		`DNS("peers:1"): want http`: func() (discovery.Discovery, error) { return discovery.DNS("peers:1") },
		`such as "http://peers:1"`:  func() (discovery.Discovery, error) { return discovery.DNS("peers:1") },
		`such as "http://peers"`:    func() (discovery.Discovery, error) { return discovery.SRV("peers") },
		"no path":                   func() (discovery.Discovery, error) { return discovery.DNS("http://peers:1/") },
		"want the port":             func() (discovery.Discovery, error) { return discovery.DNS("http://peers") },
		`0"): want the port`:        func() (discovery.Discovery, error) { return discovery.DNS("http://peers:0") },
		"in place of the address":   func() (discovery.Discovery, error) { return discovery.DNS("http://10.0.0.1:1") },
		"want no port":              func() (discovery.Discovery, error) { return discovery.SRV("https://peers:1") },
		`SRV("ftp://peers"): want`:  func() (discovery.Discovery, error) { return discovery.SRV("ftp://peers") },
	} {
		if d, err := make(); d != nil || err == nil || !strings.HasPrefix(err.Error(), "discovery: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, error %v: want an error with %q", d, err, want)
		}
	}
}

func TestStatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := []string{urlB, urlA}
		d, err := discovery.Static(list...)
		if err != nil {
			t.Fatal(err)
		}
		list[0] = "changed"
		w := watch(t, d, urlA)
		w.after(t, time.Hour, urlA+" "+urlB)
		if err := w.stop(); err != nil {
			t.Errorf("Run: error %v: want none", err)
		}
		if err := d.Run(t.Context(), "http://10.0.0.3:8001", nil); err == nil || !strings.Contains(err.Error(), "lacks this process") {
			t.Errorf("Run: error %v: want that the list lacks the process", err)
		}
		without, err := discovery.Static("10.0.0.1:8001", "10.0.0.2:8001")
		if err != nil {
			t.Fatal(err)
		}
		if err := without.Run(t.Context(), urlA, nil); err == nil || !strings.HasSuffix(err.Error(), `without a scheme: want "`+urlA+`"`) {
			t.Errorf("Run: error %v: want that the scheme is missing", err)
		}
	})
}

// What an editor leaves in a file that nobody sees harms no peer.
func TestFileOfAnyEditor(t *testing.T) {
	const bom, wide, narrow = "\ufeff", "\u00a0\u3000\t", "\u200b\u2060\u200e"
	for name, text := range map[string]string{
		"byte order mark":      bom + urlA + "\n" + urlB + "\n",
		"windows":              bom + urlA + "\r\n" + urlB + "\r\n",
		"an old mac":           urlA + "\r" + urlB + "\r",
		"no end":               urlA + "\n\n\n" + urlB,
		"two files in one":     bom + urlA + "\n" + bom + urlB + "\n",
		"wide spaces":          wide + urlA + wide + "\n" + urlB + wide + "# rack 1",
		"spaces without width": narrow + urlA + narrow + "\n" + urlB + narrow,
		"a mark before a #":    bom + "# the peers\n" + urlA + "\n" + urlB,
		"the next line":        urlA + "\n" + urlB + "\u0085\n\u2028",
	} {
		synctest.Test(t, func(t *testing.T) {
			w, _, log := watchFile(t, text)
			w.after(t, 0, urlA+" "+urlB)
			log.checkWarnings(t, 0, "")
			if t.Failed() {
				t.Log(name)
			}
		})
	}
}

// A file in UTF-16 names nobody that could be read: that is said, and the last list stands.
func TestFileInUTF16(t *testing.T) {
	utf16 := func(text string, low int) string {
		b := make([]byte, 2*len(text))
		for i := range text {
			b[2*i+low] = text[i]
		}
		return string(b)
	}
	for _, text := range []string{"\xff\xfe" + utf16(urlB+"\n", 0), "\xfe\xff" + utf16(urlB+"\n", 1), utf16(urlB, 0)} {
		synctest.Test(t, func(t *testing.T) {
			w, path, log := watchFile(t, urlA)
			w.after(t, 0, urlA)
			write(t, path, text)
			w.after(t, time.Minute)
			log.checkWarnings(t, 1, "want it saved as UTF-8")
			w.stop()
			d, err := discovery.File(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Run(t.Context(), urlA, nil); err == nil || !strings.Contains(err.Error(), "UTF-16") || !strings.Contains(err.Error(), path) {
				t.Errorf("Run: error %v: want one that names the file, and UTF-16", err)
			}
		})
	}
}

func TestSplitList(t *testing.T) {
	want := []string{urlA, urlB, ""}
	if got := discovery.SplitList("\ufeff" + urlA + "\u00a0,\u200b " + urlB + "\r\n,"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
