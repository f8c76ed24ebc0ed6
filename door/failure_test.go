package door_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
)

// TestFailures checks what errors mean, and that no client reads the origin's own words.
func TestFailures(t *testing.T) {
	const secret = "postgres://root:pw@10.0.0.7"
	for _, tt := range []struct {
		err  error
		want door.Failure
	}{
		{errors.New(secret), door.Origin},
		{fmt.Errorf("%s: %w", secret, peercache.ErrNotFound), door.NotFound},
		{peercache.ErrKeySize, door.KeySize},
		{fmt.Errorf("%s: %w", secret, peercache.ErrValueSize), door.ValueSize},
		{&peercache.InvalidationError{Group: "g"}, door.Incomplete},
		{errors.Join(peercache.ErrClosed, &peercache.InvalidationError{Group: "g"}), door.Incomplete},
		{peercache.ErrLapsed, door.Lapsed},
		{peercache.ErrClosed, door.Closed},
		{fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), door.Timeout},
		{context.Canceled, door.Canceled},
		{&peercache.PeerError{Peer: "http://a.example:1", Err: errors.New(secret)}, door.Unreachable},
	} {
		got := door.FailureOf(tt.err)
		if got != tt.want || got.String() == "" || strings.Contains(got.String(), secret) {
			t.Errorf("FailureOf(%v) is %d, %q, want %d", tt.err, got, got, tt.want)
		}
	}
}
