// Package failpoint has bugs that others have, for the tests of P8 to find. They show that the
// tests can fail: nothing plants one outside of them.
package failpoint

import "sync/atomic"

// A Bug is one that a test plants into groups.
type Bug int32

const (
	None            Bug = iota
	NoTaint             // what is on its way when its key is removed is kept
	LeaseFromAnswer     // a holder counts its lease from the answer, not from the question
	CopiesFirst         // the owner drops its value after the holders dropped their copies
	OfferWins           // what is offered is kept although its key was removed meanwhile
	LogsIgnored         // what is restored was changed while the process was down
	AbsentForgotten     // who has left is not told, who may be back
)

var planted atomic.Int32

// Plant plants b into all groups that are made from now on, until remove is called. Tests that
// plant bugs do not run in parallel with others.
func Plant(b Bug) (remove func()) {
	before := planted.Swap(int32(b))
	return func() { planted.Store(before) }
}

// Planted returns the bug of a group that is made now.
func Planted() Bug { return Bug(planted.Load()) }

// Taint returns tainted, or what a bug has made of it.
func (b Bug) Taint(tainted func() bool) func() bool {
	if b == NoTaint {
		return func() bool { return false }
	}
	return tainted
}
