// Package failpoint has bugs that tests plant. The tests of P8 have to find them, which shows that
// these tests can fail. Nothing else plants a bug.
package failpoint

import "sync/atomic"

// A Bug is a bug that a test plants into groups.
type Bug int32

const (
	None              Bug = iota
	NoTaint               // a value that is on its way when its key is removed is cached
	LeaseFromAnswer       // a holder counts its lease from the answer, not from the question
	CopiesFirst           // the owner drops its value after the holders dropped their copies
	OfferWins             // an offered value is cached although its key was removed meanwhile
	LogsIgnored           // a value is restored although it was changed while the process was down
	AbsentForgotten       // a peer that has left is not told of changes, although it may be back
	UnleasedJoined        // a caller gets the answer to an earlier question that asked for no lease
	RelayUnheard          // a view counts as announced before the coordinator has told the peers
	RelayEarly            // the coordinator answers before it has told them
	LateSet               // a value counts that was set before another change, and comes after it
	LeaseOfNonReplica     // a process gives a lease of a key of which others do not tell it
	Unwitnessed           // nobody is asked to tell those of a view that cannot be reached
	GatewaysForgotten     // a change that all peers are told of does not reach those that own nothing
	RelayUnordered        // what it tells counts, although its subject has said something else since
	WatchFromAnswer       // a lease on all keys is counted from the answer, to its very end
	WatchersLate          // watchers are told of a change after it was acknowledged
	WatchUnreset          // watchers are not told that an epoch has ended, and that leases have to be taken anew
	LevelLast             // values are removed from the second level after the peers were told
	PermitsForever        // a second level keeps a value although its key was removed since the load began
)

var planted atomic.Int32

// Plant plants b into all groups that are made until remove is called. Tests that plant bugs do not
// run in parallel with others.
func Plant(b Bug) (remove func()) {
	before := planted.Swap(int32(b))
	return func() { planted.Store(before) }
}

// Planted returns the bug that is planted into a group that is made now.
func Planted() Bug { return Bug(planted.Load()) }
