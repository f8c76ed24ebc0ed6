package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// relayed makes a cluster with a coordinator for any view, and two peers whose processes it knows.
func relayed(t *testing.T) (c *Cluster, names [2]string, view uint64) {
	t.Helper()
	c = newFake(t, "http://self", new(fakeNet), func(cfg *Config) { cfg.RelayFrom = 2 })
	names = [2]string{"http://peer-a", "http://peer-b"}
	if err := c.Set([]string{"http://self", names[0], names[1]}); err != nil {
		t.Fatal(err)
	}
	c.background.Wait()
	view = c.view.Load().id
	for i, name := range names {
		c.observe(name, &peerState{State: saying(uint32(i+1), 5, view)})
	}
	return c, names, view
}

// roll returns one with a statement.
func roll(view uint64, name string, process uint32, number uint64) *peer.Roll {
	r := &peer.Roll{View: view}
	r.Add(peer.Statement{ID: peer.StatementID(name, process), Number: number, View: view, Began: number})
	return r
}

// What a coordinator says of a peer counts as if the peer had said it: in the order in which the
// peer said it, and of the process that is known to be there.
func TestP8RelayedStatements(t *testing.T) {
	for _, planted := range []failpoint.Bug{failpoint.None, failpoint.RelayUnordered} {
		remove := failpoint.Plant(planted)
		c, names, view := relayed(t)
		remove()
		const other = 7
		wrong := ""
		for _, step := range []struct {
			what      string
			roll      *peer.Roll
			told      bool
			dissenter string
			begins    bool
		}{
			{"it has another view", roll(other, names[0], 1, 6), true, names[0], true},
			{"it had this view before", roll(view, names[0], 1, 5), true, names[0], true}, // it had another one for a while
			{"it has this view again", roll(view, names[0], 1, 7), true, "", true},
			{"it had another view before", roll(other, names[0], 1, 6), true, "", true},
			{"a process that is not known has another view", roll(other, names[0], 9, 99), false, "", false},
			{"a process that is no peer has another view", roll(other, "http://peer-c", 1, 99), false, "", false},
		} {
			epoch := c.Agreement().Epoch
			got := c.observeRoll(step.roll, true)
			now := c.Agreement()
			if (len(got.told) == 1) != step.told || hasBit(got.untold, 0) == step.told || now.Dissenter != step.dissenter || (now.Epoch != epoch) != step.begins {
				wrong = fmt.Sprintf("%s: told %v, untold %v, dissenter %q, epoch %d after %d", step.what, got.told, got.untold, now.Dissenter, now.Epoch, epoch)
				break
			}
		}
		if (wrong != "") != (planted != failpoint.None) {
			t.Errorf("with the bug %d: %s", planted, wrong)
		}
	}
}

// Without a proof, or from a process that is no peer, a roll changes nothing.
func TestP10ForgedRoll(t *testing.T) {
	c, names, _ := relayed(t)
	defer shutdown(t.Context(), c)
	epoch := c.Agreement().Epoch
	for i, from := range []string{names[1], "http://stranger", "", "http://self"} {
		changed, err := c.Answer(t.Context(), from, &peer.Change{
			Roll: *roll(7, names[0], 1, 1<<63), Proof: uint64(i), State: saying(2, 1<<63, 7), Announced: true, Relay: true,
		})
		if err != nil || changed.Relayed {
			t.Errorf("from %q: relayed %v, %v", from, changed.Relayed, err)
		}
	}
	if now := c.Agreement(); now.Epoch != epoch || now.Dissenter != "" {
		t.Errorf("%q is taken for a dissenter", now.Dissenter)
	}
}

// A roll that is none, or is cut off, is read up to there.
func TestP10BadRoll(t *testing.T) {
	c, names, view := relayed(t)
	whole := peer.Roll{View: view}
	for range 3 {
		whole.Add(peer.Statement{ID: peer.StatementID(names[0], 1), Number: 300, View: 7, Began: 1})
	}
	all := slices.Collect(whole.All())
	if len(all) != 3 || all[2].Number != 300 || all[2].View != 7 || all[2].Began != 1 {
		t.Fatalf("%+v", all)
	}
	for n := range whole.Packed {
		cut := peer.Roll{View: view, Packed: whole.Packed[:n]}
		if got := len(slices.Collect(cut.All())); got > 3*n/len(whole.Packed) {
			t.Errorf("%d statements in %d bytes of %d", got, n, len(whole.Packed))
		}
		c.observeRoll(&cut, true)
	}
}
