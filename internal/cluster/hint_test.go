package cluster

import (
	"testing"

	"github.com/peercache/peercache/peer"
)

// A request is proven by the token that was sent to the peer's address, if it comes from the
// process that was observed there last.
func TestProof(t *testing.T) {
	cluster, self, name := silentPair(t)
	defer shutdown(t.Context(), cluster)
	token, view := cluster.token(name), cluster.view.Load().id
	if token == 0 || token == cluster.token(self) || token != cluster.token(name) {
		t.Fatal("the token is not the peer's own")
	}
	if other, _, _ := silentPair(t); other.token(name) == token {
		t.Fatal("another process has the same token")
	}
	for i, c := range []struct {
		from    string
		proof   uint64
		process uint32
		before  uint32 // the process that was observed before; 0: none
		want    bool
	}{
		{name, token, 1, 1, true},
		{name, token, 1, 0, false},
		{name, token, 2, 1, false},
		{name, token + 1, 1, 1, false},
		{name, 0, 1, 1, false},
		{self, cluster.token(self), 1, 1, false},
		{"http://not-a-member", cluster.token("http://not-a-member"), 1, 1, false},
	} {
		clear(cluster.agreement.records)
		if c.before != 0 {
			cluster.observe(name, &peerState{State: saying(c.before, 1, view)})
		}
		req := &peer.Change{State: saying(c.process, 0, 0), Proof: c.proof, Token: 9}
		if got := cluster.proven(c.from, req); got != c.want {
			t.Errorf("case %d: proven %t, want %t", i, got, c.want)
		}
	}
	if n := len(cluster.agreement.records); n > 1 {
		t.Errorf("records of %d peers are kept, of which one is in the view", n)
	}
}
