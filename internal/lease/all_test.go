package lease

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// A lease on all keys makes the peer a holder of any key, for its time. It is renewed under its id.
func TestLeaseAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1<<20, 10*time.Second)
		time.Sleep(time.Minute)
		if d, id := h.LeaseAll("a", 11*time.Second, 0, 1); d != 0 || id != 0 {
			t.Errorf("a lease of 11 s is given for %v: want none that is longer than the group's own", d)
		}
		d, id := h.LeaseAll("a", 10*time.Second, 0, 1)
		if d != 10*time.Second || id == 0 {
			t.Fatalf("given for %v, id %d", d, id)
		}
		time.Sleep(5 * time.Second)
		if d, again := h.LeaseAll("a", 10*time.Second, id, 1); d != 10*time.Second || again != id {
			t.Errorf("renewed for %v, id %d: want 10 s, id %d", d, again, id)
		}
		time.Sleep(9 * time.Second)
		if until := h.Of("any key", nil)["a"]; until != clock.Now().Plus(time.Second) {
			t.Errorf("it ends at %d, want in a second", until)
		}
		time.Sleep(time.Second)
		if of := h.Of("any key", nil); len(of) != 0 {
			t.Errorf("holders when it is over: %v", of)
		}
		if _, again := h.LeaseAll("a", 10*time.Second, id, 1); again == id {
			t.Error("a lease that was over is renewed")
		}
	})
}

// A lease begins anew if the peer may have missed a change: in another epoch, and if it could not be
// told.
func TestLeaseAllThatBeginsAnew(t *testing.T) {
	for name, miss := range map[string]func(h *Table) (epoch uint64){
		"another epoch":    func(*Table) uint64 { return 2 },
		"a change missed":  func(h *Table) uint64 { h.Missed("a"); return 1 },
		"a telling failed": func(h *Table) uint64 { h.Tell("a", 0).End(false); return 1 },
		"a telling took as long as the lease": func(h *Table) uint64 {
			told := h.Tell("a", 0)
			time.Sleep(9 * time.Second)
			h.LeaseAll("a", 10*time.Second, 0, 1)
			time.Sleep(time.Second)
			told.End(true)
			return 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := New(1<<20, 10*time.Second)
				_, id := h.LeaseAll("a", 10*time.Second, 0, 1)
				if _, again := h.LeaseAll("a", 10*time.Second, id, miss(h)); again == id {
					t.Error("it is renewed")
				}
			})
		})
	}
}

// While a peer is being told of a change, its lease is not renewed for longer than the telling waits.
func TestLeaseAllDuringATelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1<<20, 10*time.Second)
		_, id := h.LeaseAll("a", 10*time.Second, 0, 1)
		time.Sleep(4 * time.Second)
		told := h.Tell("a", clock.Now().Plus(time.Second))
		if left := time.Duration(told.Until - clock.Now()); left != 6*time.Second {
			t.Errorf("the telling waits for %v, want 6 s: until the lease ends", left)
		}
		if d, again := h.LeaseAll("a", 10*time.Second, id, 1); d != 6*time.Second || again != id {
			t.Errorf("renewed for %v, id %d: want 6 s, id %d", d, again, id)
		}
		told.End(true)
		if d, again := h.LeaseAll("a", 10*time.Second, id, 1); d != 10*time.Second || again != id {
			t.Errorf("renewed for %v, id %d after the telling: want 10 s, id %d", d, again, id)
		}
	})
}
