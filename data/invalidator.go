package data

import "context"

// Invalidator is a Driver that tells of what changes in it, whoever changes it.
type Invalidator interface {
	Driver
	// Invalidations reports changes until ctx ends or it fails, and returns why. Once it hears of all changes it calls changed(nil), which
	// means: anything may have changed before. Then it calls changed with the keys of each change. It calls changed again without keys when
	// all keys may have changed. Calls come one at a time, and none after Invalidations has returned. changed should return within milliseconds:
	// a driver may take a longer wait for a broken connection.
	Invalidations(ctx context.Context, changed func(keys []string)) error
}
