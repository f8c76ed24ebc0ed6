package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// messages returns the messages of events, in order.
func messages(events []peercache.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.Message)
	}
	return all
}

// newLonePool returns a pool without peers.
func newLonePool(t testing.TB, opts ...peercache.PoolOption) *peercache.HTTPPool {
	t.Helper()
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pool
}

type panickingText struct{}

func (panickingText) Error() string { panic("no text") }

// What is logged at level info and above is kept, whether or not there is a logger, and bounded in
// number and size.
func TestEventsAreKept(t *testing.T) {
	pool := newLonePool(t)
	log := pool.Logger()
	log.Debug("not an event")
	if got := pool.Events(); len(got) != 0 {
		t.Errorf("events %v: want none", messages(got))
	}
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("without a logger, debug records are enabled: want them to cost nothing")
	}
	for i := range 150 {
		log.Info(fmt.Sprint("event ", i))
	}
	got := pool.Events()
	if len(got) != 100 || got[0].Message != "event 50" || got[99].Message != "event 149" || got[99].Seq != 150 {
		t.Errorf("%d events, from %q to %q: want the last 100", len(got), got[0].Message, got[len(got)-1].Message)
	}
	long := strings.Repeat("é", 1000)
	log.With("of", 1).WithGroup("g").Warn(long, slog.Group("in", slog.String(long, long)), "err", panickingText{}, "bad", "a\xffb")
	last := pool.Events()[99]
	if last.Level != slog.LevelWarn || len(last.Message) > 300 || !strings.HasSuffix(last.Message, "é…") {
		t.Errorf("level %v, a message of %d bytes: want warn, and at most 300", last.Level, len(last.Message))
	}
	if len(last.Attrs) != 4 || last.Attrs[0].Key != "of" || !strings.HasPrefix(last.Attrs[1].Key, "g.in.é") || len(last.Attrs[1].Key) > 60 || len(last.Attrs[1].Value.String()) > 300 {
		t.Errorf("attributes %v: want of, g.in.éé…, g.err, g.bad, all cut", last.Attrs)
	}
	if text := last.Attrs[2].Value.String(); !strings.Contains(strings.ToLower(text), "panic") {
		t.Errorf("an error whose text panics is %q: want that said", text)
	}
	if text := last.Attrs[3].Value.String(); text != "a�b" {
		t.Errorf("a text that is no UTF-8 is %q: want it made valid", text)
	}
	var many []any
	for i := range 40 {
		many = append(many, fmt.Sprint("n", i), i)
	}
	log.Info("many", many...)
	if n := len(pool.Events()[99].Attrs); n != 12 {
		t.Errorf("%d attributes are kept: want at most 12", n)
	}
}

// What happens again and again takes one place.
func TestSameEventsAreCounted(t *testing.T) {
	pool := newLonePool(t)
	log := pool.Logger()
	log.Info("another")
	for i := range 5 {
		log.Warn("the same", "peer", "a", "key", i, "err", errors.New("text"), "took", time.Duration(i))
		again := []any{"peer", "b", "address", fmt.Sprint("10.0.0.1:", i)}
		if i%2 == 1 { // as internal/audit logs it
			again = append(again, "suppressed", i)
		}
		log.Warn("the same", again...)
	}
	got := pool.Events()
	if want := []string{"another", "the same", "the same"}; !slices.Equal(messages(got), want) {
		t.Fatalf("events %q: want %q", messages(got), want)
	}
	for _, e := range got[1:] {
		if e.Times != 5 || e.First.After(e.Time) {
			t.Errorf("%v: want it counted 5 times", e)
		}
	}
	if a := got[1].Attrs[1]; a.Key != "key" || a.Value.String() != "4" {
		t.Errorf("%v: want that of the last time", a)
	}
}

// A watcher hears of each event until it is stopped, and its panic harms nobody.
func TestOnEvent(t *testing.T) {
	pool := newLonePool(t)
	var heard []string
	stop := pool.OnEvent(func(e peercache.Event) { heard = append(heard, e.Message) })
	defer pool.OnEvent(func(peercache.Event) { panic("a watcher") })()
	pool.Logger().Info("one")
	stop()
	pool.Logger().Info("two")
	if !slices.Equal(heard, []string{"one"}) {
		t.Errorf("heard %q: want one, and nothing after stop", heard)
	}
}

// The pool's logger gets what it got before, and the events of its groups are the pool's too.
func TestEventsOfGroups(t *testing.T) {
	var log poolLog
	logger := slog.New(slog.NewTextHandler(&log, nil))
	pool := newLonePool(t, peercache.WithPoolLogger(logger))
	for _, opts := range [][]peercache.GroupOption{nil, {peercache.WithLogger(logger)}} {
		name := fmt.Sprint("group-", len(opts))
		g, err := peercache.NewGroup(name, 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
			panic("the getter")
		}), append(opts, peercache.WithPeers(pool))...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Get(t.Context(), "k"); err == nil {
			t.Fatal("no error: want that of the panic")
		}
		events := pool.Events()
		if last := events[len(events)-1]; last.Message != "the getter panicked" || last.Level != slog.LevelError || last.Attrs[0].Value.String() != name {
			t.Errorf("the last event is %v: want the panic of %s", last, name)
		}
		if logged := strings.Contains(log.String(), "group="+name); logged != (len(opts) == 1) {
			t.Errorf("%s: logged %t: want it in the logger of the group alone", name, logged)
		}
	}
	if groups := pool.Groups(); len(groups) != 2 || groups[0].Name() != "group-0" || groups[1].Name() != "group-1" {
		t.Errorf("%d groups: want both, in order", len(groups))
	}
}

// A Remove that is incomplete is an event, at most one a second.
func TestIncompleteChangeIsAnEvent(t *testing.T) {
	nodes := newCluster(t, 2, config{getter: func(int) peercache.Getter { return &origin{} }})
	key := keyOwnedBy(t, nodes, 0, 1)
	nodes[1].kill()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := nodes[0].group.Remove(ctx, key); err == nil {
			t.Fatal("a Remove without the owner has no error")
		}
	}
	if all := messages(nodes[0].pool.Events()); !slices.Contains(all, "a change is incomplete: old values may still be served") {
		t.Errorf("events %q: want that the change is incomplete", all)
	}
}
