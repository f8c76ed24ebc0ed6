package peercache_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

// generation is one of the processes that hand a snapshot on, and what it says.
type generation struct {
	*node
	path string
	log  bytes.Buffer
}

// start begins a process, after one that saved to the same path, or none.
func start(t *testing.T, path string, getter peercache.Getter, opts ...peercache.GroupOption) *generation {
	t.Helper()
	p := &generation{path: path}
	logger := slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p.node = local(t, getter, append(opts, peercache.WithSnapshot(path, time.Hour), peercache.WithLogger(logger))...)
	return p
}

func (p *generation) save(t *testing.T) {
	t.Helper()
	if err := p.group.SaveSnapshot(); err != nil {
		t.Fatal(err)
	}
}

// restored checks how many values the process began with, and that it said nothing.
func (p *generation) restored(t *testing.T, want int64) {
	t.Helper()
	if got := p.group.Stats().Restored; got != want {
		t.Errorf("%d values were restored, want %d", got, want)
	}
	if p.log.Len() > 0 {
		t.Errorf("it warned: %s", &p.log)
	}
}

// gone checks that there is no file that a later process could find.
func (p *generation) gone(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(p.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}

func snapshotPath(t *testing.T) string { return filepath.Join(t.TempDir(), "scores.snapshot") }

// restart has one process cache the first edition of k and save it at some age, and
// returns the next one, which starts after a time in which there was none.
func restart(t *testing.T, path string, o *editions, age, down time.Duration, opts ...peercache.GroupOption) *generation {
	t.Helper()
	before := start(t, path, o, opts...)
	before.wants(t, "k", "1")
	time.Sleep(age)
	before.save(t)
	time.Sleep(down)
	return start(t, path, o, opts...)
}

// eachCache runs a test with each of the caches that there are here, in a bubble.
func eachCache(t *testing.T, name string, test func(t *testing.T, path string, cache peercache.GroupOption)) {
	t.Helper()
	for of, newCache := range map[string]peercache.NewCache{"store": peercache.NewStore, "lru": peercache.NewLRU} {
		t.Run(name+"/"+of, func(t *testing.T) {
			path := snapshotPath(t)
			synctest.Test(t, func(t *testing.T) { test(t, path, peercache.WithCache(newCache)) })
		})
	}
}

// A value is as old after a restart as it would be without: what it has left goes on while
// no process runs.
func TestP7RestartKeepsAges(t *testing.T) {
	const ttl, age, years = time.Minute, 10 * time.Second, 100 * 365 * 24 * time.Hour
	for _, c := range []struct {
		name string
		item time.Duration // TTL of the value
		down time.Duration // between the processes
		left time.Duration // in the new one
	}{
		{"what is left", 0, 20 * time.Second, 30 * time.Second},
		{"a nanosecond", 0, ttl - age - 1, 1},
		{"over meanwhile", 0, ttl - age, 0},
		{"over before", age, 1, 0},
		{"without end", math.MaxInt64, time.Hour, years},
	} {
		eachCache(t, c.name, func(t *testing.T, path string, cache peercache.GroupOption) {
			p := restart(t, path, &editions{ttl: c.item}, age, c.down, cache, peercache.WithTTL(ttl))
			if c.left > 0 {
				p.restored(t, 1)
				time.Sleep(c.left - 1)
				p.wants(t, "k", "1")
				time.Sleep(time.Nanosecond)
			}
			if c.left < years {
				p.wants(t, "k", "2")
			} else {
				p.wants(t, "k", "1")
			}
		})
	}
}

// A stale window goes on as well.
func TestP7RestartKeepsStaleWindows(t *testing.T) {
	const ttl, age, window = time.Minute, 10 * time.Second, time.Minute
	for _, c := range []struct {
		name string
		item time.Duration // TTL of the value
		down time.Duration // between the processes
		left time.Duration // of the window, in the new one
	}{
		{"expired meanwhile", 0, ttl, window - age},
		{"expired before", age / 2, ttl / 2, window - age/2 - ttl/2},
		{"expired when it was saved", age, ttl / 2, window - ttl/2 - 1}, // no time left would be without end
		{"over meanwhile", 0, ttl + window - age, 0},
	} {
		eachCache(t, c.name, func(t *testing.T, path string, cache peercache.GroupOption) {
			o := &editions{ttl: c.item}
			p := restart(t, path, o, age, c.down, cache, peercache.WithTTL(ttl), peercache.WithStaleIfError(window))
			o.fail(errors.New("the origin is down"))
			if c.left > 0 {
				p.restored(t, 1)
				p.wants(t, "k", "1")
				time.Sleep(c.left - 1)
				p.wants(t, "k", "1")
				time.Sleep(time.Nanosecond)
			}
			if view, err := p.group.Get(t.Context(), "k"); err == nil {
				t.Errorf("%q was served after its stale window", view)
			}
		})
	}
}

// That the origin has no such key is remembered across a restart, unless the new process
// is not to remember it.
func TestRestartKeepsWhatIsMissing(t *testing.T) {
	for _, remembers := range []bool{true, false} {
		path := snapshotPath(t)
		synctest.Test(t, func(t *testing.T) {
			negative := peercache.WithNegativeTTL(time.Minute)
			o := &editions{err: peercache.ErrNotFound}
			before := start(t, path, o, negative)
			_, want := before.group.Get(t.Context(), "k")
			before.save(t)
			time.Sleep(time.Second)
			opts, restored := []peercache.GroupOption{negative}, int64(1)
			if !remembers {
				opts, restored = nil, 0
			}
			after := start(t, path, o, opts...)
			after.restored(t, restored)
			_, err := after.group.Get(t.Context(), "k")
			if !errors.Is(err, peercache.ErrNotFound) || remembers && err.Error() != want.Error() {
				t.Errorf("%v, want %v", err, want)
			}
			if loads := o.of("k"); loads != 2-int(restored) {
				t.Errorf("%d loads", loads)
			}
		})
	}
}

// Values of all sizes and keys of any bytes come back as they were.
func TestRestartRoundTrip(t *testing.T) {
	path := snapshotPath(t)
	values := map[string]string{"\x00": "", "Tom": "630", strings.Repeat("k", 1000): strings.Repeat("v", 100<<10)}
	for i := range 1000 {
		values[fmt.Sprint("key", i)] = strings.Repeat("v", i)
	}
	o := &origin{}
	before := start(t, path, o)
	for k, v := range values {
		if err := before.group.Set(t.Context(), k, peercache.Item{Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	kept := before.group.Stats().Main.Items
	before.save(t)
	before.save(t) // in the place of the first one
	after := start(t, path, o)
	after.restored(t, kept)
	after.gone(t)
	for k, v := range values {
		if got := after.get(t, k); got != v && o.count(k) == 0 {
			t.Errorf("key %.10q: %.20q, want %.20q", k, got, v)
		}
	}
	if most := len(values) - int(kept); o.total() > most {
		t.Errorf("%d loads, want at most %d: of what was not cached", o.total(), most)
	}
}

// No crash after a change brings back what was there before it: neither from the file that
// this process wrote, nor from the one that it began with.
func TestP8RestartBringsNothingRemovedBack(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *peercache.Group) error{
		"Remove": func(t *testing.T, g *peercache.Group) error { return g.Remove(t.Context(), "k") },
		"Set": func(t *testing.T, g *peercache.Group) error {
			return g.Set(t.Context(), "k", peercache.Item{Value: []byte("set")})
		},
		"Clear": func(t *testing.T, g *peercache.Group) error { return g.Clear(t.Context()) },
	} {
		for _, which := range []string{"written", "restored"} {
			t.Run(name+"/"+which, func(t *testing.T) {
				path := snapshotPath(t)
				o := &editions{}
				p := start(t, path, o)
				p.get(t, "k")
				p.save(t)
				if which == "restored" {
					p = start(t, path, o)
					p.restored(t, 1)
				}
				if err := change(t, p.group); err != nil {
					t.Fatal(err)
				}
				crashed := start(t, path, o)
				crashed.restored(t, 0)
				if got := crashed.get(t, "k"); got == "1" {
					t.Errorf("the old value is back")
				}
			})
		}
	}
}

// meddled is a cache that lets somebody in while it is looked through.
type meddled struct {
	peercache.Cache
	meddle func()
}

func (m *meddled) Range(f func(string, peercache.Entry) bool) {
	m.Cache.Range(f)
	m.meddle()
}

// A key that is removed while the file is written may be in it: then there is no file.
func TestP8RemoveWhileTheSnapshotIsWritten(t *testing.T) {
	path := snapshotPath(t)
	o := &editions{}
	cache := &meddled{}
	p := start(t, path, o, peercache.WithCache(func(maxBytes int64, onLeave func(string, peercache.Entry, peercache.Reason)) (c peercache.Cache, err error) {
		cache.Cache, err = peercache.NewLRU(maxBytes, onLeave)
		return cache, err
	}))
	p.get(t, "k")
	cache.meddle = func() {}
	p.save(t)
	cache.meddle = func() {
		if err := p.group.Remove(t.Context(), "k"); err != nil {
			t.Error(err)
		}
	}
	if err := p.group.SaveSnapshot(); err == nil {
		t.Error("no error, though a key was removed meanwhile")
	}
	start(t, path, o).restored(t, 0)
	cache.meddle = func() {}
	p.get(t, "k")
	p.save(t)
	start(t, path, o).restored(t, 1)
}

// Where the file cannot be removed, a change must not seem to be complete.
func TestP8SnapshotThatCannotBeRemoved(t *testing.T) {
	p := start(t, snapshotPath(t), &editions{})
	p.get(t, "k")
	p.save(t)
	if err := os.Remove(p.path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(p.path, "somebody's"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.group.Remove(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), p.path) {
			t.Errorf("%v, want an error that names the file", err)
		}
	}
	if err := os.RemoveAll(p.path); err != nil {
		t.Fatal(err)
	}
	if err := p.group.Remove(t.Context(), "k"); err != nil {
		t.Error(err)
	}
}

// A file that is not to be used is ignored whole, with a warning, and gone: were it still
// there, another process might think otherwise of it later.
func TestSnapshotIgnored(t *testing.T) {
	for _, c := range []struct {
		name  string
		group string // that saves; "": the one that restores
		spoil func(file []byte) []byte
		age   time.Duration
		says  string
	}{
		{name: "empty", spoil: func([]byte) []byte { return nil }, says: "torn"},
		{name: "cut short", spoil: func(b []byte) []byte { return b[:len(b)-1] }, says: "torn"},
		{name: "half of it", spoil: func(b []byte) []byte { return b[:len(b)/2] }, says: "torn"},
		{name: "a value flipped", spoil: func(b []byte) []byte { b[bytes.Index(b, []byte("some value"))]++; return b }, says: "checksum"},
		{name: "a later version", spoil: func(b []byte) []byte { b[bytes.IndexByte(b, '\n')+1]++; return b }, says: "version"},
		{name: "another group's", group: "other", says: `group \"other\"`},
		{name: "old", age: time.Hour + 1, says: "old"},
		{name: "of tomorrow", age: -24 * time.Hour, says: "wall clock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := snapshotPath(t)
			synctest.Test(t, func(t *testing.T) { // its clock begins anew each time
				time.Sleep(max(0, -c.age))
				g, err := peercache.NewGroup(cmp.Or(c.group, "test"), 1<<20, &editions{}, peercache.WithSnapshot(path, time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				for k := range 100 {
					if err := g.Set(t.Context(), fmt.Sprint(k), peercache.Item{Value: []byte("some value")}); err != nil {
						t.Fatal(err)
					}
				}
				if err := g.SaveSnapshot(); err != nil {
					t.Fatal(err)
				}
			})
			if c.spoil != nil {
				file, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, c.spoil(file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(max(0, c.age))
				p := start(t, path, &editions{})
				if s := p.group.Stats(); s.Restored != 0 || s.Main.Items != 0 {
					t.Errorf("%d values were restored, and %d are cached", s.Restored, s.Main.Items)
				}
				if log := p.log.String(); !strings.Contains(log, "ignored") || !strings.Contains(log, c.says) || strings.Count(log, "\n") != 1 {
					t.Errorf("it said %q, want one warning with %q", log, c.says)
				}
				p.gone(t)
				p.wants(t, "1", "1")
			})
		})
	}
}

// The age of a file may be just what is allowed.
func TestSnapshotOfTheGreatestAge(t *testing.T) {
	path := snapshotPath(t)
	synctest.Test(t, func(t *testing.T) {
		p := start(t, path, &editions{})
		p.get(t, "k")
		p.save(t)
		time.Sleep(time.Hour)
		start(t, path, &editions{}).restored(t, 1)
	})
}

// A value or a key that the new process would not load is not restored either.
func TestSnapshotWithinTheNewLimits(t *testing.T) {
	path := snapshotPath(t)
	before := start(t, path, &editions{size: 100})
	before.get(t, "k")
	before.get(t, "a long key")
	if err := before.group.Set(t.Context(), "small", peercache.Item{Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	before.save(t)
	after := start(t, path, &editions{}, peercache.WithMaxKeyBytes(5), peercache.WithMaxValueBytes(50))
	after.restored(t, 1)
	if got := after.get(t, "small"); got != "v" {
		t.Errorf("%q, want the value of the process before", got)
	}
}

func TestSnapshotBadOptions(t *testing.T) {
	dir := t.TempDir()
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithGroupcacheCompat())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts []peercache.GroupOption
		says string
	}{
		{"no path", []peercache.GroupOption{peercache.WithSnapshot("", time.Hour)}, "empty path"},
		{"no age", []peercache.GroupOption{peercache.WithSnapshot(filepath.Join(dir, "s"), 0)}, "maxAge"},
		{"a directory", []peercache.GroupOption{peercache.WithSnapshot(dir, time.Hour)}, "is a directory: want a path for a regular file"},
		{"no directory", []peercache.GroupOption{peercache.WithSnapshot(filepath.Join(dir, "no", "s"), time.Hour)}, "directory"},
		{"golang/groupcache", []peercache.GroupOption{peercache.WithSnapshot(filepath.Join(dir, "s"), time.Hour), peercache.WithPeers(pool)}, "WithGroupcacheCompat"},
		{"consistency", []peercache.GroupOption{peercache.WithSnapshot(filepath.Join(dir, "s"), time.Hour), peercache.WithPeers(pool), peercache.WithConsistency()}, "WithConsistency"},
		{"other peers", []peercache.GroupOption{peercache.WithSnapshot(filepath.Join(dir, "s"), time.Hour), peercache.WithPeers(struct{ peercache.PeerPicker }{pool})}, "HTTPPool"},
	} {
		_, err := peercache.NewGroup("test", 1<<20, &editions{}, c.opts...)
		if err == nil || !strings.HasPrefix(err.Error(), `peercache: group "test": WithSnapshot`) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error of WithSnapshot that says %q", c.name, err, c.says)
		}
	}
	if err := local(t, &editions{}).group.SaveSnapshot(); err == nil {
		t.Error("SaveSnapshot without WithSnapshot: no error")
	}
	p := start(t, filepath.Join(dir, "s"), &editions{})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := p.group.SaveSnapshot(); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "peercache: ") {
		t.Errorf("SaveSnapshot to a directory that has gone: %v", err)
	}
}

// A group that cannot be made does not cost the file of the one that can.
func TestSnapshotOfAGroupThatIsRefused(t *testing.T) {
	path := snapshotPath(t)
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	group := func(name string) error {
		_, err := peercache.NewGroup(name, 1<<20, &editions{}, peercache.WithPeers(pool), peercache.WithSnapshot(path, time.Hour))
		return err
	}
	if err := group("test"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("a snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"test": "of that name", "other": `is the file of the group "test"`} {
		if err := group(name); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that says %q", name, err, says)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}
