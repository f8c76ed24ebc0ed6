package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/peercache/peercache/snapshot"
)

// WithSnapshot lets the next process begin with what this one has cached: SaveSnapshot
// writes it to the file at path, and NewGroup reads it back, with the ages that the values
// have by then. A file that is older than maxAge is ignored, and so is one that is torn, of
// another group or of a later version, as a whole and with a warning to the logger of
// WithLogger. No file is no warning.
//
// A snapshot is used once. NewGroup takes away what is at path, used or not; and the first
// Remove, Set or Clear after SaveSnapshot removes the file, so that no crash brings back
// what was removed (P8). Where it cannot be removed, that call returns an error.
//
// NewGroup fails if the directory of path does not exist, or if path is itself one. A path
// is for one group and one process at a time. Beside it stand path.tmp while it is written
// and path.taken while it is read. Only the user of this process can read the file, which
// has the values as they are. It is for the machine that wrote it, by whose wall clock its
// age is taken.
//
// What WithTTL and the getter said when a value was loaded holds for it, not what they
// would say now; the stale windows are those of the new process. WithOnEvict hears of
// values that find no room while NewGroup runs. WithSnapshot excludes WithPeers.
func WithSnapshot(path string, maxAge time.Duration) GroupOption {
	return func(g *Group) error {
		if path == "" {
			return errors.New("WithSnapshot: an empty path: want that of a file")
		}
		if maxAge <= 0 {
			return fmt.Errorf("WithSnapshot(%q, %v): want a maxAge of more than 0", path, maxAge)
		}
		abs, err := filepath.Abs(path) // the working directory may be another one at the end
		if err != nil {
			return fmt.Errorf("WithSnapshot: %w", err)
		}
		g.snapshot = &snapshotFile{path: abs, maxAge: maxAge}
		return nil
	}
}

// snapshotFile is what a group has to do with its file.
type snapshotFile struct {
	path   string
	maxAge time.Duration
	taken  *snapshot.Taken // the one that this process found, until it is restored; or nil

	saving sync.Mutex // held while one is written, which takes its time

	mu      sync.Mutex // guards what follows, and is held while a file appears at path or goes
	changes int        // of this process
	written bool       // there may be a file of this process
}

// SaveSnapshot writes the values that this process owns to the file of WithSnapshot, in the
// place of the one before. Call it at the end of the process, when its users have gone; or
// from time to time, to be prepared for a crash, if the group is seldom changed. It takes
// about as long as the disk needs for as many bytes as the cache has.
//
// It fails if the group has no WithSnapshot, if the disk does, and if keys are changed
// while it writes. What was at path is there then as before, unless there was a change.
func (g *Group) SaveSnapshot() error {
	if g.snapshot == nil {
		return fmt.Errorf("peercache: group %q: SaveSnapshot of a group that has no WithSnapshot", g.name)
	}
	if err := g.save(0); err != nil {
		return fmt.Errorf("peercache: group %q: SaveSnapshot: %w", g.name, err)
	}
	return nil
}

