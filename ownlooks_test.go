package peercache_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// requestsTo counts the requests to a host.
type requestsTo struct {
	http.RoundTripper
	host string
	n    *atomic.Int64
}

func (r requestsTo) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == r.host {
		r.n.Add(1)
	}
	return r.RoundTripper.RoundTrip(req)
}

// A process that does not find itself at its own address asks there calmly, whatever Ready
// does: each request may be a line in the log of the server that is there. When the pool is
// there, Ready knows soon.
func TestLooksAtTheOwnAddressAreCalm(t *testing.T) {
	for name, foreign := range map[string]bool{"nothing listens": false, "what listens is no peer": true} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var mounted atomic.Bool
				mounted.Store(!foreign)
				wrap := func(pool http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if !mounted.Load() { // as Go's server of TLS does
							http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
							return
						}
						pool.ServeHTTP(w, r)
					})
				}
				var asked atomic.Int64
				n := place(t, net, 0, at(0), new(edition), wrap, peercache.WithTransport(requestsTo{net.Host(host(0)).Transport(), host(0) + ":8001", &asked}))
				if !foreign {
					n.end()
				}
				if err := n.pool.Set(at(0), at(1)); err != nil { // a peer that is not there
					t.Fatal(err)
				}
				if err := n.unready(t); err == nil {
					t.Error("Ready returns nil: want that it was not found at its own address")
				}
				if got := asked.Load(); got < 5 || got > 25 {
					t.Errorf("%d requests to the own address in 8 seconds: want 10 in the first, and then one a second", got)
				}
				if mounted.Store(true); !foreign {
					var err error
					if n.end, err = simnet.Serve(net.Host(host(0)), host(0)+":8001", n.pool); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				if err := n.pool.Ready(inside(t)); err != nil || time.Since(start) > 1100*time.Millisecond {
					t.Errorf("Ready returns %v after %v: want nil within about a second", err, time.Since(start))
				}
			})
		})
	}
}
