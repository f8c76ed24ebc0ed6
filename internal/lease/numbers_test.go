package lease

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// oneOf knows one peer.
func oneOf(peer string) func(string) bool { return func(name string) bool { return name == peer } }

// Peers that came, asked and left stay for no longer than their leases, however many those
// are, and their numbers are given to others.
func TestP5PeersThatHaveGoneLeaveNoMemory(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, every := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := New(2<<10, testLease)
			time.Sleep(testLease)
			before := heap()
			refused := 0
			for i := range 10_000 {
				peer := fmt.Sprintf("http://10.0.%d.%d:8001", i/250, i%250)
				if !h.Record("k", peer, testLease, oneOf(peer)) {
					refused++
				} else if held := heldBy(h, "k"); !slices.Contains(held, peer) {
					t.Fatalf("%s is recorded, and held by %v", peer, held)
				}
				time.Sleep(every)
			}
			if took := heap() - before; took > 64<<10 {
				t.Errorf("10,000 peers came, asked and left, one in %v: %d KiB", every, took>>10)
			}
			if every > 0 && refused > 0 {
				t.Errorf("%d of them were not recorded, though the others' leases were over", refused)
			}
			time.Sleep(Longest)
			if !h.Record("k", "last", testLease, oneOf("last")) {
				t.Error("when all leases are over, a peer is not recorded")
			}
			if held := heldBy(h, "k"); len(held) != 1 {
				t.Errorf("held by %v, want the last one", held)
			}
			runtime.KeepAlive(h)
		})
	}
}

// A peer that has left the view counts as a holder until its lease is over, also if it
// comes back meanwhile. The view's change alone forgets it.
func TestP8LeasesOfPeersThatHaveGoneLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1<<20, testLease)
		time.Sleep(testLease)
		mustRecord(t, h, "k", "a", 10*time.Second)
		nobody := func(string) bool { return false }
		h.peers.forget(nobody)
		if h.Record("other", "a", time.Second, nobody) {
			t.Error("a peer that has left is recorded")
		}
		mustRecord(t, h, "other", "a", time.Second)
		mustRecord(t, h, "other", "b", time.Second)
		if got := heldBy(h, "k"); !slices.Equal(got, []string{"a"}) {
			t.Errorf("held by %v, want a", got)
		}
		time.Sleep(10 * time.Second)
		if got := heldBy(h, "k"); len(got) != 0 {
			t.Errorf("held by %v when the lease is over", got)
		}
		h.peers.forget(nobody)
		time.Sleep(Longest)
		h.peers.forget(nobody)
		for n := range h.peers.names {
			if name := h.peers.names[n]; name != "" {
				t.Errorf("%s is known when all leases are over", name)
			}
		}
	})
}

// While numbers are taken back and given to others, whoever was recorded is a holder.
func TestP8NumbersAreTakenBackWhileLeasesAreRecorded(t *testing.T) {
	h := New(1<<20, time.Nanosecond)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 300 {
				key, peer := fmt.Sprint("key", i, n%7), fmt.Sprint("peer", (i+n)%5)
				if !h.Record(key, peer, time.Minute, everyone) {
					t.Errorf("%s is not recorded", peer)
					return
				}
				if held := heldBy(h, key); !slices.Contains(held, peer) {
					t.Errorf("%s is recorded, but held by %v", peer, held)
					return
				}
				h.peers.forget(func(name string) bool { return name != fmt.Sprint("peer", n%5) })
			}
		})
	}
	all.Wait()
}
