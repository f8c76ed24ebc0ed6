package peercache

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/snapshot"
	"github.com/peercache/peercache/pb"
)

// WithSnapshot lets the next process begin with what this one has cached, with the ages
// that the values have by then. A group without peers is written to the file at path by
// SaveSnapshot, and read back by NewGroup. One with peers is written by HTTPPool.Shutdown,
// and read back when the pool has a view, for no longer than WithHandover's time: of what
// the peers know that it was not changed meanwhile, what this process owns. Ready waits
// for that.
//
// A file that is older than maxAge is ignored, and so is one that is torn, of another group
// or of a later version, as a whole and with a warning to the logger of WithLogger. No file
// is no warning.
//
// A snapshot is used once. NewGroup takes away what is at path, used or not: also if the
// pool then never gets a view. The first Remove, Set or Clear that this process makes after
// it has written the file removes it, so that no crash brings back what was removed (P8).
// Where it cannot be removed, that call returns an error.
//
// NewGroup fails if the directory of path does not exist or cannot be written, and if path is
// itself one or a symbolic link. It also fails if another user can put a file there: if the
// directory belongs to neither this process's user nor root, or if others can write it (but
// for a directory with the sticky bit, such as /tmp). A file that another user can write is
// ignored like one that is torn. See SnapshotTrustsGroup for what a group can write. On
// Windows neither is checked. A path is for one group and one process at a time: a pool
// refuses a second group of the same. Beside it stand path.tmp while it is written
// and path.taken while it is read. Only the user of this process can read the file, which
// has the values as they are. It is for the machine that wrote it, by whose wall clock its
// age is taken.
//
// What WithTTL and the getter said when a value was loaded holds for it, not what they
// would say now; the stale windows are those of the new process. WithOnEvict hears of
// values that find no room meanwhile. All peers should have the option: one that has none
// cannot answer for the time before it started. WithSnapshot excludes WithConsistency,
// WithGroupcacheCompat, and peers that are not an HTTPPool's.
func WithSnapshot(path string, maxAge time.Duration, opts ...SnapshotOption) GroupOption {
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
		g.snapshot = &snapshotFile{path: abs, maxAge: maxAge, restored: make(chan struct{})}
		for i, opt := range opts {
			if opt == nil {
				return fmt.Errorf("WithSnapshot: option %d is nil", i)
			}
			opt(g.snapshot)
		}
		return nil
	}
}

// A SnapshotOption changes what WithSnapshot does.
type SnapshotOption func(*snapshotFile)

// SnapshotTrustsGroup makes WithSnapshot accept a file and a directory that their group can
// write, so it trusts all members of the group. It is for volumes of Kubernetes with an
// fsGroup, which set the mode so. What all users can write is never accepted.
func SnapshotTrustsGroup() SnapshotOption {
	return func(s *snapshotFile) { s.trust.Group = true }
}

// snapshotFile is what a group has to do with its file.
type snapshotFile struct {
	path   string
	maxAge time.Duration
	trust  snapshot.Trust

	taken     *snapshot.Taken  // the one that this process found, until it is restored; or nil
	file      *snapshot.Reader // of taken, while it is open; or nil
	seen      clock.Instant    // when file was first opened, 0 before
	age       time.Duration    // that it had then
	departure uint64           // of the process that wrote it
	farewell  *pb.Farewell     // and what that knew of its end; nil without peers
	restored  chan struct{}    // closed when all that may be used of it is

	saving sync.Mutex // held while one is written, which takes its time

	mu      sync.Mutex // guards what follows, and is held while a file appears at path or goes
	changes int        // of this process
	written bool       // there may be a file of this process
}

// SaveSnapshot writes the values of a group without peers to the file of WithSnapshot, in
// the place of the one before. Call it at the end of the process, when its users have gone; or
// from time to time, to be prepared for a crash, if the group is seldom changed. It takes
// about as long as the disk needs for as many bytes as the cache has.
//
// It fails if the group has no WithSnapshot, or has peers, if the disk does, and if keys are changed
// while it writes. What was at path is there then as before, unless there was a change.
func (g *Group) SaveSnapshot() error {
	if g.snapshot == nil {
		return fmt.Errorf("peercache: group %q: SaveSnapshot of a group that has no WithSnapshot", g.name)
	}
	if g.peers != nil {
		return fmt.Errorf("peercache: group %q: SaveSnapshot of a group that has peers: want HTTPPool.Shutdown, which tells them and saves it", g.name)
	}
	if err := g.save(0, noNote); err != nil {
		return fmt.Errorf("peercache: group %q: SaveSnapshot: %w", g.name, err)
	}
	return nil
}

// noNote is the note of a process without peers.
func noNote() ([]byte, error) { return nil, nil }

// save writes the file. departure is what a voucher of the next process is asked; note is
// for that process, and has all changes that the group knew of when it is called.
func (g *Group) save(departure uint64, note func() ([]byte, error)) error {
	s := g.snapshot
	s.saving.Lock()
	defer s.saving.Unlock()
	before := s.changesNow()
	start := clock.Now()
	h := snapshot.Header{Name: g.name, Written: time.Now(), Departure: departure}
	var err error
	if h.Note, err = note(); err != nil {
		return err
	}
	w, err := snapshot.Create(s.path, h)
	if err != nil {
		return err
	}
	defer w.Discard()
	g.main.Range(func(key string, e Entry) bool {
		if e.Lease == 0 || e.Former && e.Lease > start { // later, nobody tells this process of changes
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

// saved returns for how long e may be served as fresh from an instant on, in the form of
// a snapshot.Record, and whether it is of any use.
func (t *lifetimes) saved(e Entry, at clock.Instant) (left time.Duration, ok bool) {
	if e.Expires == 0 {
		return 0, true
	}
	if e.Expires <= at {
		return 0, false
	}
	return cmp.Or(t.fresh(e, at), -1), true // 0 is without end
}
