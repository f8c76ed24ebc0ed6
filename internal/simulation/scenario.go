package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/simnet"
)

// The times that a simulation's pools and groups are set to, and what follows
// from them.
const (
	peerTimeout = 700 * time.Millisecond
	loadTimeout = 2 * time.Second
	longestLoad = 150 * time.Millisecond

	// largeValue is the size, in bytes, from which a value takes a request of its own.
	largeValue = 2 << 10

	// startTime is how long the first processes have to find each other.
	startTime = time.Second

	// settleTime is how long after the last fault something may still go the way
	// that the fault made it go: a fetch that hangs at three peers in turn, a
	// connection that is tried again.
	settleTime = 3*peerTimeout + loadTimeout + 2*time.Second
	// boundTime is how long after the last fault a call may still take.
	boundTime = settleTime + 5*time.Second
)

// scenario is all that a simulation is going to do. It follows from its seed
// alone. It has four parts: calm, storm, settling, calm.
type scenario struct {
	seed       uint64
	transport  string  // overMemory, overHTTP
	carrier    Carrier // of overHTTP
	hosts      int     // as many as there ever are
	members    []int   // of the first view
	gateways   []int   // hosts whose processes own nothing; see drawGateways
	keys       []string
	link       simnet.Link
	detect     time.Duration // the pools' detection time
	standIn    time.Duration // the groups'
	relayFrom  int           // of how many peers a view has a coordinator; 0: as a rule
	sweeping   bool          // see sweeps
	cacheBytes int64
	failing    float64 // share of loads that fail
	lasting    float64 // share of values without a TTL of their own
	largest    int     // value, in bytes
	batches    bool    // the getter is a BatchGetter
	plain      bool    // peers are asked without streams
	snapshots  bool    // who is shut down leaves a snapshot to the next on its host
	freshness  freshness
	near       []int  // hosts with a cache in front of the group, see nearCache
	steps      []step // in the order of their instants

	storm, heal, settled, end time.Duration
	finally                   []int // members of the last view
}

// freshness is what the groups are asked for. Zero is a group's default.
type freshness struct {
	ttl                  time.Duration
	jitter               float64
	staleWhileRevalidate time.Duration
	staleIfError         time.Duration
	negativeTTL          time.Duration
	refreshAhead         time.Duration
	lease                time.Duration
}

// action is what a step does.
type action int

const (
	doGet        action = iota // host, keys[0], patience
	doGetMulti                 // host, keys, patience
	doNearGet                  // host, keys[0], patience: of the cache in front
	doRemove                   // host, keys, patience, probes; after a write of the keys
	doSet                      // host, keys[0], patience, probes, absent ignored; after a write
	doClear                    // host, keys, patience, probes; after a write of the keys
	doWrite                    // keys, absent: the origin changes, and nobody says so
	doCut                      // host, other
	doCutOneWay                // host, other
	doHeal                     // host, other
	doReset                    // host, other
	doFreeze                   // host
	doThaw                     // host
	doCutAfter                 // host, other, size: of what the one sends to the other
	doResetAfter               // host, other, size
	doCrash                    // host
	doPowerOff                 // host
	doStart                    // host, unless it runs
	doShutdown                 // host
	doView                     // hosts, arrival
	doForge                    // host, other, size: a stranger says something to the one in the name of the other
	doEndStorm                 // all faults end, and all members have the last view
)

// step is one thing that happens at an instant.
type step struct {
	at          time.Duration
	do          action
	host, other int
	keys        []string
	absent      bool            // what is written is that there is no such key
	size        int64           // in bytes
	pause       time.Duration   // between the write and the call that tells the cache
	patience    time.Duration   // of the call; 0: without end
	probes      []int           // hosts that Get the keys as soon as the call has returned
	hosts       []int           // the new view
	arrival     []time.Duration // when each host hears of it, after at
}

// listedOnly reports whether a process lets in only those that are on its list, as if certificates
// said who asks. It is drawn apart, so that a seed has the same scenario as without.
func (s *scenario) listedOnly() bool { return s.seed%3 != 0 }

// leveled reports whether the groups have a second level. It is drawn apart as well.
func (s *scenario) leveled() bool { return s.seed%4 == 2 }

// listing returns a list of names as processes are given it.
func (s *scenario) listing(names []string) []string {
	texts := slices.Clone(names)
	for _, i := range s.gateways {
		if at := slices.Index(texts, nameOf(i)); at >= 0 {
			texts[at] = discovery.OwningNothing(texts[at])
		}
	}
	return texts
}

// isGateway reports whether the processes of a host own nothing.
func (s *scenario) isGateway(host int) bool { return slices.Contains(s.gateways, host) }

// host returns the name of the i-th host.
func host(i int) string { return fmt.Sprintf("10.0.0.%d", i+1) }

// nameOf returns the base URL of what runs on the i-th host.
func nameOf(i int) string { return "http://" + host(i) + ":8001" }
