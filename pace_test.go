package peercache_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// counting returns a transport of a host that counts what it dials.
func counting(h *simnet.Host, dials *atomic.Int64) http.RoundTripper {
	transport := h.Transport()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, addr)
	}
	return transport
}

// Hundreds of peers that are away are tried so often as the pool may, all together. One that
// is back is found all the same, and one that says so at once.
func TestPeersThatAreAwayAreTriedAtARate(t *testing.T) {
	for name, begin := range map[string]func(*simnet.Network, string){
		"dead": (*simnet.Network).Crash, "cut off": (*simnet.Network).Isolate,
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				const peers, rate = 300, 20
				var dials atomic.Int64
				n := startSimNode(t, net, 0, simConfig{getter: &editions{}, pool: func(int) []peercache.PoolOption {
					return []peercache.PoolOption{peercache.WithReconnectRate(rate), peercache.WithTransport(counting(net.Host(host(0)), &dials))}
				}})
				view := []*node{n}
				for i := 1; i <= peers; i++ {
					net.Host(host(i))
					begin(net, host(i))
					view = append(view, &node{url: fmt.Sprintf("http://%s:8001", host(i))})
				}
				introduce(t, view[:1], view...)
				time.Sleep(time.Minute)
				before := dials.Load()
				time.Sleep(time.Minute)
				if got := dials.Load() - before; got < 60*rate/2 || got > 60*rate*11/10 {
					t.Errorf("%d attempts in a minute, want about %d", got, 60*rate)
				}
				net.HealAll()
				c := simConfig{getter: &editions{}}
				silent, speaks := startSimNode(t, net, 1, c), startSimNode(t, net, 2, c)
				introduce(t, []*node{speaks}, view[0], view[1], speaks)
				time.Sleep(100 * time.Millisecond)
				if s := n.statsOf(t, speaks); s.Breaker != peercache.BreakerClosed {
					t.Errorf("of the peer that has told of its view the breaker is %v", s.Breaker)
				}
				time.Sleep(peers / rate * 4 * time.Second / 3)
				if s := n.statsOf(t, silent); s.Breaker != peercache.BreakerClosed {
					t.Errorf("of the peer that is back the breaker is %v", s.Breaker)
				}
				introduce(t, view[:1], n)
			})
		})
	}
}

// So are those that have said that they leave, and are still on the list.
func TestPeersThatHaveLeftAreVisitedAtARate(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		const peers, rate = 20, 2
		var dials atomic.Int64
		nodes := newSimCluster(t, net, peers, simConfig{getter: &editions{}, pool: func(i int) []peercache.PoolOption {
			if i > 0 {
				return nil
			}
			return []peercache.PoolOption{peercache.WithReconnectRate(rate), peercache.WithTransport(counting(net.Host(host(0)), &dials))}
		}})
		for _, n := range nodes[1:] {
			n.stop(t)
		}
		time.Sleep(2 * time.Minute) // the links have ended
		before := dials.Load()
		time.Sleep(time.Minute)
		if got := dials.Load() - before; got < 60*rate/2 || got > 60*rate*12/10 {
			t.Errorf("%d visits in a minute, want about %d", got, 60*rate)
		}
	})
}

func TestReconnectRateIsChecked(t *testing.T) {
	for _, rate := range []int{0, -1} {
		if _, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithReconnectRate(rate)); err == nil {
			t.Errorf("WithReconnectRate(%d): no error", rate)
		}
	}
}
