package simulation

import (
	"slices"
	"time"
)

// core is how many hosts are in all views of a sweeping scenario, and make all its changes. Who is
// not in a view does not hear of it, and nobody promises anything of the changes that it makes.
const core = 2

// beginSweeps makes the scenario a sweeping one. Enough hosts are there that a key may get an owner
// that was not among its candidates, and it is soon forgotten that the view has changed.
func (g *generator) beginSweeps() {
	g.hosts, g.standIn = 7+g.IntN(3), time.Second
	g.members = nil
	for i := range g.hosts {
		g.members = append(g.members, i)
	}
}

// sweeps adds views from an instant on that most hosts are not in, and returns when the last one has
// come. Some processes get a view long before the others do, and load keys that they own now. Then
// those that have heard nothing change these, and some cannot be reached by the early ones. P8 takes
// that they have heard.
func (g *generator) sweeps(at time.Duration) time.Duration {
	for range 5 {
		at += g.between(2*g.standIn, 3*g.standIn) // it counts no more that the view has changed
		all := g.finally
		members := g.Perm(g.hosts - core)[:2+g.IntN(3)]
		g.finally = []int{0, 1}
		for _, i := range members {
			g.finally = append(g.finally, core+i)
		}
		early := g.finally[core : core+1+g.IntN(len(members))]
		end := at + g.between(3*g.standIn, 4*g.standIn)
		g.bring(at, g.finally, early, end)
		if g.IntN(3) == 0 { // they change their mind, twice
			back := at + g.between(0, 150*time.Millisecond)
			g.bring(back, all, early, end)
			at = back + g.between(0, 150*time.Millisecond)
			g.bring(at, g.finally, early, end)
		}
		for _, i := range early {
			if g.IntN(2) == 0 { // others can still tell all
				g.fault(step{at: at, host: i, other: g.IntN(core)}, doCut, doHeal, end)
			}
		}
		g.reads(at, early)
		at = end + g.between(0, g.standIn)
		g.finally = all
		g.bring(at, all, all, at)
		for _, i := range all {
			g.steps = append(g.steps, step{at: at, do: doStart, host: i})
		}
	}
	return at + g.standIn
}

// bring adds a view, which some hosts hear of early, and the others at an instant.
func (g *generator) bring(at time.Duration, view, early []int, late time.Duration) {
	s := step{at: at, do: doView, hosts: slices.Clone(view)}
	for i := range g.hosts {
		arrival := late - at + g.between(0, 50*time.Millisecond)
		if slices.Contains(early, i) {
			arrival = g.between(0, 20*time.Millisecond)
		}
		s.arrival = append(s.arrival, arrival)
	}
	g.steps = append(g.steps, s)
}

// reads adds that some hosts Get keys, and that these are changed when they have them.
func (g *generator) reads(at time.Duration, early []int) {
	for n, key := range g.keys {
		for _, i := range early {
			g.steps = append(g.steps, step{at: at + g.between(0, 200*time.Millisecond), do: doGet, host: i, keys: []string{key}})
		}
		change := step{at: at + g.between(300*time.Millisecond, 400*time.Millisecond), do: doRemove, host: g.IntN(core), keys: []string{key}, probes: g.Perm(g.hosts)}
		if n%2 == 0 {
			change.at += g.between(0, 5*g.standIn/2)
		}
		g.steps = append(g.steps, change)
	}
}
