package data

import "context"

// Invalidator is a Driver that tells of what changes in it, whoever changes it.
type Invalidator interface {
	Driver
	// Invalidations calls changed with keys that have changed, until ctx ends or it cannot go on any more, and returns why. No keys
	// are all keys: so it begins, when it is told of all changes from now on. changed is called by one
	// goroutine at a time, not after the return, and must not wait for long.
	Invalidations(ctx context.Context, changed func(keys []string)) error
}
