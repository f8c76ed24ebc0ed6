package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// cutNet is a network of clusters in which some pairs do not reach each other.
type cutNet struct {
	mu    sync.Mutex
	all   map[string]*Cluster // guarded by mu
	cut   map[[2]string]bool  // guarded by mu; from, to
	deaf  map[[2]string]bool  // guarded by mu; from, to: it cannot confirm what it is told
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
			deaf := n.deaf[[2]string{self, name}]
			n.mu.Unlock()
			if deaf {
				return peer.Changed{Unheard: true, State: to.stateFor(self)}, nil
			}
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
		cut     []string // from a, besides d
		deaf    bool     // a hears d, and cannot confirm it
		planted failpoint.Bug
		told    bool
	}{
		{name: "one reaches it", told: true},
		{name: "it cannot confirm what it hears", deaf: true, told: true},
		{name: "two do not", cut: []string{"http://e", "http://f"}, told: true},
		{name: "nobody is asked", planted: failpoint.Unwitnessed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer failpoint.Plant(tt.planted)()
			net := &cutNet{all: make(map[string]*Cluster), cut: make(map[[2]string]bool), deaf: make(map[[2]string]bool), asked: make(map[string][]string)}
			for _, name := range names {
				c := newFake(t, name, net.netOf(name), func(cfg *Config) { cfg.Detection = 100 * time.Millisecond })
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
			if pair := [2]string{"http://d", "http://a"}; tt.deaf {
				net.deaf[pair] = true
			} else {
				net.cut[pair] = true
			}
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

// One peer can ask for as much to be passed on as it likes: only a few of its requests are obeyed at
// the same time. Those of others are.
func TestPassOnAtOnce(t *testing.T) {
	var telling atomic.Int64
	hung := make(chan struct{})
	net := &fakeNet{change: func(name string, ch *peer.Change) (peer.Changed, error) {
		if len(ch.Roll.Packed) > 0 {
			telling.Add(1)
			<-hung
			telling.Add(-1)
		}
		return peer.Changed{}, &peer.PeerError{Peer: name, Err: errNoNetwork}
	}}
	c := newFake(t, "http://self", net, nil)
	defer shutdown(t.Context(), c)
	names, ask := []string{"http://self"}, peer.Change{Announced: true}
	for i := range 40 {
		names = append(names, fmt.Sprintf("http://peer-%02d", i))
		ask.PassOn = binary.LittleEndian.AppendUint64(ask.PassOn, peer.NameID(names[i+1]))
	}
	if err := c.Set(names); err != nil {
		t.Fatal(err)
	}
	view := c.view.Load().id
	var asked, obeyed [2]atomic.Int64
	var all sync.WaitGroup
	pass := func(who int) {
		name, ask := names[1+who], ask
		ask.State, ask.Proof = saying(uint32(who+1), 9, view), c.token(name)
		all.Go(func() {
			asked[who].Add(1)
			changed, err := c.Answer(t.Context(), name, &ask)
			if err != nil {
				t.Error(err)
			}
			if changed.Relayed {
				obeyed[who].Add(1)
			}
		})
	}
	for who := range 2 {
		c.observe(names[1+who], &peerState{State: saying(uint32(who+1), 5, view)})
	}
	for range 100 {
		pass(0)
	}
	for telling.Load() == 0 || asked[0].Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if n := telling.Load(); n > passesOfAPeer*40 {
		t.Errorf("%d messages are on their way because of one peer, want at most %d", n, passesOfAPeer*40)
	}
	pass(1)
	for asked[1].Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	close(hung)
	all.Wait()
	if obeyed[0].Load() == 0 || obeyed[1].Load() != 1 {
		t.Errorf("%d requests of the one, %d of the other were obeyed", obeyed[0].Load(), obeyed[1].Load())
	}
	if len(c.passing.by) > 0 {
		t.Errorf("%v are left", c.passing.by)
	}
}
