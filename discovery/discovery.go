// Package discovery tells a process who its peers are.
//
// A Discovery does that. This package has those that need only the standard library: Static, a list
// that does not change; File, a list in a file, which is read again when it changes; and DNS and
// SRV, the records of a name. The others are modules of their own below this package.
package discovery

import "context"

// A Discovery makes a process known to its peers, and finds them.
type Discovery interface {
	// Run registers self, the base URL of this process as it is listed (SplitPeer), and then calls
	// report with the view, at
	// first and after each change, until ctx ends. Then it removes the registration, for which
	// it takes only a short time, and returns nil. It is called once.
	//
	// Run does not return because of a problem that may pass by itself: a server that is not
	// there yet, a lost connection, rubbish that another process registered. It logs the
	// problem and goes on, and the last view stays. It returns an error only for a problem that
	// people have to solve.
	//
	// report does not block for long. Run does not call it concurrently.
	Run(ctx context.Context, self string, report func(View)) error
}

// View is what a Discovery knows at one moment.
type View struct {
	// Peers are the base URLs of the processes of the cluster, in any order, exactly as they
	// were registered, each with what says that it owns nothing, if it does (OwningNothing). The
	// receiver of the view checks them.
	Peers []string
	// Lapsed says that the registration of this process has expired, or may have. The others
	// may already have a view without it, in which its keys have another owner. What a group
	// does then is its choice: see peercache.WithConsistency.
	Lapsed bool
}
