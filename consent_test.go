package peercache

import (
	"fmt"
	"testing"
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
