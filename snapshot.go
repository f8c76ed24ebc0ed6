package peercache

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/snapshot"
	"github.com/peercache/peercache/pb"
)

// snapshotFile is the file of WithSnapshot: the one that this process found, and the one that it
// writes.
type snapshotFile struct {
	path   string
	maxAge time.Duration
	trust  snapshot.Trust

	taken     *snapshot.Taken  // the file that this process found, until it is restored; may be nil
	file      *snapshot.Reader // reads taken while that is open; may be nil
	seen      clock.Instant    // when file was first opened; zero before
	age       time.Duration    // of file at that time
	departure uint64           // of the process that wrote it
	record    *pb.Farewell     // the departure record of that process; nil without peers
	restored  chan struct{}    // closed when all values that may be used are restored

	saving sync.Mutex // held while a file is written, which takes time

	mu      sync.Mutex // guards what follows, and is held while a file appears at path or goes
	changes int        // that this process made
	written bool       // there may be a file of this process at path
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
	if !g.alone() {
		return fmt.Errorf("peercache: group %q: SaveSnapshot of a group that has peers: want HTTPPool.Shutdown, which tells them and saves it", g.name)
	}
	if err := g.save(0, noNote); err != nil {
		return fmt.Errorf("peercache: group %q: SaveSnapshot: %w", g.name, err)
	}
	return nil
}

// noNote is the note of a process without peers.
func noNote() ([]byte, error) { return nil, nil }

// save writes the file. departure is the number by which the next process asks its peers what
// was changed since. note returns what is written for that process: it has all changes that the
// group knew of when it is called.
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

// publish makes a file appear at path, unless a value that it has may have been removed since it
// was begun, which was after so many changes.
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

// checkSnapshot returns an error if the group's peers could not say what they changed.
func (g *Group) checkSnapshot() error {
	if g.snapshot == nil || g.alone() {
		return nil
	}
	if g.consistent {
		return errors.New("WithSnapshot and WithConsistency: want one of them: the other one begins with empty caches")
	}
	var pool snapshotHost = poolOf(g.picker)
	if !pool.knowsChanges() {
		return errors.New("WithSnapshot: the group's peers cannot say what they changed while this process was down: want an HTTPPool that NewHTTPPool made without WithGroupcacheCompat, or no peers")
	}
	return pool.accepts(g) // Register looks again, but then the file is taken
}

// snapshotHost is what a snapshot needs of the pool of its group.
type snapshotHost interface {
	// knowsChanges reports whether the peers can say what was changed while this process was
	// down.
	knowsChanges() bool
	// accepts returns an error if the group cannot be beside those that the pool has.
	accepts(g *Group) error
}

// claimSnapshot takes the file away, so that nobody uses it twice, and looks whether it is one
// for this process. If it is not, that is a warning.
func (g *Group) claimSnapshot() (err error) {
	s := g.snapshot
	if s.taken, err = s.trust.Take(s.path); err != nil {
		return fmt.Errorf("WithSnapshot: %w", err)
	}
	if s.taken == nil {
		return nil
	}
	if err = s.open(g.name); err == nil && !g.alone() {
		s.record, err = departureRecord(s.file.Header(), poolOf(g.picker).cluster.Self())
	}
	if err != nil {
		g.sayRestored(0, cmp.Or(err, s.drop()))
		s.drop()
	}
	return nil
}

// departureRecord returns the record that the process which wrote a file left in it. It is an
// error if that process had another address than this one: its peers would not know what was
// changed since.
func departureRecord(h snapshot.Header, self string) (*pb.Farewell, error) {
	f := new(pb.Farewell)
	if h.Departure == 0 {
		return nil, errors.New("it was written without peers, who may have changed what is in it")
	}
	if err := proto.Unmarshal(h.Note, f); err != nil {
		return nil, fmt.Errorf("its note: %w", err)
	}
	for _, log := range f.GetLogs() {
		switch {
		case log.GetDeparture() != h.Departure:
		case log.GetPeer() != self:
			return nil, fmt.Errorf("it was written by the process at %s: want one of %s", quote.Key(log.GetPeer()), self)
		default:
			return f, nil
		}
	}
	return nil, errors.New("its note does not say how the process that wrote it has left")
}

// warm restores the file that was taken: at once if there are no peers, else in the background.
func (g *Group) warm() {
	s := g.snapshot
	if g.alone() {
		n, err := g.restore(alone{})
		g.sayRestored(n, cmp.Or(err, s.drop()))
		return
	}
	c := g.home
	if s.taken == nil {
		c.Regain(0, nil)
		close(s.restored)
		return
	}
	s.departure = s.file.Header().Departure
	c.Regain(s.departure, s.record)
	c.Background(g.restoreAmongPeers)
}

// restoreAmongPeers restores the snapshot when the peers have said what was changed since.
func (g *Group) restoreAmongPeers() {
	s := g.snapshot
	defer close(s.restored)
	defer s.drop()
	n := 0
	err := g.home.Restore(s.departure, s.record, func(v *cluster.Validation) error {
		more, err := g.restore(validated{g, v})
		n += more
		return err
	})
	if err != ErrClosed {
		g.sayRestored(n, err)
	}
}

