package peercache

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/snapshot"
)

// witness is a voucher that knows one departure, and the keys that were changed since.
type witness struct {
	departure uint64
	keys      map[string]bool
}

func (w witness) knows(departure uint64) bool { return departure == w.departure }
func (w witness) validate(key string) (changed func() bool, ok bool) {
	return func() bool { return false }, !w.keys[key]
}

// meddler is a voucher in whose time keys are changed, when it has vouched for them.
type meddler struct{ witness }

func (m meddler) validate(key string) (changed func() bool, ok bool) {
	return func() bool { return m.keys[key] }, true
}

// elsewhere is a PeerPicker of a cluster in which keys that begin with "their" are another
// peer's, who is never asked.
type elsewhere struct{ Peer }

func (e elsewhere) Pick(key string, n int) Peer {
	if strings.HasPrefix(key, "their") == (n == 0) {
		return e
	}
	return nil
}
func (elsewhere) Peers() []Peer         { return nil }
func (elsewhere) Register(*Group) error { return nil }

// saving makes a group that has a snapshot at path.
func saving(t *testing.T, path string, opts ...GroupOption) *Group {
	t.Helper()
	getter := GetterFunc(func(_ context.Context, key string) ([]byte, error) { return []byte("loaded"), nil })
	g, err := NewGroup("test", 1<<20, getter, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := WithSnapshot(path, time.Hour)(g); err != nil {
		t.Fatal(err)
	}
	return g
}

// cache puts an entry into the main cache.
func (g *Group) cache(key, value string, e Entry) {
	e.View = ViewOfString(value)
	g.main.Add(key, e, func() bool { return false })
}

// takes takes the file away, as NewGroup does.
func (g *Group) takes(t *testing.T) {
	t.Helper()
	var err error
	if g.snapshot.taken, err = snapshot.Take(g.snapshot.path); err != nil {
		t.Fatal(err)
	}
}

// What was loaded in the place of an unreachable owner has a lease, and is not saved. What
// this process owned until its view changed has one too, and is.
func TestSnapshotHasWhatIsOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		g := saving(t, path)
		lease := clock.Now() + clock.Instant(time.Minute)
		g.cache("own", "1", Entry{})
		g.cache("former", "2", Entry{Lease: lease, Former: true})
		g.cache("long ago", "2", Entry{Lease: clock.Now(), Former: true}) // others own it, and do not tell of changes
		g.cache("stand-in", "3", Entry{Lease: lease})
		g.cache("expired", "4", Entry{Expires: clock.Now() + 1})
		time.Sleep(time.Nanosecond)
		if err := g.save(7, noNote); err != nil {
			t.Fatal(err)
		}
		next := saving(t, path)
		next.takes(t)
		if n, err := next.restore(witness{departure: 7}); n != 2 || err != nil {
			t.Errorf("%d values, %v, want 2", n, err)
		}
		if got, want := next.Cached(), map[string]string{"own": "1", "former": "2"}; !maps.Equal(got, want) {
			t.Errorf("restored %v, want %v", got, want)
		}
		if e, _ := next.main.Get("former"); e.Lease != 0 || e.Former {
			t.Errorf("%+v, want the owner's own", e)
		}
	})
}

// Only that is restored which the process owns, which nobody has changed since, and in
// whose place there is nothing newer.
func TestP8RestoreAsksTheValidation(t *testing.T) {
	for _, c := range []struct {
		name string
		v    validation
		want []string
		fail bool
	}{
		{"nothing was changed", witness{departure: 7}, []string{"a", "b"}, false},
		{"a was changed", witness{7, map[string]bool{"a": true}}, []string{"b"}, false},
		{"a is changed meanwhile", meddler{witness{7, map[string]bool{"a": true}}}, []string{"b"}, false},
		{"the departure is not known", witness{departure: 8}, nil, true},
		{"a process without peers, after one that had some", alone{}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			g := saving(t, path)
			for _, key := range []string{"a", "b", "live", "theirs"} {
				g.cache(key, "old", Entry{})
			}
			if err := g.save(7, noNote); err != nil {
				t.Fatal(err)
			}
			next := saving(t, path)
			next.peers = fixed{picker: elsewhere{}}
			next.cache("live", "newer", Entry{})
			next.takes(t)
			n, err := next.restore(c.v)
			if n != len(c.want) || c.fail != (err != nil) {
				t.Errorf("%d values, %v, want %d", n, err, len(c.want))
			}
			want := map[string]string{"live": "newer"}
			for _, key := range c.want {
				want[key] = "old"
			}
			if got := next.Cached(); !maps.Equal(got, want) {
				t.Errorf("cached %v, want %v", got, want)
			}
			if err := next.snapshot.drop(); err != nil {
				t.Error(err)
			}
			if n, err := next.restore(c.v); n != 0 || err != nil {
				t.Errorf("once more: %d values, %v, want none", n, err)
			}
			if left, err := filepath.Glob(path + "*"); err != nil || len(left) > 0 {
				t.Errorf("files %q are left, %v", slices.Sorted(slices.Values(left)), err)
			}
		})
	}
}

// A file that is torn between the look at all of it and the second one leaves nothing.
func TestRestoreOfAFailingDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	g := saving(t, path)
	for i := range 10 { // more than is read at once
		g.cache(fmt.Sprint(i), strings.Repeat("v", 20<<10), Entry{})
	}
	if err := g.save(0, noNote); err != nil {
		t.Fatal(err)
	}
	next := saving(t, path)
	next.takes(t)
	file, err := next.snapshot.taken.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil { // what it reads from now on fails
		t.Fatal(err)
	}
	if n, err := next.restoreFrom(file, 0, alone{}); n != 0 || err == nil {
		t.Errorf("%d values, %v, want an error", n, err)
	}
	if got := next.Cached(); len(got) > 0 {
		t.Errorf("%d values are cached of a file that failed", len(got))
	}
}

// A wall clock that is set back while a file waits for its peers makes nothing younger.
func TestP7WallClockSetBackWhileASnapshotWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := saving(t, filepath.Join(t.TempDir(), "s"))
		if err := g.save(7, noNote); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		g.takes(t)
		if err := g.snapshot.open(g.name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if age := g.snapshot.ageNow(); age != time.Minute+time.Second {
			t.Errorf("an age of %v, want 1m1s", age)
		}
		g.snapshot.age += time.Hour // the wall clock said so when the file was opened
		if age := g.snapshot.ageNow(); age != time.Hour+time.Minute+time.Second {
			t.Errorf("an age of %v, want 1h1m1s, as before the clock was set back", age)
		}
		if err := g.snapshot.drop(); err != nil {
			t.Error(err)
		}
	})
}
