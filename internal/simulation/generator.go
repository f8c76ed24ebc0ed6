package simulation

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/simnet"
)

// generator draws a scenario.
type generator struct {
	*rand.Rand
	scenario
}

func newScenario(seed uint64) *scenario {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	g.seed, g.snapshots, g.transport = seed, seed%2 == 0, overMemory
	if seed%3 == 0 {
		g.transport = overHTTP
	}
	if seed/6%2 == 1 { // whatever the transport
		g.relayFrom, g.sweeping = 2+int(seed/12%2), seed/24%2 == 1
	}
	g.hosts, g.standIn = 3+g.IntN(5), 3*time.Second
	g.members = g.Perm(g.hosts)[:3+g.IntN(g.hosts-2)]
	if g.sweeping {
		g.beginSweeps()
	}
	for i := range 3 + g.IntN(8) {
		g.keys = append(g.keys, fmt.Sprintf("k%d", i))
	}
	g.link = simnet.Link{MinLatency: g.between(0, 2*time.Millisecond)}
	g.link.MaxLatency = g.link.MinLatency + g.between(0, []time.Duration{2, 20, 60}[g.IntN(3)]*time.Millisecond)
	if g.IntN(3) == 0 {
		g.link.Loss, g.link.RetransmitAfter = 0.03, g.between(10*time.Millisecond, 100*time.Millisecond)
	}
	if g.IntN(4) == 0 {
		g.link.Segment = 1 + g.IntN(100)
	}
	g.detect = []time.Duration{150, 300, 600}[g.IntN(3)] * time.Millisecond
	g.cacheBytes = 4 << 20
	if g.IntN(4) == 0 {
		g.cacheBytes = 32 << 10
	}
	g.failing = []float64{0, 0, 0.05, 0.3}[g.IntN(4)]
	g.lasting = []float64{0.3, 0.7, 1}[g.IntN(3)]
	g.largest = []int{64, 512, 4096}[g.IntN(3)]
	g.batches = g.IntN(3) == 0
	if g.plain = g.IntN(6) == 0; g.plain {
		g.detect = 600 * time.Millisecond // a sign of life takes two round trips
	}
	g.drawFreshness()

	now := time.Millisecond
	now = g.calls(now, 50)
	g.storm = now
	g.finally = slices.Clone(g.members)
	if g.sweeping {
		g.heal = g.sweeps(now)
	} else {
		g.heal = g.calls(now, 240)
		g.faults(now, g.heal)
	}
	g.steps = append(g.steps, step{at: g.heal, do: doEndStorm})
	g.settled = g.calls(g.heal, 20)
	g.settled = max(g.settled, g.heal+settleTime)
	g.end = g.calls(g.settled, 50)
	g.steps = append(g.steps, g.repeats()...)
	g.steps = append(g.steps, g.forges()...)
	slices.SortStableFunc(g.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	g.drawGateways()
	return &g.scenario
}

// drawGateways draws hosts whose processes own nothing, in two of five scenarios. In each view there
// is one that does. It changes nothing else, so that a seed has the same scenario as without.
func (g *generator) drawGateways() {
	if g.seed%5 >= 2 {
		return
	}
	r := rand.New(rand.NewPCG(g.seed, 3))
	views := [][]int{g.members, g.finally}
	for _, s := range g.steps {
		if s.do == doView {
			views = append(views, s.hosts)
		}
	}
	hosts := r.Perm(g.hosts)
	for _, i := range hosts[:1+r.IntN(g.hosts-1)] {
		if g.sweeping && i < core {
			continue
		}
		with := append(slices.Clone(g.gateways), i)
		if !slices.ContainsFunc(views, func(view []int) bool {
			return !slices.ContainsFunc(view, func(host int) bool { return !slices.Contains(with, host) })
		}) {
			g.gateways = with
		}
	}
}

// between draws a duration. Those of 1 ns granularity hardly ever coincide, so
// that what happens does not depend on the scheduler.
func (g *generator) between(from, to time.Duration) time.Duration {
	return from + time.Duration(g.Int64N(int64(to-from)+1))
}

// maybe draws a duration, or zero.
func (g *generator) maybe(from, to time.Duration) time.Duration {
	if g.IntN(2) == 0 {
		return 0
	}
	return g.between(from, to)
}

func (g *generator) drawFreshness() {
	f := freshness{
		ttl:                  g.maybe(50*time.Millisecond, 3*time.Second),
		staleWhileRevalidate: g.maybe(10*time.Millisecond, time.Second),
		staleIfError:         g.maybe(10*time.Millisecond, 2*time.Second),
		negativeTTL:          g.maybe(10*time.Millisecond, 2*time.Second),
		lease:                g.between(200*time.Millisecond, 3*time.Second),
	}
	if f.ttl > 0 && g.IntN(2) == 0 {
		f.jitter = 0.3 * g.Float64()
	}
	if f.ttl > 0 && g.IntN(2) == 0 {
		f.refreshAhead = f.ttl / 4
	}
	g.freshness = f
}

// calls adds n calls from an instant on, in bursts, and returns when the last one
// begins.
func (g *generator) calls(at time.Duration, n int) time.Duration {
	for range n {
		switch g.IntN(10) {
		case 0:
			at += g.between(0, 400*time.Millisecond)
		case 1, 2, 3:
			at += g.between(0, 40*time.Millisecond)
		default:
			at += g.between(0, 4*time.Millisecond)
		}
		g.call(at)
	}
	return at + time.Millisecond
}

// call adds one call. Half of all Gets are of one key, so that much happens to it.
func (g *generator) call(at time.Duration) {
	s := step{at: at, host: g.IntN(g.hosts), keys: []string{g.key()}}
	if g.IntN(3) == 0 {
		s.patience = g.between(time.Millisecond, []time.Duration{100 * time.Millisecond, 2 * time.Second}[g.IntN(2)])
	}
	switch k := g.IntN(100); {
	case k < 68:
		s.do = doGet
	case k < 76:
		s.do, s.keys = doGetMulti, g.someKeys()
	case k < 78:
		s.do, s.absent = doWrite, g.IntN(3) == 0
	default:
		g.invalidation(&s, k)
	}
	g.steps = append(g.steps, s)
}

// repeats returns all Gets once more, a little later: a key that is fetched once is not
// worth a copy. What they draw changes nothing of the rest.
func (g *generator) repeats() (again []step) {
	r := generator{Rand: rand.New(rand.NewPCG(g.seed, 1))}
	for _, s := range g.steps {
		if s.do == doGet {
			s.at += r.between(0, 20*time.Millisecond)
			again = append(again, s)
		}
	}
	return again
}

// invalidation makes s a write and the call that tells the cache.
func (g *generator) invalidation(s *step, k int) {
	s.do, s.absent = doRemove, g.IntN(5) == 0
	if g.sweeping {
		s.host %= core
	}
	s.pause = g.maybe(0, 5*time.Millisecond)
	if g.IntN(3) == 0 { // it gives up before it knows of a peer that it is lost
		s.patience = g.between(50*time.Millisecond, 300*time.Millisecond)
	}
	s.probes = g.Perm(g.hosts)[:[]int{0, 1, 2, g.hosts}[g.IntN(4)]]
	switch {
	case k < 80:
		s.do, s.keys = doClear, g.someKeys()
	case k < 86:
		s.do, s.absent = doSet, false
	case k < 89:
		s.keys = g.someKeys()
	}
}

func (g *generator) key() string {
	if g.IntN(2) == 0 {
		return g.keys[0]
	}
	return g.keys[g.IntN(len(g.keys))]
}

func (g *generator) someKeys() []string {
	var keys []string
	for _, i := range g.Perm(len(g.keys))[:1+g.IntN(len(g.keys))] {
		keys = append(keys, g.keys[i])
	}
	return keys
}

// faults adds what goes wrong between two instants. What a fault does to a host
// or a link is over at the latter.
func (g *generator) faults(from, to time.Duration) {
	for at := from; ; {
		at += g.between(0, (to-from)/8)
		if at >= to {
			break
		}
		longest := []time.Duration{g.detect, (to - from) / 2}[g.IntN(2)]
		over := min(at+g.between(time.Millisecond, longest), to)
		a, b := g.two()
		fault := step{at: at, host: a, other: b, size: g.Int64N(5000)}
		switch g.IntN(17) {
		case 0, 1:
			g.fault(fault, doCut, doHeal, over)
		case 2, 3:
			g.fault(fault, doCutOneWay, doHeal, over)
		case 4:
			g.fault(fault, doCutAfter, doHeal, over)
		case 5:
			g.fault(fault, doResetAfter, doHeal, over)
		case 6:
			g.fault(fault, doReset, doHeal, over)
		case 7, 8:
			g.fault(fault, doFreeze, doThaw, over)
		case 9:
			g.fault(fault, doCrash, doStart, over)
		case 10:
			g.fault(fault, doPowerOff, doStart, over)
		case 11, 12, 13: // a deploy
			g.fault(fault, doShutdown, doStart, over)
		default:
			g.changeView(at, over)
		}
	}
}

// fault adds a fault and its end.
func (g *generator) fault(s step, do, end action, over time.Duration) {
	s.do = do
	g.steps = append(g.steps, s)
	s.at, s.do = over, end
	g.steps = append(g.steps, s)
}

// two draws two hosts, members if possible.
func (g *generator) two() (a, b int) {
	p := g.Perm(len(g.finally))
	return g.finally[p[0]], g.finally[p[1]]
}

// changeView adds the coming or going of a host. One that goes lives on until
// over, or for ever as far as the others know: it may come back as it is.
func (g *generator) changeView(at, over time.Duration) {
	i := g.IntN(g.hosts)
	place := slices.Index(g.finally, i)
	switch {
	case place < 0:
		g.finally = append(slices.Clone(g.finally), i)
		g.steps = append(g.steps, step{at: at, do: doStart, host: i})
	case len(g.finally) > 2:
		g.finally = slices.Delete(slices.Clone(g.finally), place, place+1)
		if g.IntN(2) == 0 {
			g.steps = append(g.steps, step{at: over, do: doShutdown, host: i})
		}
	default:
		return
	}
	s := step{at: at, do: doView, hosts: g.finally}
	for range g.hosts {
		s.arrival = append(s.arrival, g.between(0, []time.Duration{50 * time.Millisecond, 2 * time.Second}[g.IntN(2)]))
	}
	g.steps = append(g.steps, s)
}
