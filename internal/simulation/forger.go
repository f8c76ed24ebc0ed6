package simulation

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/peercache/peercache/peer"
)

// forges adds what a stranger does to a scenario. It is drawn apart, so that a seed has the same
// scenario as without.
func (s *scenario) forges() (steps []step) {
	r := rand.New(rand.NewPCG(s.seed, 1))
	if r.IntN(3) == 0 {
		return nil // there is none
	}
	for range 5 + r.IntN(80) {
		at := s.storm + time.Duration(r.Int64N(int64(s.end-s.storm)))
		steps = append(steps, step{at: at, do: doForge, host: r.IntN(s.hosts), other: r.IntN(s.hosts), size: r.Int64()})
	}
	return steps
}

// forge has a stranger send what a step says. He may say anything, but he cannot receive what is sent
// to the address of the process in whose name he speaks. Who asks a process for nothing learns of its
// state.
func (c *player) forge(ctx context.Context, s step) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r := rand.New(rand.NewPCG(uint64(s.size), 2))
	said := c.net.forge(ctx, s.other, s.other, &peer.Change{})
	change := &peer.Change{Announced: r.IntN(2) == 0, State: peer.State{
		View: said.View, Process: said.Process, Number: said.Number,
		Leaving: r.IntN(3) == 0, Offering: r.IntN(3) == 0, Departure: uint64(r.IntN(3)),
	}}
	state := &change.State
	switch r.IntN(4) {
	case 0:
		state.Number = math.MaxUint64
	case 1:
		state.View, state.Number = r.Uint64(), state.Number+1
	case 2:
		state.Process, state.Number = r.Uint32(), r.Uint64()
	}
	if r.IntN(3) == 0 {
		state.Absent = []string{nameOf(r.IntN(c.hosts)), nameOf(r.IntN(c.hosts))}
	}
	if r.IntN(3) == 0 {
		change.Group, change.Offered = "test", []string{"k0", "k1"}
	}
	if r.IntN(3) == 0 {
		change.Token = r.Uint64()
	}
	for range 1 + r.IntN(3) {
		c.net.forge(ctx, s.host, s.other, change)
	}
}
