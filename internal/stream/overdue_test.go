package stream

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A request that is not answered within its limit is withdrawn, though the peer gives signs
// of life. What has no limit waits on.
func TestOverdueRequestsAreWithdrawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan error, 3)
		h := funcs{
			load: func(ctx context.Context, _, _ string) Answer {
				<-ctx.Done()
				ended <- ctx.Err()
				return Answer{}
			},
			loadBatch: func(ctx context.Context, _ string, _ []string, answer func(int, Answer)) {
				answer(1, Answer{Value: "b"})
				<-ctx.Done()
				ended <- ctx.Err()
			},
		}
		e := connect(t, h, Config{})
		defer e.end()
		var one, many, patient records
		start := time.Now()
		e.Ask(&patient, &Query{Group: "g", Key: "k"})
		e.Ask(&one, &Query{Group: "g", Key: "k", Limit: 5 * time.Second})
		e.AskBatch(&many, 10, &Query{Group: "g", Limit: 5 * time.Second}, []string{"a", "b", "c"})
		<-ended
		<-ended
		time.Sleep(time.Second)
		for name, got := range map[string]record{"one": one.one(t, 0), "first": many.one(t, 10), "last": many.one(t, 12)} {
			if took := got.at.Sub(start); !errors.Is(got.err, ErrOverdue) || took < 5*time.Second || took > 5200*time.Millisecond {
				t.Errorf("%s: %v after %v, want ErrOverdue after 5s", name, got.err, took)
			}
		}
		if got := many.one(t, 11); got.err != nil || got.Value != "b" {
			t.Errorf("the key that was answered: %+v", got)
		}
		if n := e.Stats().InFlight; n != 1 || e.Err() != nil {
			t.Errorf("%d requests in flight, link %v: want the one without a limit", n, e.Err())
		}
	})
}

// A peer that does not answer a withdrawal either, loses the connection: what it never
// answers would take up all the room.
func TestUnansweredWithdrawalEndsTheLink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		e := connect(t, funcs{load: func(context.Context, string, string) Answer { <-release; return Answer{} }}, Config{})
		start := time.Now()
		var r, late records
		e.Ask(&r, &Query{Group: "g", Key: "k", Limit: 5 * time.Second})
		time.Sleep(9 * time.Second)
		e.Ask(&late, &Query{Group: "g", Key: "other", Limit: 5 * time.Second})
		<-e.Done()
		if took := time.Since(start); !errors.Is(e.Err(), ErrProtocol) || took < 10*time.Second || took > 11*time.Second {
			t.Errorf("the link ended with %v after %v, want ErrProtocol after 10s", e.Err(), took)
		}
		r.one(t, 0)
		if got := late.one(t, 0); !errors.Is(got.err, ErrProtocol) {
			t.Errorf("what was in flight got %v", got.err)
		}
		close(release)
		e.end()
	})
}
