package peercache

// bug is one of those that others have, for the tests of P8 to find. They show that the
// tests can fail: no option plants one outside of them.
type bug int

const (
	noBug           bug = iota
	noTaint             // what is on its way when its key is removed is kept
	leaseFromAnswer     // a holder counts its lease from the answer, not from the question
	copiesFirst         // the owner drops its value after the holders dropped their copies
	offerWins           // what is offered is kept although its key was removed meanwhile
	logsIgnored         // what is restored was changed while the process was down
	absentForgotten     // who has left is not told, who may be back
)

// taint returns tainted, or what a bug has made of it.
func (b bug) taint(tainted func() bool) func() bool {
	if b == noTaint {
		return func() bool { return false }
	}
	return tainted
}
