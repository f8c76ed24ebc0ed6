package stream

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// A request that is not answered within its limit is withdrawn, though the peer gives signs
// of life. What has no limit waits on.
func TestOverdueRequestsAreWithdrawn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := make(chan error, 4)
		h := funcs{
			load: func(ctx context.Context, _, _ string) reply {
				<-ctx.Done()
				ended <- ctx.Err()
				return reply{}
			},
			loadBatch: func(ctx context.Context, _ string, _ []string, answer func(int, reply)) {
				answer(1, reply{Value: "b"})
				<-ctx.Done()
				ended <- ctx.Err()
			},
		}
		e := connect(t, h, Config{})
		defer e.end()
		var one, many, patient records
		start := time.Now()
		waited := make(chan error, 1)
		go func() {
			_, answer, err := e.Get(t.Context(), &peer.Query{Group: "g", Key: "k", Timeout: 5 * time.Second})
			wantErr(t, "Get", err, nil)
			waited <- answer
		}()
		e.Ask(&patient, &peer.Query{Group: "g", Key: "k"})
		e.Ask(&one, &peer.Query{Group: "g", Key: "k", Timeout: 5 * time.Second})
		e.AskBatch(&many, 10, &peer.Query{Group: "g", Timeout: 5 * time.Second}, []string{"a", "b", "c"}, nil)
		<-ended
		<-ended
		<-ended
		if answer := <-waited; !peer.IsUnanswered(answer) {
			t.Errorf("Get: the answer is %v, want an UnansweredError", answer)
		}
		time.Sleep(time.Second)
		want := &peer.UnansweredError{Peer: peerName, Within: 5 * time.Second}
		for name, got := range map[string]record{"one": one.one(t, 0), "first": many.one(t, 10), "last": many.one(t, 12)} {
			if took := got.at.Sub(start); !reflect.DeepEqual(got.err, want) || took < 5*time.Second || took > 5200*time.Millisecond {
				t.Errorf("%s: %v after %v, want %v after 5s", name, got.err, took, want)
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
		e := connect(t, funcs{load: func(context.Context, string, string) reply { <-release; return reply{} }}, Config{})
		start := time.Now()
		var r, late records
		e.Ask(&r, &peer.Query{Group: "g", Key: "k", Timeout: 5 * time.Second})
		time.Sleep(9 * time.Second)
		e.Ask(&late, &peer.Query{Group: "g", Key: "other", Timeout: 5 * time.Second})
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
