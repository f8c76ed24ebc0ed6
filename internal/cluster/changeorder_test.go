package cluster

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"testing"

	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// heardGroup is a fakeGroup that records the values of the changes it is told.
type heardGroup struct {
	fakeGroup
	heard []string
}

func (g *heardGroup) ServeChange(_ context.Context, c peer.Change, late func() bool) []peer.Holder {
	value := "dropped"
	if !late() {
		value = string(c.Item.Value)
	}
	g.heard = append(g.heard, c.Keys[0]+" "+value)
	return nil
}

// A request of a Set that its sender gave up may be obeyed when the Set has long returned. It must not
// bring the old value back (P8).
func TestP8LateSet(t *testing.T) {
	for _, planted := range []failpoint.Bug{failpoint.None, failpoint.LateSet} {
		remove := failpoint.Plant(planted)
		c := newFake(t, selfURL, new(fakeNet), nil)
		remove()
		g := &heardGroup{fakeGroup: fakeGroup{name: "g"}}
		if err := c.Register(g, func(map[string]Group) error { return nil }); err != nil {
			t.Fatal(err)
		}
		for _, m := range []struct {
			from, key, value string
			process          uint32
			number           uint64
		}{
			{"http://a", "k", "1", 1, 5},
			{"http://a", "k", "1", 1, 7},
			{"http://a", "other", "1", 1, 6}, // in no order with k
			{"http://b", "k", "2", 2, 3},
			{"http://a", "k", "1", 1, 6}, // late
			{"http://a", "k", "3", 9, 1}, // of the next process there
			{"http://c", "k", "4", 0, 0}, // of an earlier version
		} {
			change := &peer.Change{Group: "g", Keys: []string{m.key}, Item: &peer.Item{Value: []byte(m.value)}, State: peer.State{Process: m.process, Number: m.number}}
			if _, err := c.Answer(t.Context(), m.from, change); err != nil {
				t.Fatal(err)
			}
		}
		late := map[failpoint.Bug]string{failpoint.None: "k dropped", failpoint.LateSet: "k 1"}[planted]
		if got, want := fmt.Sprint(g.heard), fmt.Sprint([]string{"k 1", "k 1", "other 1", "k 2", late, "k 3", "k 4"}); got != want {
			t.Errorf("heard %v, want %v", got, want)
		}
		shutdown(t.Context(), c)
	}
}

// A message that is late by more changes than are remembered is taken for late all the same.
func TestChangeOrderForgets(t *testing.T) {
	o := &changeOrder{seed: maphash.MakeSeed()}
	isLate := func(key int, process uint32, number uint64) bool {
		return o.record("http://a", &peer.Change{Group: "g", Keys: []string{fmt.Sprint(key)}, State: peer.State{Process: process, Number: number}})()
	}
	const changes = 3 * mostOrdered
	for i := range changes {
		if isLate(i, 1, uint64(2*i+2)) {
			t.Fatalf("change %d is late", i)
		}
	}
	for _, i := range []int{0, changes / 2, changes - 1} {
		if !isLate(i, 1, uint64(2*i+1)) {
			t.Errorf("what came before change %d is not late", i)
		}
	}
	if isLate(0, 2, 1) || isLate(0, 1, 1<<40) {
		t.Error("another process, or a later change, is late")
	}
	before := o.record("http://a", &peer.Change{Group: "g", Keys: []string{"a"}, State: peer.State{Process: 3, Number: 1}})
	if before() {
		t.Error("what nothing has overtaken is late")
	}
	o.record("http://a", &peer.Change{Group: "g", Keys: []string{"a"}, State: peer.State{Process: 3, Number: 2}})
	if !before() {
		t.Error("what was overtaken while it was on its way into the cache is not late")
	}
	for process := range uint32(2 * mostForgetful) {
		isLate(0, 10+process, 1)
	}
	if len(o.last) > mostOrdered || len(o.oldest) > mostOrdered || len(o.forgotten) > mostForgetful {
		t.Errorf("%d and %d changes, and %d processes, are remembered", len(o.last), len(o.oldest), len(o.forgotten))
	}
}

// Who says that it is the process of somebody else does not make what that one says late: neither by
// the highest number for a key, nor by as many keys as are remembered.
func TestChangeOrderOfAnotherSender(t *testing.T) {
	o := &changeOrder{seed: maphash.MakeSeed()}
	change := func(key string, number uint64) *peer.Change {
		return &peer.Change{Group: "test", Keys: []string{key}, State: peer.State{Process: 7, Number: number}}
	}
	o.record("http://forger", change("key", math.MaxUint64))
	if o.record("http://peer", change("key", 5))() {
		t.Error("a Set is late because of what another sender says")
	}
	for i := range 2 * mostOrdered {
		o.record("http://forger", change(fmt.Sprint(i), math.MaxUint64))
	}
	if o.record("http://peer", change("other", 6))() {
		t.Error("a Set is late because of what another sender has had forgotten")
	}
}
