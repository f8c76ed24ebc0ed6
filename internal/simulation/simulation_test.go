package simulation

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/internal/failpoint"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 0, "the one seed to run TestSimulation with; 0: many")
	seedsFlag  = flag.Uint64("sim.seeds", defaultSeeds, "how many seeds to run TestSimulation with")
	firstFlag  = flag.Uint64("sim.first", 1, "the first of many seeds")
	allFlag    = flag.Bool("sim.all", false, "have TestSimulation go on after a failure, and list all seeds that fail")
	strictFlag = flag.Bool("sim.strict", false, "have TestSimulation apply the strictest rules, see the type rules")
)

// TestMain fails when a goroutine is left behind by any test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSimulation plays random scenarios of a cluster, each in virtual time, and
// checks P1, P3, P6, P7 and P8 over all that happened. Where it fails it says how
// to play that scenario again.
func TestSimulation(t *testing.T) {
	first, last := *firstFlag, *firstFlag+*seedsFlag-1
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	most := 1
	if *allFlag {
		most = math.MaxInt
	}
	var handovers, breaks, restored, refused, gatewayHits, nearHits atomic.Int64
	broken := campaign{
		first: first, last: last, most: most, rules: rules{views: *strictFlag, sets: *strictFlag},
		handovers: &handovers, breaks: &breaks, restored: &restored, refused: &refused, gatewayHits: &gatewayHits, nearHits: &nearHits,
	}.play(t)
	t.Logf("%d values were handed over, breakers opened %d times, %d values were restored, %d requests were refused, gateways had %d hits, caches in front had %d",
		handovers.Load(), breaks.Load(), restored.Load(), refused.Load(), gatewayHits.Load(), nearHits.Load())
	if last-first >= 100 && (handovers.Load() == 0 || breaks.Load() == 0 || restored.Load() == 0 || refused.Load() == 0 || gatewayHits.Load() == 0 || nearHits.Load() == 0) {
		t.Error("the scenarios are too tame")
	}
	for _, b := range broken[min(1, len(broken)):] {
		t.Logf("seed %d: %v", b.seed, b.violations[0])
	}
	if len(broken) > 0 {
		t.Errorf("of %d seeds, these many break promises: %d. %v", last-first+1, len(broken), broken[0])
	}
}

// breach is a scenario in which promises were broken.
type breach struct {
	seed       uint64
	transport  string
	violations []violation
	trace      string // of the key of the first violation
}

func (b *breach) String() string {
	return fmt.Sprintf("seed %d, over %s, breaks %d times. First:\n%v\nThe key until then:\n%s"+
		"\nreplay: GOMAXPROCS=1 go test ./internal/simulation -run '^TestSimulation$' -sim.seed=%d -count=5",
		b.seed, b.transport, len(b.violations), b.violations[0], b.trace, b.seed)
}

// campaign is many scenarios.
type campaign struct {
	first, last uint64 // seeds
	most        int    // scenarios that break promises, then it is over
	promise     string // the one that counts; none: all do
	transport   string // the one whose scenarios are played; none: those of all
	sweeping    bool   // of these, the sweeping ones alone
	rules       rules
	// If not nil, those of all scenarios are added.
	handovers, breaks, restored, refused, gatewayHits, nearHits *atomic.Int64
}

// play plays the scenarios on all processors, and returns those that break
// promises.
func (c campaign) play(t *testing.T) []*breach {
	var (
		next   atomic.Uint64
		mu     sync.Mutex
		broken []*breach // guarded by mu
	)
	next.Store(c.first)
	t.Run("seeds", func(t *testing.T) {
		for n := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint("worker", n), func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1) - 1; seed <= c.last && !t.Failed(); seed = next.Add(1) - 1 {
					b := c.playOne(t, seed)
					if b == nil {
						continue
					}
					mu.Lock()
					broken = append(broken, b)
					if len(broken) >= c.most {
						next.Store(c.last + 1)
					}
					mu.Unlock()
				}
			})
		}
	})
	return broken
}

