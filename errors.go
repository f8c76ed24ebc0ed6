package peercache

import "errors"

// These are found by errors.Is in the errors that peercache returns, which say
// besides what was asked for.
var (
	// ErrDecode says that a Typed group's codec could not make a value of the
	// cached bytes.
	ErrDecode = errors.New("the cached value cannot be decoded")
	// ErrLapsed says that a Remove, a Set or a Clear has reached the peers of the
	// view that this process has, but that there may be a newer one: it may have been
	// replaced. See WithConsistency. The call may be repeated, until the process is back.
	ErrLapsed = errors.New("the registration of this process has run out, or may have: it may have been replaced")
)
