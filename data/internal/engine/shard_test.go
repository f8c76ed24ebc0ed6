package engine

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Who waits for a transaction that takes long waits for no longer than its context lasts, does nothing then, and keeps no lock.
func TestEndOfTheContextEndsTheWaitForALock(t *testing.T) {
	e := newTest(t, Config{})
	do(t, e, "mset a 1 b 1 c 1")
	other := "b" // in another shard than a
	if setOf("a") == setOf(other) {
		other = "c"
	}
	waits := map[string]func(ctx context.Context) error{}
	for _, line := range []string{"set a 2", "get a", "mset a 2 " + other + " 2", "mset " + other + " 2 a 2", "mget " + other + " a"} {
		q := queued(e, line)[0]
		waits[line] = func(ctx context.Context) error { return e.Run(ctx, q.Command, q.Args, new(tokens)) }
	}
	waits["Exec"] = func(ctx context.Context) error {
		return e.Exec(ctx, queued(e, "set "+other+" 2", "set a 2"), nil, new(tokens))
	}
	for range 20 {
		x, err := e.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		q := queued(e, "set a 3")[0]
		if err := x.Run(q.Command, q.Args, new(tokens)); err != nil {
			t.Fatal(err)
		}
		for name, wait := range waits {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}
		x.Rollback()
		if got := do(t, e, "mget a "+other); got != do(t, e, "mget b c") {
			t.Fatalf("there is %s", got)
		}
	}
	// Each lock can be had: a transaction takes them all.
	x, err := e.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x.hold(allShards)
	x.Rollback()
}
