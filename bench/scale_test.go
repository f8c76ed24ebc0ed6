package main

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// TestScale counts messages in clusters of two sizes: what a change of the view costs a peer
// grows with the peers in proportion only as long as they are few, a Remove does not grow, and a deploy costs no loads.
// Time is virtual: nobody is late because one machine does the work of all.
func TestScale(t *testing.T) {
	for _, n := range []int{10, 30} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := measureScale(n)
				if err != nil {
					t.Fatal(err)
				}
				checkView(t, "one joins", s.Joins, n+1, 2*scaleKeys)
				checkView(t, "one leaves", s.Leaves, n, 2*scaleKeys)
				checkView(t, "one ends", s.Restart.Ends, n, s.Restart.Keys)
				checkView(t, "one begins", s.Restart.Begins, n, s.Restart.Keys)
				checkRemoves(t, "nobody has a copy", s.Settled, candidatesOfAKey)
				checkRemoves(t, "one has a copy", s.OneHolder, candidatesOfAKey+1)
				checkRemoves(t, "the view has changed", s.During, 2*n)
				if s.Restart.Keys < scaleKeys/2 || s.Restart.Loads != 0 {
					t.Errorf("a deploy of a peer with %d keys took %d loads, want none", s.Restart.Keys, s.Restart.Loads)
				}
			})
		})
	}
}

// fewPeers is up to how many peers tell each other themselves. More have a coordinator do it, and
// a change of the view takes some messages a peer, however many there are.
const fewPeers, relayedMessages = 15, 20

// checkView checks the messages of a change of the view among so many peers, which moves so
// many keys at most: from each to each other if they are few, a few more with what is offered, and
// a Get of each key. Who hears of a leaver from one that does not know yet that it is back asks it,
// once for each message at most.
func checkView(t *testing.T, what string, p price, peers, keys int) {
	t.Helper()
	n, told := int64(peers), p.Requests-p.Gets
	least, most := (n-1)*(n-1), 2*n*(n-1)+4*n
	if n > fewPeers {
		least, most = n-1, relayedMessages*n
	}
	if told < least || told > most {
		t.Errorf("%s of %d: %d messages besides the Gets, want %d to %d", what, peers, told, least, most)
	}
	if p.Gets > int64(keys) {
		t.Errorf("%s of %d: %d Gets, want %d at most", what, peers, p.Gets, keys)
	}
	if most := 6*n + int64(keys); p.Most > most { // the coordinator's
		t.Errorf("%s of %d: %d messages of one of them, want %d at most", what, peers, p.Most, most)
	}
	if mean := p.Bytes / p.Requests; mean > 400 {
		t.Errorf("%s of %d: %d bytes in a message, want 400 at most", what, peers, mean)
	}
}

// checkRemoves checks that each of the Removes took so many messages.
func checkRemoves(t *testing.T, what string, p price, each int) {
	t.Helper()
	if want := int64(each) * removesCounted; p.Requests != want {
		t.Errorf("%d Removes where %s took %d messages, want %d", removesCounted, what, p.Requests, want)
	}
}
