package rpc

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/internal/simulation"
)

var seeds = flag.Uint64("sim.seeds", 10, "how many seeds to run TestSimulation with")

// through has the connections of a scenario go through tunnels.
var through = simulation.Carrier{
	Transport: func(h *simnet.Host) *http.Transport {
		transport := h.Transport()
		transport.DialContext = (&Tunnel{Dial: transport.DialContext}).DialContext
		return transport
	},
	Listen: func(l net.Listener) net.Listener { return Listen(l) },
}

// play plays the scenario of a seed, and returns the first promise that was broken.
func play(t *testing.T, seed uint64) (broken string) {
	t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { broken = simulation.Play(t, seed, through) })
	})
	return broken
}

// TestSimulation plays scenarios of the simulation through tunnels.
func TestSimulation(t *testing.T) {
	for seed := uint64(1); seed <= *seeds && !t.Failed(); seed++ {
		if broken := play(t, seed); broken != "" {
			t.Error(broken)
		}
	}
}

// TestSimulationFindsPlantedBugs sees that it looks.
func TestSimulationFindsPlantedBugs(t *testing.T) {
	const most = 600
	defer failpoint.Plant(failpoint.NoTaint)()
	for seed := uint64(1); seed <= most; seed++ {
		if play(t, seed) != "" {
			t.Logf("found with the seed %d", seed)
			return
		}
	}
	t.Errorf("%d seeds, and the bug was not found", most)
}
