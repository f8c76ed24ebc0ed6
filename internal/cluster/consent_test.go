package peercache

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// What a Remove was told of the peers' agreement does not change under it when more peers
// are heard, and to hear of a view that a peer is known to have costs no memory, however
// many peers there are.
func TestP8AgreementIsASnapshot(t *testing.T) {
	const peers = 1000
	pool, err := NewHTTPPool("http://self", WithoutStream(), WithTransport(nowhere{}))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"http://self"}
	for i := range peers {
		names = append(names, fmt.Sprintf("http://peer-%d", i))
	}
	if err := pool.Set(names...); err != nil {
		t.Fatal(err)
	}
	pool.background.Wait()
	view := pool.view.Load()
	snapshots := make([]agreement, 0, peers)
	for i := range peers {
		snapshots = append(snapshots, pool.agreement())
		pool.heard(names[1+i], &said{view: view.id})
	}
	for i, a := range snapshots {
		if len(a.agreed) != i {
			t.Fatalf("when %d of the peers had been heard, %d had agreed", i, len(a.agreed))
		}
	}
	if a := pool.agreement(); !a.confirmed(view.named[names[peers]]) || a.epoch != snapshots[0].epoch {
		t.Errorf("the last peer is not heard, or that it agrees is taken for a change of the view")
	}
	if n := testing.AllocsPerRun(100, func() { pool.heard(names[1], &said{view: view.id}) }); n != 0 {
		t.Errorf("%v allocations to hear what is known, want none", n)
	}
}

// What a peer answered before its view changed, and what it has announced since, may come in
// the other order. Then what was announced stands.
func TestP8LateAnswerIsNoDissent(t *testing.T) {
	pool, self, peer := unheardPair(t)
	pool.background.Wait()
	view, other := pool.view.Load().id, viewID([]string{self, peer, "http://third"})
	for _, step := range []struct {
		what    string
		said    said
		dissent bool
	}{
		{"another view", said{turn: turn{1, 1}, view: other, anew: true}, true},
		{"this view", said{turn: turn{1, 3}, view: view, anew: true}, false},
		{"another one, before", said{turn: turn{1, 2}, view: other}, false},
		{"another one, now", said{turn: turn{1, 4}, view: other}, true},
		{"this view, before", said{turn: turn{1, 3}, view: view}, true},
		{"this view, and a new process", said{turn: turn{2, 1}, view: view, anew: true}, false},
		{"another one, by an earlier version", said{view: other}, true},
		{"this view, by an earlier version", said{view: view}, false},
	} {
		pool.heard(peer, &step.said)
		if got := pool.agreement().dissenter != ""; got != step.dissent {
			t.Errorf("%s: the peer dissents: %v, want %v", step.what, got, step.dissent)
		}
	}
	epoch := pool.agreement().epoch
	pool.heard(peer, &said{turn: turn{2, 9}, view: view})
	pool.heard(peer, &said{turn: turn{2, 8}, view: view, anew: true})
	if pool.agreement().epoch == epoch {
		t.Error("an announcement that came late does not count as a change of the view")
	}
}

// What a peer said before it left may come after, or at the same time. It stays out of the
// view, until another process says something at its address.
func TestLateWordOfWhoHasLeft(t *testing.T) {
	pool, _, peer := unheardPair(t)
	defer pool.Shutdown(t.Context())
	for process := range uint32(500) {
		before, leaving := turn{process + 1, 1}, turn{process + 1, 2}
		pool.heard(peer, &said{turn: before, view: 1, anew: true})
		if !pool.knows(peer) {
			t.Fatal("a new process is not back in the view")
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { pool.heard(peer, &said{turn: before, view: 1}) })
		}
		all.Go(func() { pool.heard(peer, &said{turn: leaving, view: 1, leaving: true}) })
		all.Wait()
		if pool.knows(peer) {
			t.Fatalf("a peer that has left is in the view, in try %d", process)
		}
	}
}

// Names of no peers, however many a message has, hold up nobody who wants to change the
// view.
func TestP10AbsentStrangers(t *testing.T) {
	pool, self, peer := unheardPair(t)
	defer pool.Shutdown(t.Context())
	pool.mu.Lock()
	defer pool.mu.Unlock()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		pool.heard(peer, &said{view: 1, absent: []string{"", self, "http://stranger"}})
	}()
	select {
	case <-heard:
	case <-time.After(5 * time.Second):
		t.Error("it waits for the lock of the view")
	}
}

// unheardPair makes a pool that has one peer, which cannot be reached.
func unheardPair(t *testing.T) (pool *HTTPPool, self, peer string) {
	t.Helper()
	self, peer = "http://self", "http://peer"
	pool, err := NewHTTPPool(self, WithoutStream(), WithTransport(nowhere{}), WithViewChangeRate(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Set(self, peer); err != nil {
		t.Fatal(err)
	}
	return pool, self, peer
}
