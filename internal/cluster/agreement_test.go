package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// An Agreement does not change when more peers are observed. To observe a view that a peer is
// known to have costs no memory, however many peers there are.
func TestP8AgreementIsASnapshot(t *testing.T) {
	const peers = 1000
	c := newFake(t, "http://self", new(fakeNet), nil)
	names := []string{"http://self"}
	for i := range peers {
		names = append(names, fmt.Sprintf("http://peer-%d", i))
	}
	if err := c.Set(names); err != nil {
		t.Fatal(err)
	}
	c.background.Wait()
	view := c.view.Load()
	snapshots := make([]Agreement, 0, peers)
	for i := range peers {
		snapshots = append(snapshots, c.Agreement())
		c.observe(names[1+i], &peerState{State: saying(0, 0, view.id)})
	}
	for i, state := range snapshots {
		if len(state.agreed) != i {
			t.Fatalf("when %d of the peers had been observed, %d had agreed", i, len(state.agreed))
		}
	}
	if state := c.Agreement(); !state.Confirmed(view.named[names[peers]]) || state.Epoch != snapshots[0].Epoch {
		t.Errorf("the last peer is not observed, or that it agrees counts as a change of the view")
	}
	if n := testing.AllocsPerRun(100, func() { c.observe(names[1], &peerState{State: saying(0, 0, view.id)}) }); n != 0 {
		t.Errorf("%v allocations to observe what is known, want none", n)
	}
}

// What a peer answered before its view changed may arrive after its announcement of the new
// view. Then the announcement counts.
func TestP8LateAnswerIsNoDissent(t *testing.T) {
	c, self, name := silentPair(t)
	c.background.Wait()
	view, other := c.view.Load().id, viewID([]string{self, name, "http://third"}, nil)
	for _, step := range []struct {
		what    string
		state   peerState
		dissent bool
	}{
		{"another view", peerState{State: saying(1, 1, other), announced: true}, true},
		{"this view", peerState{State: saying(1, 3, view), announced: true}, false},
		{"another one, before", peerState{State: saying(1, 2, other)}, false},
		{"another one, now", peerState{State: saying(1, 4, other)}, true},
		{"this view, before", peerState{State: saying(1, 3, view)}, true},
		{"this view, and a new process", peerState{State: saying(2, 1, view), announced: true}, false},
		{"another one, by an earlier version", peerState{State: saying(0, 0, other)}, true},
		{"this view, by an earlier version", peerState{State: saying(0, 0, view)}, false},
	} {
		c.observe(name, &step.state)
		if got := c.Agreement().Dissenter != ""; got != step.dissent {
			t.Errorf("%s: the peer dissents: %v, want %v", step.what, got, step.dissent)
		}
	}
	epoch := c.Agreement().Epoch
	c.observe(name, &peerState{State: saying(2, 9, view)})
	c.observe(name, &peerState{State: saying(2, 8, view), announced: true})
	if c.Agreement().Epoch == epoch {
		t.Error("an announcement that came late does not count as a change of the view")
	}
}

// What a peer said before it left may arrive later, or at the same time. The peer stays absent,
// until another process says something at its address.
func TestLateStateOfAnAbsentPeer(t *testing.T) {
	c, _, name := silentPair(t)
	defer shutdown(t.Context(), c)
	for process := range uint32(500) {
		before, leaving := saying(process+1, 1, 1), saying(process+1, 2, 1)
		leaving.Leaving = true
		c.observe(name, &peerState{State: before, announced: true})
		if !c.Knows(name) {
			t.Fatal("a new process is not back in the view")
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { c.observe(name, &peerState{State: before}) })
		}
		all.Go(func() { c.observe(name, &peerState{State: leaving}) })
		all.Wait()
		if c.Knows(name) {
			t.Fatalf("a peer that has left is in the view, in try %d", process)
		}
	}
}

// A state that names absent processes which are not members does not wait for a change of the
// view.
func TestP10AbsentNonMembers(t *testing.T) {
	c, self, other := silentPair(t)
	defer shutdown(t.Context(), c)
	c.mu.Lock()
	defer c.mu.Unlock()
	observed := make(chan struct{})
	go func() {
		defer close(observed)
		c.observe(other, &peerState{State: peer.State{View: 1, Absent: []string{"", self, "http://not-a-member"}}})
	}()
	select {
	case <-observed:
	case <-time.After(5 * time.Second):
		t.Error("it waits for the lock of the view")
	}
}

// silentPair makes a cluster that has one peer, which cannot be reached.
func silentPair(t *testing.T) (c *Cluster, self, name string) {
	t.Helper()
	self, name = "http://self", "http://peer"
	c = newFake(t, self, new(fakeNet), nil)
	if err := c.Set([]string{self, name}); err != nil {
		t.Fatal(err)
	}
	return c, self, name
}

// saying returns the state of a process with the sequence number n.
func saying(process uint32, n, view uint64) peer.State {
	return peer.State{Process: process, Number: n, View: view}
}
