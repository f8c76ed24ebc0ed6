package peercache_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

// stub is a picker whose one other peer owns every key, and that peer.
type stub struct {
	get func(ctx context.Context, key string) (peercache.Item, error)
}

func (s *stub) Register(*peercache.Group) error { return nil }
func (s *stub) Peers() []peercache.Peer         { return []peercache.Peer{s} }
func (s *stub) Name() string                    { return "stub" }

func (s *stub) Pick(_ string, n int) peercache.Peer {
	if n > 0 {
		return nil
	}
	return s
}

func (s *stub) Get(ctx context.Context, q peercache.Query) (peercache.Answer, error) {
	item, err := s.get(ctx, q.Key)
	return peercache.Answer{Item: item, Noted: true}, err
}

func (s *stub) Change(context.Context, peercache.Change) ([]peercache.Holder, error) { return nil, nil }

// TestRemoveTaintsFetchesInProgress has an answer under way while its key is
// removed.
func TestRemoveTaintsFetchesInProgress(t *testing.T) {
	var asks atomic.Int64
	asked, release := make(chan struct{}), make(chan struct{})
	g := newLocal(t, &origin{}, peercache.WithPeers(&stub{func(context.Context, string) (peercache.Item, error) {
		if asks.Add(1) > 1 {
			return peercache.Item{Value: []byte("new")}, nil
		}
		close(asked)
		<-release
		return peercache.Item{Value: []byte("old")}, nil
	}}))
	before := make(chan string)
	go func() {
		v, _ := g.Get(context.Background(), "k")
		before <- v.String()
	}()
	<-asked
	if err := g.Remove(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != "new" {
		t.Errorf("%q, %v: joined a fetch from before the Remove", v, err)
	}
	close(release)
	if v := <-before; v != "old" {
		t.Errorf("who waited got %q", v)
	}
	if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != "new" {
		t.Errorf("%q, %v: the old answer was kept", v, err)
	}
}

// TestP7AnswerAgesOnItsWay has an answer that takes long: what it has left to
// live is counted from before it was asked for.
func TestP7AnswerAgesOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asks atomic.Int64
		g := newLocal(t, &origin{}, peercache.WithPeers(&stub{func(context.Context, string) (peercache.Item, error) {
			asks.Add(1)
			time.Sleep(5 * time.Second)
			return peercache.Item{Value: []byte("v"), TTL: time.Minute}, nil
		}}), peercache.WithLease(time.Minute))
		for _, c := range []struct {
			after time.Duration
			asks  int64
		}{{0, 1}, {0, 2}, {55*time.Second - 2, 2}, {2, 3}} {
			time.Sleep(c.after)
			if _, err := g.Get(t.Context(), "k"); err != nil || asks.Load() != c.asks {
				t.Errorf("%v later: %d asks, want %d; error %v", c.after, asks.Load(), c.asks, err)
			}
		}
	})
}

func TestGetMultiAsksForAKeyOnce(t *testing.T) {
	var o origin
	o.load = func(context.Context, string) ([]byte, error) { return nil, peercache.ErrNotFound }
	g := newLocal(t, &o)
	for i, r := range g.GetMulti(t.Context(), slices.Repeat([]string{"k"}, 1000)) {
		if !errors.Is(r.Err, peercache.ErrNotFound) {
			t.Fatalf("result %d: %v", i, r.Err)
		}
	}
	if c := o.count("k"); c != 1 {
		t.Errorf("%d loads of a key that was given 1000 times", c)
	}
}

// TestShutdownWaitsForFetches has one that nobody waits for any more.
func TestShutdownWaitsForFetches(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{load: func(context.Context, string) ([]byte, error) {
		close(started)
		<-release
		return []byte("v"), nil
	}})})
	key := keyOwnedBy(t, nodes, 0, 1)
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		left <- nodes[0].group.GetMulti(ctx, []string{key})[0].Err // a Get withdraws its question
	}()
	<-started
	cancel()
	<-left
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := nodes[0].pool.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown beside a fetch in progress: %v", err)
	}
	close(release)
}

func TestServerRequestsAreCounted(t *testing.T) {
	nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{}), group: []peercache.GroupOption{peercache.WithHotShare(0)}})
	key := keyOwnedBy(t, nodes, 0, 1)
	for range 3 {
		nodes[0].get(t, key)
	}
	want := peercache.Stats{Gets: 3, Hits: 2, Loads: 1, ServerRequests: 3, ServerHits: 2, ServerMisses: 1}
	s := nodes[1].group.Stats()
	s.Main, s.LoadTime = peercache.CacheStats{}, peercache.Histogram{}
	if s != want {
		t.Errorf("the owner: %+v, want %+v", s, want)
	}
}
