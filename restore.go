package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/snapshot"
	"github.com/peercache/peercache/pb"
)

// checkSnapshot returns an error if the group's peers could not say what they changed.
func (g *Group) checkSnapshot() error {
	if g.snapshot == nil || g.peers == nil {
		return nil
	}
	if g.consistent {
		return errors.New("WithSnapshot and WithConsistency: want one of them: the other one begins with empty caches")
	}
	p := poolOf(g.picker)
	if !p.made() || p.stateless {
		return errors.New("WithSnapshot: the group's peers cannot say what they changed while this process was down: want an HTTPPool that NewHTTPPool made without WithGroupcacheCompat, or no peers")
	}
	return p.accepts(g) // Register looks again, but then the file is taken
}

// poolOf returns the pool that a picker is; nil, if it is another one.
func poolOf(p PeerPicker) *Pool {
	switch p := p.(type) {
	case *Pool:
		return p
	case *HTTPPool:
		if p != nil {
			return p.Pool
		}
	}
	return nil
}

// take takes the file away, and looks whether it is one for this process. If it is not,
// that is a warning.
func (g *Group) take() (err error) {
	s := g.snapshot
	if s.taken, err = s.trust.Take(s.path); err != nil {
		return fmt.Errorf("WithSnapshot: %w", err)
	}
	if s.taken == nil {
		return nil
	}
	if err = s.open(g.name); err == nil && g.peers != nil {
		s.farewell, err = farewellOf(s.file.Header(), poolOf(g.picker).cluster.Self())
	}
	if err != nil {
		g.sayRestored(0, cmp.Or(err, s.drop()))
		s.drop()
	}
	return nil
}

// farewellOf returns what the process that wrote a file knew of its end. That process had
// the address of this one: what another one has cached, its own peers have looked after.
func farewellOf(h snapshot.Header, self string) (*pb.Farewell, error) {
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

// warm begins with what is in the file that was taken: at once, if there are no peers.
func (g *Group) warm() {
	s := g.snapshot
	if g.peers == nil {
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
	c.Regain(s.departure, s.farewell)
	c.Background(g.restoreAmongPeers)
}

// restoreAmongPeers restores the snapshot when the peers have said what was changed since.
func (g *Group) restoreAmongPeers() {
	s := g.snapshot
	defer close(s.restored)
	defer s.drop()
	n := 0
	err := g.home.Restore(s.departure, s.farewell, func(v *cluster.Validation) error {
		more, err := g.restore(validated{g, v})
		n += more
		return err
	})
	if err != ErrClosed {
		g.sayRestored(n, err)
	}
}

// validated vouches for what the peers know not to be changed.
type validated struct {
	group *Group
	*cluster.Validation
}

func (v validated) knows(departure uint64) bool { return departure == v.Departure }

func (v validated) vouch(key string) (changed func() bool, ok bool) {
	g := v.group
	since, ok := g.handoversSince(key)
	if !ok || since != v.Since || g.lapsed() || v.Changed(g.name, key) && g.planted != failpoint.LogsIgnored {
		return nil, false
	}
	if !v.Covers(g.pick(key, 1)) {
		return nil, false
	}
	return g.marked(key, since), true
}

// sayRestored tells the logger how many values were restored, or why not all.
func (g *Group) sayRestored(n int, err error) {
	group, path := slog.String("group", g.name), slog.String("path", g.snapshot.path)
	switch {
	case err != nil && g.logs(slog.LevelWarn):
		g.log.LogAttrs(context.Background(), slog.LevelWarn, "the snapshot is ignored", group, path, problem(err))
	case n > 0 && g.logs(slog.LevelInfo):
		g.log.LogAttrs(context.Background(), slog.LevelInfo, "the snapshot is restored", group, slog.Int("values", n))
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

// A voucher says what of a snapshot may be used: what nobody has changed since.
type voucher interface {
	// knows reports whether it can say what was changed since the departure of that number.
	knows(departure uint64) bool
	// vouch reports whether key was changed up to now by anybody. If not, changed reports
	// whether it was changed since: whoever changes a key says so here before he drops its
	// value. It is quick and takes no lock.
	vouch(key string) (changed func() bool, ok bool)
}

// alone vouches for the snapshots of a process without peers. Nobody else changes its
// keys, and with its own changes the file goes. One that had peers has a departure.
type alone struct{}

func (alone) knows(departure uint64) bool      { return departure == 0 }
func (alone) vouch(string) (func() bool, bool) { return func() bool { return false }, true }

// restore puts what the file has that was taken away into the main cache, where v vouches
// for it, and returns how many values that were. It may run while the group is used: what
// is cached already stays. If v does not know of the departure, nothing is restored.
func (g *Group) restore(v voucher) (n int, err error) {
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

// restoreFrom is restore of a file that is open, and of that age.
func (g *Group) restoreFrom(file *snapshot.Reader, age time.Duration, v voucher) (n int, err error) {
	defer func() { g.stats.restored.Add(int64(n)) }()
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

// resume caches what a record says, if it is still to be cached, and v vouches for it.
func (g *Group) resume(r snapshot.Record, age time.Duration, v voucher) bool {
	if g.checkKey(r.Key) != nil || len(r.Value) > g.maxValue || r.Missing && g.times.negative == 0 {
		return false // the options were others
	}
	e := Entry{View: viewOfOwn(r.Value), Missing: r.Missing}
	if !g.times.resume(&e, r.Left, age) {
		return false
	}
	changed, ok := v.vouch(r.Key)
	if !ok || g.rank(r.Key) != asOwner {
		return false
	}
	if _, there := g.main.Get(r.Key); there {
		return false // it is newer
	}
	return g.addOwn(r.Key, e, changed)
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
	now := clock.Now()
	fresh := now.Plus(left - age)
	if left > age {
		fresh = clock.Expiry(now, left-age)
	}
	e.Expires = t.end(*e, fresh)
	return true
}
