package peercache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

// failingLate is a picker of one peer. Its first answer is not for callers who come meanwhile;
// after that it fails when whoever asks does not wait any longer.
type failingLate struct{ asked int }

func (p *failingLate) Register(*peercache.Group) error { return nil }
func (p *failingLate) Peers() []peercache.Peer         { return []peercache.Peer{p} }
func (p *failingLate) Name() string                    { return "late" }
func (p *failingLate) Pick(_ string, n int) peercache.Peer {
	if n > 0 {
		return nil
	}
	return p
}

func (p *failingLate) Get(ctx context.Context, _ peercache.Query) (peercache.Answer, error) {
	if p.asked++; p.asked == 1 {
		time.Sleep(time.Second)
		return peercache.Answer{}, nil
	}
	<-ctx.Done()
	return peercache.Answer{}, &peercache.PeerError{Peer: "late", Err: errors.New("connection reset by peer")}
}

func (p *failingLate) Change(context.Context, peercache.Change) ([]peercache.Holder, error) {
	return nil, nil
}

// A caller whose context ends while a peer fails gets the end of its context (P3), and not
// the failure of the peer, which is nobody's answer (P6).
func TestP3EndOfACallerBesideAFailureOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := peercache.NewGroup("test", 1<<20, &origin{}, peercache.WithPeers(&failingLate{}))
		if err != nil {
			t.Fatal(err)
		}
		go g.Get(t.Context(), "key")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err = g.Get(ctx, "key")
		if _, failed := errors.AsType[*peercache.PeerError](err); failed || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v: want the end of the caller's context alone", err)
		}
	})
}
