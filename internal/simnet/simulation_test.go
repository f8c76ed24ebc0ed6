package simnet_test

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/simnet"
)

var seedFlag = flag.Uint64("seed", 0, "the one seed to run TestSimulation with; 0: many")

// TestSimulation sends streams between three hosts while links are cut and
// healed and hosts frozen and thawed. However that goes, each stream arrives
// whole and in order once the network is sound again.
func TestSimulation(t *testing.T) {
	first, last := uint64(1), uint64(100)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	for seed := first; seed <= last && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		if t.Failed() {
			t.Logf("replay: go test -run TestSimulation -seed %d", seed)
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	n := simnet.New(seed)
	defer n.Close()
	r := rand.New(rand.NewPCG(seed, 0))
	n.SetWindow(1 + r.IntN(500))
	n.SetLink(simnet.Link{MaxLatency: 20 * ms, Loss: 0.05, Segment: r.IntN(40), Bandwidth: r.Int64N(2) * 50_000})
	hosts := []string{"a", "b", "c"}
	var all sync.WaitGroup
	for range 6 {
		x, y := connect(t, n, hosts[r.IntN(3)], hosts[r.IntN(3)])
		stream(t, &all, x, y, r.Uint64())
		stream(t, &all, y, x, r.Uint64())
	}
	for range 30 {
		time.Sleep(time.Duration(r.IntN(100)) * ms)
		disturb(n, r, hosts)
	}
	n.HealAll()
	for _, h := range hosts {
		n.Thaw(h)
	}
	all.Wait()
}

// disturb does one thing to the network, or ends what was done to a link.
func disturb(n *simnet.Network, r *rand.Rand, hosts []string) {
	a, b := hosts[r.IntN(3)], hosts[r.IntN(3)]
	switch r.IntN(9) {
	case 0:
		n.Cut(a, b)
	case 1:
		n.CutOneWay(a, b)
	case 2:
		n.CutAfter(a, b, r.Int64N(300))
	case 3:
		n.Isolate(a)
	case 4:
		n.Rejoin(a)
	case 5:
		n.Freeze(a)
	case 6:
		n.Thaw(a)
	default:
		n.Heal(a, b)
	}
}

// stream sends some thousand bytes that follow from seed, and checks them at the
// other end.
func stream(t *testing.T, all *sync.WaitGroup, from, to net.Conn, seed uint64) {
	want := make([]byte, 3000)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	all.Go(func() {
		for sent := 0; sent < len(want); {
			size := min(1+r.IntN(200), len(want)-sent)
			k, err := from.Write(want[sent : sent+size])
			if err != nil {
				t.Error(err)
				return
			}
			sent += k
			time.Sleep(time.Duration(r.IntN(20)) * ms)
		}
		from.(interface{ CloseWrite() error }).CloseWrite()
	})
	all.Go(func() {
		got, err := io.ReadAll(to)
		if err != nil || string(got) != string(want) {
			t.Error(fmt.Errorf("%v to %v: %d of %d bytes, or others: %v", to.RemoteAddr(), to.LocalAddr(), len(got), len(want), err))
		}
	})
}
