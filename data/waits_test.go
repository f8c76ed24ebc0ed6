package data_test

import (
	"context"
	"testing"
	"time"

	"github.com/peercache/peercache/data"
)

// What is left of a deadline that has just passed is less than zero, and must not be to wait without end.
func TestNoWaitIsLessThanZero(t *testing.T) {
	client := newClient()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, wait := range []time.Duration{-1, -time.Microsecond, -time.Hour} {
		const want = data.CommandError("ERR timeout is negative")
		if _, _, err := client.Lists().BLPop(ctx, wait, "jobs"); err != want {
			t.Errorf("BLPop(%v) = %v, want %v", wait, err, want)
		}
		if _, _, err := client.SortedSets().BZPopMin(ctx, wait, "ranking"); err != want {
			t.Errorf("BZPopMin(%v) = %v, want %v", wait, err, want)
		}
	}
}
