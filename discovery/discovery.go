// Package discovery tells a process who its peers are.
//
// What tells it implements Discovery. This package has those that need nothing
// beyond the standard library: Static, a list that does not change; File, a list
// in a file that is read again when it changes; and DNS, the addresses of a name.
// Others are modules of their own below this one.
package discovery

import "context"

// A Discovery makes a process known to its peers, and tells it of them.
type Discovery interface {
	// Run registers self, the base URL of this process, and then calls report
	// with the view, once at the beginning and again with each change, until ctx
	// ends. Then it withdraws the registration, in a time of its own that is
	// short, and returns nil. It is called once.
	//
	// Whatever may pass by itself (a server that is not there yet, a connection
	// that is lost, rubbish that another process registered) is no reason to
	// return: Run logs it and carries on, and until it knows better the last view
	// stands. An error is for what only people can mend.
	//
	// report does not block for long, and is called by one goroutine at a time.
	Run(ctx context.Context, self string, report func(View)) error
}

// View is what a Discovery knows at one moment.
type View struct {
	// Peers are the base URLs of the processes of the cluster, in any order. They
	// are passed on as they were registered: who takes the view checks them.
	Peers []string
	// Lapsed says that the registration of this process has run out, or may have:
	// the others may have a view without it by now, and its keys another owner. What a
	// group makes of it is its choice: see peercache.WithConsistency.
	Lapsed bool
}
