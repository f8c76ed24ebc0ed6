package cluster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// cutNet is a network of clusters in which some pairs do not reach each other.
type cutNet struct {
	mu    sync.Mutex
	all   map[string]*Cluster // guarded by mu
	cut   map[[2]string]bool  // guarded by mu; from, to
	asked map[string][]string // guarded by mu; by the name of a witness, those who asked it
}

func (n *cutNet) netOf(self string) *fakeNet {
	return &fakeNet{
		change: func(name string, c *peer.Change) (peer.Changed, error) {
			n.mu.Lock()
			to, cut := n.all[name], n.cut[[2]string{self, name}] || n.cut[[2]string{name, self}]
			if len(c.PassOn) > 0 {
				n.asked[name] = append(n.asked[name], self)
			}
			n.mu.Unlock()
			if to == nil || cut {
				return peer.Changed{}, &peer.PeerError{Peer: name, Err: errors.New("cut off")}
			}
			return to.Answer(context.Background(), self, c)
		},
	}
}

// A process that cannot reach a peer has others tell it of its view (P8).
func TestP8Witnesses(t *testing.T) {
	names := []string{"http://a", "http://b", "http://c", "http://d", "http://e", "http://f"}
	for _, tt := range []struct {
		name    string
		cut     []string // from d, besides a
		planted failpoint.Bug
		told    bool
	}{
		{name: "one reaches it", told: true},
		{name: "two do not", cut: []string{"http://e", "http://f"}, told: true},
		{name: "nobody is asked", planted: failpoint.Unwitnessed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer failpoint.Plant(tt.planted)()
			net := &cutNet{all: make(map[string]*Cluster), cut: make(map[[2]string]bool), asked: make(map[string][]string)}
			for _, name := range names {
				c := newFake(t, name, net.netOf(name), nil)
				net.mu.Lock()
				net.all[name] = c
				net.mu.Unlock()
				defer shutdown(t.Context(), c)
			}
			for _, name := range names {
				if err := net.all[name].Set(names); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range net.all {
				if err := c.Settled(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			a, d := net.all["http://a"], net.all["http://d"]
			for _, c := range net.all { // all know each other, and have each other's tokens
				for _, m := range c.view.Load().named {
					for range 3 {
						m.send(t.Context(), peer.Change{Announced: true})
					}
				}
			}
			net.mu.Lock()
			net.cut[[2]string{"http://a", "http://d"}] = true
			for _, name := range tt.cut { // these cannot tell a
				net.cut[[2]string{name, "http://a"}] = true
			}
			net.mu.Unlock()
			if err := d.Set(names[:5]); err != nil { // without f
				t.Fatal(err)
			}
			if err := d.Settled(t.Context()); err != nil || !d.IsSettled() {
				t.Fatal(err)
			}
			if got := a.Agreement().Dissenter == "http://d"; got != tt.told {
				t.Errorf("a knows of d's view: %v, want %v; asked were %v", got, tt.told, net.asked)
			}
			net.mu.Lock()
			defer net.mu.Unlock()
			asked := 0
			for _, by := range net.asked {
				if slices.Contains(by, "http://d") {
					asked++
				}
			}
			if asked > mostWitnesses {
				t.Errorf("%v were asked: want %d", net.asked, mostWitnesses)
			}
		})
	}
}

// Who has no proof is no witness's client: nothing is passed on.
func TestP10PassOnWithoutProof(t *testing.T) {
	c, names, view := relayed(t)
	defer shutdown(t.Context(), c)
	for _, from := range []string{names[1], "http://stranger", "", "http://self"} {
		changed, err := c.Answer(t.Context(), from, &peer.Change{
			PassOn: slices.Repeat([]byte{1}, 16), Proof: 5, State: saying(2, 1<<63, view), Announced: true,
		})
		if err != nil || changed.Relayed {
			t.Errorf("from %q: relayed %v, %v", from, changed.Relayed, err)
		}
	}
}