// playOne plays one scenario, and returns what it breaks, if it does. The test's
// name has the seed, so that also a panic tells it.
func (c campaign) playOne(t *testing.T, seed uint64) (b *breach) {
	t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
		s := newScenario(seed)
		if c.transport != "" && c.transport != s.transport || c.sweeping && !s.sweeping {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			h := play(t, s)
			if c.handovers != nil {
				c.handovers.Add(h.handovers)
				c.breaks.Add(h.breaks)
				c.restored.Add(h.restored)
				c.refused.Add(h.refused)
				c.gatewayHits.Add(h.gatewayHits)
				c.nearHits.Add(h.nearHits)
			}
			broken := slices.DeleteFunc(check(s, h, c.rules), func(v violation) bool {
				return c.promise != "" && c.promise != v.promise
			})
			if len(broken) > 0 {
				b = &breach{seed, s.transport, broken, h.trace(broken[0].key, broken[0].at, mostTraced)}
			}
		})
	})
	return b
}

// plantedBugs are those that the checker must find.
var plantedBugs = map[string]failpoint.Bug{
	"no taint":                      failpoint.NoTaint,
	"a lease from answer on":        failpoint.LeaseFromAnswer,
	"copies first":                  failpoint.CopiesFirst,
	"change logs ignored":           failpoint.LogsIgnored,
	"absentees forgotten":           failpoint.AbsentForgotten,
	"no lease, and joined":          failpoint.UnleasedJoined,
	"gateways forgotten":            failpoint.GatewaysForgotten,
	"watchers too late":             failpoint.WatchersLate,
	"a lease on all from answer on": failpoint.WatchFromAnswer,
	"the second level last":         failpoint.LevelLast,
	"permits for ever":              failpoint.PermitsForever,
}

// plantedRarely are those of plantedBugs that are found in one of thousands of seeds.
var plantedRarely = map[failpoint.Bug]bool{failpoint.WatchFromAnswer: true}

// plantedInSweeps are those that sweeping scenarios must find.
var plantedInSweeps = map[string]failpoint.Bug{
	"settled before others are told":    failpoint.RelayUnheard,
	"a roll before the others are told": failpoint.RelayEarly,
	"a lease of a non-replica":          failpoint.LeaseOfNonReplica,
	"no leases in another view":         failpoint.WatchUnreset,
}

// TestSimulationFindsPlantedBugs plants bugs into the groups, and sees that the
// checker finds each of them, over each transport.
func TestSimulationFindsPlantedBugs(t *testing.T) {
	const most = 6_000          // each is found in one of 2,500 over a transport, or more often
	const mostSweeping = 30_000 // one in 4 is such a scenario
	quick := raceEnabled || testing.Short()
	for name, bug := range plantedBugs {
		if quick && plantedRarely[bug] {
			continue
		}
		for _, transport := range []string{overMemory, overHTTP} {
			t.Run(name+" over "+transport, func(t *testing.T) {
				defer failpoint.Plant(bug)()
				broken := campaign{first: 1, last: most, most: 1, promise: "P8", transport: transport}.play(t)
				if len(broken) == 0 {
					t.Fatalf("%d seeds, and the bug was not found", most)
				}
				t.Logf("found: %v", broken[0])
			})
		}
	}
	if quick {
		return // the others are found in a few seeds, these take minutes with the race detector
	}
	for name, bug := range plantedInSweeps {
		for _, transport := range []string{overMemory, overHTTP} {
			if bug == failpoint.RelayEarly && transport == overHTTP {
				continue // it takes tens of thousands of seeds there
			}
			t.Run(name+" over "+transport, func(t *testing.T) {
				defer failpoint.Plant(bug)()
				broken := campaign{first: 1, last: mostSweeping, most: 1, promise: "P8", transport: transport, sweeping: true}.play(t)
				if len(broken) == 0 {
					t.Fatalf("%d seeds, and the bug was not found", mostSweeping)
				}
				t.Logf("found: %v", broken[0])
			})
		}
	}
}