// save writes the file. departure is what a voucher of the next process is asked.
func (g *Group) save(departure uint64) error {
	s := g.snapshot
	s.saving.Lock()
	defer s.saving.Unlock()
	before := s.changesNow()
	start := Now()
	w, err := snapshot.Create(s.path, snapshot.Header{Name: g.name, Written: time.Now(), Departure: departure})
	if err != nil {
		return err
	}
	defer w.Discard()
	g.main.Range(func(key string, e Entry) bool {
		if e.Lease == 0 || e.Former {
			if left, ok := g.times.saved(e, start); ok {
				err = w.Add(snapshot.Record{Key: key, Value: e.View.bytes(), Left: left, Missing: e.Missing})
			}
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	if err := w.Seal(); err != nil {
		return err
	}
	return s.publish(w, before)
}

func (s *snapshotFile) changesNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// publish lets a file appear that was begun after so many changes, if it has no value that
// was removed since.
func (s *snapshotFile) publish(w *snapshot.Writer, begun int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes != begun {
		return errors.New("keys were changed meanwhile, whose old values it may have: want it called when no more changes come")
	}
	s.written = true // also if there is an error
	return w.Publish()
}

// outdateSnapshot removes the file, because a change was made that it does not know of.
func (g *Group) outdateSnapshot() error {
	s := g.snapshot
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if !s.written {
		return nil
	}
	if err := snapshot.Remove(s.path); err != nil {
		return fmt.Errorf("peercache: group %q: the old values are dropped, but not from the snapshot, which a restart would read: %w", g.name, err)
	}
	s.written = false
	return nil
}

// warm takes the file away and begins with what is in it.
func (g *Group) warm() (err error) {
	s := g.snapshot
	if s == nil {
		return nil
	}
	if s.taken, err = snapshot.Take(s.path); err != nil {
		return fmt.Errorf("WithSnapshot: %w", err)
	}
	n, err := g.restore(alone{})
	switch {
	case err != nil && g.logs(slog.LevelWarn):
		g.log.LogAttrs(context.Background(), slog.LevelWarn, "the snapshot is ignored", slog.String("group", g.name), slog.String("path", s.path), problem(err))
	case n > 0 && g.logs(slog.LevelInfo):
		g.log.LogAttrs(context.Background(), slog.LevelInfo, "the snapshot is restored", slog.String("group", g.name), slog.Int("values", n))
	}
	return nil
}

// A voucher says what of a snapshot may be used: what nobody has changed since.
type voucher interface {
	// knows reports whether all changes are known since the departure of that number.
	knows(departure uint64) bool
	// changed reports whether key was changed since, here or elsewhere. Whoever changes a
	// key says so here before he drops its value. It is quick and takes no lock.
	changed(key string) bool
}

// alone vouches for the snapshots of a process without peers. Nobody else changes its
// keys, and with its own changes the file goes. One that had peers has a departure.
type alone struct{}

func (alone) knows(departure uint64) bool { return departure == 0 }
func (alone) changed(string) bool         { return false }

// restore puts what the file has that was taken away into the main cache, where v vouches
// for it, and returns how many values that were. It may run while the group is used: what
// is cached already stays. After an error nothing is restored, unless it says that the
// file could not be removed; that does no harm, for nobody looks for it there.
func (g *Group) restore(v voucher) (n int, err error) {
	taken := g.snapshot.taken
	if taken == nil {
		return 0, nil
	}
	g.snapshot.taken = nil
	file, err := taken.Open()
	if err == nil {
		n, err = g.restoreFrom(file, v)
		file.Close()
	}
	return n, cmp.Or(err, taken.Remove())
}

// restoreFrom is restore of a file that is open.
func (g *Group) restoreFrom(file *snapshot.Reader, v voucher) (n int, err error) {
	h := file.Header()
	age := time.Since(h.Written)
	switch {
	case h.Name != g.name:
		return 0, fmt.Errorf("it is of the group %q", h.Name)
	case age < 0:
		return 0, fmt.Errorf("it was written %v from now, by the wall clock: one of the two times is wrong", -age)
	case age > g.snapshot.maxAge:
		return 0, fmt.Errorf("it is %v old: want at most %v", age, g.snapshot.maxAge)
	case !v.knows(h.Departure):
		return 0, errors.New("nobody knows what was changed since it was written")
	}
	for {
		r, err := file.Next()
		switch {
		case err == io.EOF:
			g.stats.restored.Add(int64(n))
			return n, nil
		case err != nil: // the file was whole a moment ago
			g.main.Clear()
			return 0, err
		case g.resume(r, age, v):
			n++
		}
	}
}

// resume caches what a record says, if it is still to be cached, and v vouches for it.
func (g *Group) resume(r snapshot.Record, age time.Duration, v voucher) bool {
	if g.checkKey(r.Key) != nil || len(r.Value) > g.maxValue || r.Missing && g.times.negative == 0 {
		return false // the options were others
	}
	e := Entry{View: viewOfOwn(r.Value), Missing: r.Missing}
	if !g.times.resume(&e, r.Left, age) || g.rank(r.Key) != asOwner {
		return false
	}
	if _, there := g.main.Get(r.Key); there {
		return false // it is newer
	}
	return g.addOwn(r.Key, e, func() bool { return v.changed(r.Key) })
}

// saved returns for how long e may be served as fresh from an instant on, in the form of
// a snapshot.Record, and whether it is of any use.
func (t *lifetimes) saved(e Entry, at Instant) (left time.Duration, ok bool) {
	if e.Expires == 0 {
		return 0, true
	}
	if e.Expires <= at {
		return 0, false
	}
	return cmp.Or(t.fresh(e, at), -1), true // 0 is without end
}

// resume sets when e expires, which had so much left before its age grew by so much, and
// reports whether it is of any use. The age is not negative.
func (t *lifetimes) resume(e *Entry, left, age time.Duration) bool {
	if left == 0 {
		return true
	}
	if left <= age-t.stale(*e) {
		return false
	}
	now := Now()
	fresh := now + Instant(left-age)
	if left > age {
		fresh = expiry(now, left-age)
	}
	e.Expires = t.end(*e, fresh)
	return true
}
