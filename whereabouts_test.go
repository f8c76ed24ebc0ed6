package peercache_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// Both sides of a fetch say where the key lives: the owner has the value and the lease, the asker
// the copy.
func TestWhereabouts(t *testing.T) {
	nodes := newCluster(t, 3, config{
		getter: func(int) peercache.Getter { return &origin{} },
		group:  []peercache.GroupOption{peercache.WithTTL(time.Hour), peercache.WithTTLJitter(0)},
	})
	owner, asker := nodes[0], nodes[1]
	key := keyOwnedBy(t, nodes, 0, 0)
	for range 3 { // so that it is worth a copy
		if _, err := asker.group.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	at, before := owner.group.Whereabouts(key), owner.group.Stats()
	if at.Owner != owner.url || len(at.Candidates) != 3 || at.Candidates[0] != owner.url || !slices.Contains(at.Candidates, asker.url) {
		t.Errorf("the owner says %q, %q: want %s, then the two others", at.Owner, at.Candidates, owner.url)
	}
	if m := at.Main; m == nil || m.View.String() != "value of "+key || m.Age < 0 || m.Age > time.Minute || m.Left < 59*time.Minute || m.Left > time.Hour || m.Lease != 0 || m.Missing {
		t.Errorf("the owner has %+v: want the value, with an hour left", m)
	}
	if at.Hot != nil {
		t.Errorf("the owner has a copy %+v: want none", at.Hot)
	}
	var held bool
	for _, h := range at.Holders {
		held = held || h.Peer == asker.url && h.Left > 0 && h.Left <= time.Minute
	}
	if !held {
		t.Errorf("the owner says that %v have copies: want %s", at.Holders, asker.url)
	}
	if after := owner.group.Stats(); after.Gets != before.Gets {
		t.Error("the look counts as a Get")
	}
	if at := asker.group.Whereabouts(key); at.Owner != owner.url || at.Main != nil || at.Hot == nil || at.Hot.Lease <= 0 {
		t.Errorf("the asker says %+v: want the owner, and a copy with a lease", at)
	}
	if at := owner.group.Whereabouts("another"); at.Main != nil || at.Hot != nil {
		t.Errorf("of a key that is not cached: %+v", at)
	}
}

// A local cache has no owner, and its errors of missing keys are shown as such.
func TestWhereaboutsAlone(t *testing.T) {
	g, err := peercache.NewGroup("alone", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		return nil, peercache.ErrNotFound
	}), peercache.WithNegativeTTL(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = g.Get(t.Context(), "k")
	if at := g.Whereabouts("k"); at.Owner != "" || at.Candidates != nil || at.Main == nil || !at.Main.Missing || at.Holders != nil {
		t.Errorf("%+v: want a missing key, and nobody else", at)
	}
}

func TestRing(t *testing.T) {
	nodes := newCluster(t, 3, config{getter: func(int) peercache.Getter { return &origin{} }})
	r, other := nodes[0].pool.Ring(), nodes[1].pool.Ring()
	if r.View != other.View || len(r.Shares) != 3 || r.Age < 0 || len(r.Leaving) != 0 {
		t.Fatalf("%+v and %+v: want one view of three", r, other)
	}
	all := 0.0
	for _, s := range r.Shares {
		all += s.Part
		if s.Part < 0.3 || s.Part > 0.37 {
			t.Errorf("%s has %f: want about a third", s.Peer, s.Part)
		}
	}
	if math.Abs(all-1) > 1e-9 {
		t.Errorf("the shares add up to %f: want 1", all)
	}
	if err := nodes[2].pool.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := nodes[2].pool.Ring(); len(r.Shares) != 2 || len(r.Leaving) != 1 || r.Leaving[0] != nodes[2].url {
		t.Errorf("after its Shutdown: %+v, want two peers, and itself leaving", r)
	}
}
