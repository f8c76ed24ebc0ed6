package lease

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

const testLease = 5 * time.Second

func everyone(string) bool { return true }

// heldBy returns the names of those that h counts as holders of key.
func heldBy(h *Table, key string, peers ...string) (names []string) {
	for name := range h.Of(key, func() []string { return peers }) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// mustRecord records a lease of a peer.
func mustRecord(t *testing.T, h *Table, key, peer string, d time.Duration) {
	t.Helper()
	if !h.Record(key, peer, d, everyone) {
		t.Fatalf("a lease of %s, for %v, was not recorded", peer, d)
	}
}

func TestHoldersAreThoseWhoseLeasesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1<<20, testLease)
		time.Sleep(testLease)
		mustRecord(t, h, "k", "a", time.Second)
		mustRecord(t, h, "k", "b", 2*time.Second)
		mustRecord(t, h, "k", "b", time.Second) // the longer one counts
		mustRecord(t, h, "other", "c", time.Minute)
		for after, want := range [][]string{{"a", "b"}, {"b"}, nil} {
			if got := heldBy(h, "k"); !slices.Equal(got, want) {
				t.Errorf("after %ds: held by %v, want %v", after, got, want)
			}
			time.Sleep(time.Second)
		}
		if got := heldBy(h, "other"); !slices.Equal(got, []string{"c"}) {
			t.Errorf("the other key is held by %v", got)
		}
	})
}

// An earlier process at this address may have given leases. So at first, everybody counts.
func TestHoldersBeginWithAllPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1<<20, testLease)
		peers := []string{"a", "b"}
		time.Sleep(testLease - 1)
		if got := heldBy(h, "k", peers...); len(got) != 2 {
			t.Errorf("held by %v: want all peers", got)
		}
		time.Sleep(time.Nanosecond)
		if got := heldBy(h, "k", peers...); len(got) != 0 {
			t.Errorf("held by %v: want nobody, all earlier leases are over", got)
		}
	})
}

// Leases come from the network: those that are of no use are not recorded, and the asker is
// told so. Nor are those of processes that are no peers.
func TestP10HoldersRefuseBadLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1<<20, testLease)
		time.Sleep(testLease)
		for _, d := range []time.Duration{0, -1, -1 << 63, Longest + 1, 1<<63 - 1} {
			if h.Record("k", "a", d, everyone) || len(heldBy(h, "k")) != 0 {
				t.Errorf("a lease of %v was recorded", d)
			}
		}
		if h.Record("k", "unknown", time.Second, func(string) bool { return false }) || len(heldBy(h, "k")) != 0 {
			t.Error("who is no peer is recorded")
		}
	})
}

// Whatever is recorded, in however little room: whoever has a lease that lasts is among the
// holders, and the memory stays within its bound.
func TestHoldersForgetNobodyWithinTheirMemory(t *testing.T) {
	for _, bytes := range []int64{0, 64 << 10, 1 << 20} {
		t.Run(fmt.Sprint(bytes, " bytes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const keys, peers = 3000, 20
				rnd := rand.New(rand.NewPCG(1, uint64(bytes)))
				h := New(bytes, testLease)
				ends := make(map[[2]string]clock.Instant)
				for range 30000 {
					time.Sleep(time.Duration(rnd.IntN(int(5 * time.Millisecond))))
					key, peer := fmt.Sprint(rnd.IntN(keys)), fmt.Sprint(rnd.IntN(peers))
					d := time.Duration(1 + rnd.Int64N(int64(2*testLease)))
					mustRecord(t, h, key, peer, d)
					id := [2]string{key, peer}
					ends[id] = max(ends[id], clock.Now()+clock.Instant(d))
					if rnd.IntN(20) > 0 {
						continue
					}
					held := h.Of(key, func() []string { return nil })
					for p := range peers {
						peer := fmt.Sprint(p)
						if end := ends[[2]string{key, peer}]; end > clock.Now() && held[peer] < end {
							t.Fatalf("%s holds %s for %v more, but counts as a holder for %v", peer, key, end-clock.Now(), held[peer]-clock.Now())
						}
					}
				}
				room := max(int(bytes)/leaseBytes, 2*holderShards*fewestLeases)
				if n := h.leases(); n > room || n < room/4 && n < keys {
					t.Errorf("%d leases are recorded: want to use the room for %d, and no more", n, room)
				}
			})
		})
	}
}

// Where there is room, a key's holders are those who asked for it, whatever else is recorded:
// a change of it has a message for nobody else.
func TestHoldersOfOneKeyAreNotAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(16<<20, testLease)
		time.Sleep(testLease) // there was nobody before this process
		const keys, peers = 20_000, 50
		for i := range keys {
			mustRecord(t, h, fmt.Sprint("key", i), fmt.Sprint("peer", i%peers), testLease)
		}
		for i := range keys {
			held := h.Of(fmt.Sprint("key", i), func() []string { return nil })
			if end := held[fmt.Sprint("peer", i%peers)]; len(held) != 1 || end != clock.Now()+clock.Instant(testLease) {
				t.Fatalf("key%d is held by %v, want peer%d alone", i, held, i%peers)
			}
		}
	})
}

func TestP5HoldersTakeWhatTheyMay(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, bytes := range []int64{5000 << 10, 12_000 << 10} {
		keys := make([]string, bytes/leaseBytes)
		for i := range keys {
			keys[i] = fmt.Sprint("key", i)
		}
		before := heap()
		h := New(bytes, testLease)
		for _, key := range keys {
			mustRecord(t, h, key, "peer", testLease)
		}
		if took := heap() - before; took > bytes || took < bytes/2 {
			t.Errorf("%d leases take %d bytes: want to use the %d that there are, and no more", h.leases(), took, bytes)
		}
		runtime.KeepAlive([]any{h, keys})
	}
}

// leases returns how many of them take memory now.
func (h *Table) leases() (n int) {
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		n += len(s.young.all) + len(s.old.all)
		s.mu.Unlock()
	}
	return n
}
