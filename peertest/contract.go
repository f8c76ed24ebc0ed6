package peertest

import (
	"cmp"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
)

// Harness makes processes over the transport that is tested. Its functions are called by one
// goroutine. What they open is closed when t ends, by t.Cleanup.
type Harness struct {
	// Address returns a name at which a process can be served, another one at each call. It
	// has at least 8 bytes, as "http://a" has.
	Address func(t testing.TB) string
	// Transport returns the transport of the process of the name self.
	Transport func(t testing.TB, self string) peer.Transport
	// Serve has p answer at an address, until kill is called. After that another process may
	// be served there. kill ends it as the end of a process does: at once, with all that it
	// has not answered, and further connections are refused. It is called once, or not at
	// all.
	Serve func(t testing.TB, address string, p peer.Process) (kill func())

	// Pool are options of the pools that the contract makes over the transport, beside those
	// of its own. It gives them WithDetectionTime and, in one check, WithCluster.
	Pool []peercache.PoolOption
	// Detection is for how long nothing comes from a process until the transport takes it for
	// silent. Zero is 500 ms. Where the machine is busy, it should be longer.
	Detection time.Duration
	// Lacks is what the transport cannot promise. What follows from it is not checked.
	Lacks Feature

	standIn time.Duration // WithStandIn's of the groups; zero is the default
}

// A Feature is a part of what a transport carries. They are combined by |.
type Feature uint

const (
	// QueryFields: of a Query, it carries more than Group and Key. Without them nobody knows
	// who holds copies, so that a Remove does not reach these: golang/groupcache's protocol is
	// so.
	QueryFields Feature = 1 << iota
)

// lacks reports whether the transport cannot do that.
func (h *Harness) lacks(f Feature) bool { return h.Lacks&f != 0 }

func (h *Harness) detection() time.Duration { return cmp.Or(h.Detection, 500*time.Millisecond) }

// check is one part of the contract.
type check struct {
	name string
	run  func(t testing.TB, h Harness)
}

// TestTransport checks a transport, with its server, against the contract of package peer. It
// takes about 15 seconds, most of them waiting. Who writes a transport runs it in his tests:
//
//	func TestTransport(t *testing.T) {
//		peertest.TestTransport(t, peertest.Harness{
//			Address:   func(t testing.TB) string { return freeAddress(t) },
//			Transport: func(t testing.TB, self string) peer.Transport { return newTransport(self) },
//			Serve: func(t testing.TB, address string, p peer.Process) (kill func()) {
//				return listenAndServe(t, address, p).Close
//			},
//		})
//	}
//
// One part of the checks asks scripted processes by a Conn, and looks at what arrives. The other
// part runs clusters over the transport, and looks at what users of package peercache are promised.
func TestTransport(t *testing.T, h Harness) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

var checks = []check{
	// By a Conn.
	{"KeysOfAnyBytes", keysOfAnyBytes},
	{"QueryIsWhole", queryIsWhole},
	{"AnswerIsWhole", answerIsWhole},
	{"ValuesAreCopied", valuesAreCopied},
	{"HitBeforeLoad", hitBeforeLoad},
	{"ErrorsAreAnswers", errorsAreAnswers},
	{"RefusalsAreNoAnswers", refusalsAreNoAnswers},
	{"ChangeIsWhole", changeIsWhole},
	{"ChangedIsWhole", changedIsWhole},
	{"BoundedChange", boundedChange},
	{"BoundedChanged", boundedChanged},
	{"BoundedValue", boundedValue},
	{"Identity", identityIsCarried},
	{"WrongPeerDoesNotCount", wrongPeerDoesNotCount},
	{"RefusedByTheProcess", refusedByTheProcess},
	{"Ping", ping},
	{"NobodyThere", nobodyThere},
	{"KilledWhileAsked", killedWhileAsked},
	{"OwnContext", ownContext},
	{"Cancel", cancelSent},
	{"Batches", batches},
	{"Concurrent", concurrent},
	{"Closed", closed},
	{"SlowIsNotSilent", slowIsNotSilent},
	{"HangingIsSilent", hangingIsSilent},
	// In a cluster.
	{"P1OneLoad", oneLoad},
	{"P1LargeValues", largeValues},
	{"P2Terminal", terminal},
	{"P3CallersLeave", callersLeave},
	{"P6GetterErrors", getterErrors},
	{"P6OwnerGone", ownerGone},
	{"P8Removed", removed},
	{"P8ViewsChange", viewsChange},
	{"P8Restart", restarts},
	{"P8ManyKeys", manyKeys},
	{"ContextTravels", contextTravels},
	{"TwoProcessesOfOneName", twoOfOneName},
	{"OtherCluster", otherCluster},
}
