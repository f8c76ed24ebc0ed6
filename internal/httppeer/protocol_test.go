package httppeer

import (
	"net/http"
	"testing"

	"github.com/peercache/peercache/peer"
)

// The headers of a response tell who answers now, and cost nothing but their place in the map.
func TestIdentityHeadersAreShared(t *testing.T) {
	var shared identities
	header := make(http.Header)
	for _, who := range []peer.Identity{{Name: "http://a", Process: 1}, {Name: "http://a", Process: 2, Cluster: "c"}, {Name: "http://b", Process: 1 << 31}} {
		clear(header)
		shared.set(header, who)
		if got := identityOf(header); got != who {
			t.Errorf("the headers are of %v, want %v", got, who)
		}
		if n := testing.AllocsPerRun(100, func() { shared.set(header, who) }); n > 0 {
			t.Errorf("%v allocations for the headers of %v, want none", n, who)
		}
	}
}