// validated is the validation by the peers, which have recorded changes meanwhile.
type validated struct {
	group *Group
	*cluster.Validation
}

func (v validated) knows(departure uint64) bool { return departure == v.Departure }

func (v validated) validate(key string) (changed func() bool, ok bool) {
	g := v.group
	since, ok := g.handoffsSince(key)
	if !ok || since != v.Since || g.lapsed() || v.Changed(g.name, key) && g.planted != failpoint.LogsIgnored {
		return nil, false
	}
	if !v.Covers(g.pick(key, 1)) {
		return nil, false
	}
	return g.changedSince(key, since), true
}

// sayRestored logs how many values were restored, or why not all were.
func (g *Group) sayRestored(n int, err error) {
	switch {
	case err != nil:
		g.tell(slog.LevelWarn, "the snapshot is ignored", slog.String("path", g.snapshot.path), problem(err))
	case n > 0:
		g.tell(slog.LevelInfo, "the snapshot is restored", slog.Int("values", n))
	}
}

// open opens the file that was taken, unless it is open.
func (s *snapshotFile) open(group string) (err error) {
	if s.file != nil {
		return nil
	}
	if s.file, err = s.taken.Open(); err != nil {
		return err
	}
	h := s.file.Header()
	age := s.ageNow()
	switch {
	case h.Name != group:
		return fmt.Errorf("it is of the group %q", h.Name)
	case age < 0:
		return fmt.Errorf("it was written %v from now, by the wall clock: one of the two times is wrong", -age)
	case age > s.maxAge:
		return fmt.Errorf("it is %v old: want at most %v", age, s.maxAge)
	}
	return nil
}

// ageNow returns how old the file is: by the wall clock, or by what that said when the file
// was first opened and the time since. The older of the two counts, so that a wall clock
// that is set back meanwhile makes nothing younger. The file is open.
func (s *snapshotFile) ageNow() time.Duration {
	now, age := clock.Now(), time.Since(s.file.Header().Written)
	if s.seen == 0 {
		s.seen, s.age = now, age
	}
	return max(age, s.age+time.Duration(now-s.seen))
}

// close closes the file, if it is open.
func (s *snapshotFile) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// drop removes the file that was taken, if there is one. If it cannot be removed, that does
// no harm: nobody looks for it there.
func (s *snapshotFile) drop() error {
	s.close()
	if s.taken == nil {
		return nil
	}
	taken := s.taken
	s.taken = nil
	return taken.Remove()
}

// A validation knows which values of a snapshot may be used: those that nobody has changed
// since it was written.
type validation interface {
	// knows reports whether it can say what was changed since the departure of that number.
	knows(departure uint64) bool
	// validate reports in ok whether nobody has changed key up to now. Then changed reports
	// whether somebody has since: a change is recorded before its values are dropped. changed
	// is quick and takes no lock.
	validate(key string) (changed func() bool, ok bool)
}

// alone is the validation of a process without peers. Nobody else changes its keys, and its own
// changes remove the file. A snapshot of a process that had peers has a departure.
type alone struct{}

func (alone) knows(departure uint64) bool         { return departure == 0 }
func (alone) validate(string) (func() bool, bool) { return func() bool { return false }, true }

// restore puts the values of the file that was taken into the main cache, as far as v validates
// them, and returns how many it has put there. It may run while the group is used: what is
// cached already stays. If v does not know the departure, nothing is restored.
func (g *Group) restore(v validation) (n int, err error) {
	s := g.snapshot
	if s.taken == nil {
		return 0, nil
	}
	defer s.close()
	if err := s.open(g.name); err != nil {
		return 0, err
	}
	if !v.knows(s.file.Header().Departure) {
		return 0, errors.New("nobody knows what was changed since it was written")
	}
	return g.restoreFrom(s.file, s.ageNow(), v)
}

// restoreFrom restores a file that is open, and of that age.
func (g *Group) restoreFrom(file *snapshot.Reader, age time.Duration, v validation) (n int, err error) {
	defer func() { g.caches.counts.restored.Add(int64(n)) }()
	file.Limit(g.maxKey, g.maxValue)
	for {
		r, err := file.Next()
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil: // the file was whole when it was opened
			g.main.Clear()
			return 0, err
		case g.resume(r, age, v):
			n++
		}
	}
}

// resume puts a record into the main cache, if it has not expired and v validates it, and reports
// whether it did.
func (g *Group) resume(r snapshot.Record, age time.Duration, v validation) bool {
	if g.checkKey(r.Key) != nil || len(r.Value) > g.maxValue || r.Missing && g.times.negative == 0 {
		return false // the options were others
	}
	e := Entry{View: viewOfOwn(r.Value), Missing: r.Missing}
	if !g.times.resumeEntry(&e, r.Left, age) {
		return false
	}
	changed, ok := v.validate(r.Key)
	if !ok || g.rank(r.Key) != asOwner {
		return false
	}
	if _, there := g.main.Get(r.Key); there {
		return false // it is newer
	}
	_, kept := g.addOwn(r.Key, e, taintedBy(changed))
	return kept
}
