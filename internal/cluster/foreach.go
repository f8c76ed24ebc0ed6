package cluster

import (
	"iter"

	"golang.org/x/sync/errgroup"
)

// forEach calls f for each of all, limit times at once at most, and returns when all calls
// have.
func forEach[T any](all iter.Seq[T], limit int, f func(T)) {
	var calls errgroup.Group
	calls.SetLimit(limit)
	for one := range all {
		calls.Go(func() error {
			f(one)
			return nil
		})
	}
	calls.Wait()
}
