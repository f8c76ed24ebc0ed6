package peertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// errorsAreAnswers checks that a Handler's error comes with its kind and text, and is never taken
// for a process that cannot be reached (P6).
func errorsAreAnswers(t testing.TB, h Harness) {
	var answer error
	p := newPair(t, h, &script{load: func(_ context.Context, q *peer.Query) (peer.Answer, error) {
		if strings.HasPrefix(q.Key, "good") || q.Key == "beside" {
			return peer.Answer{Item: peer.Item{Value: []byte("v")}}, nil
		}
		return peer.Answer{Item: peer.Item{TTL: 7 * time.Second}}, answer
	}})
	long := strings.Repeat("long text ", 100)
	kinds := []error{peer.ErrNotFound, peer.ErrKeySize, peer.ErrValueSize, context.DeadlineExceeded, context.Canceled, nil}
	for _, w := range p.ways() {
		for _, answer = range []error{
			peer.ErrNotFound, fmt.Errorf("no user: %w", peer.ErrNotFound), peer.ErrKeySize, fmt.Errorf("%w: 5 GB", peer.ErrValueSize),
			context.DeadlineExceeded, fmt.Errorf("the origin: %w", context.Canceled), errors.New("broken \x00\xff\r\n at the origin"), errors.New(long), errors.New(""),
			// Those of a getter that uses a cluster of its own.
			&peer.PeerError{Peer: "http://elsewhere", Err: peer.ErrRefused}, peer.ErrClosed, peer.ErrWrongPeer, peer.ErrSilent, peer.ErrLarge, peer.ErrNotAPeer,
		} {
			a, err := w.ask(&peer.Query{Group: "g", Key: "bad"})
			remote, ok := errors.AsType[*peer.RemoteError](err)
			if !ok || peer.Unreachable(err) {
				t.Errorf("%s, where the getter returns %q: %v (%T), want a *peer.RemoteError and no *peer.PeerError", w.name, answer, err, err)
				continue
			}
			if remote.Peer != p.script.who.Name || remote.Message != answer.Error() {
				t.Errorf("%s: the error is that of %s and says %.60q, want %s and %.60q", w.name, remote.Peer, remote.Message, p.script.who.Name, answer)
			}
			for _, kind := range kinds {
				if kind != nil && errors.Is(err, kind) != errors.Is(answer, kind) {
					t.Errorf("%s, where the getter returns %q: errors.Is of %q is %v", w.name, answer, kind, errors.Is(err, kind))
				}
			}
			if a.TTL != 7*time.Second || len(a.Value) > 0 {
				t.Errorf("%s: beside the error %q came the TTL %v and %d bytes, want 7s and none", w.name, answer, a.TTL, len(a.Value))
			}
			if a, err := w.ask(&peer.Query{Group: "g", Key: "good"}); err != nil || string(a.Value) != "v" {
				t.Errorf("%s after the error %q: %q, %v", w.name, answer, a.Value, err)
			}
		}
	}
	for i := range 30 {
		answer = errors.New("broken")
		if _, err := p.get("bad"); err == nil || peer.Unreachable(err) {
			t.Fatalf("the %d-th error of a getter in a row: %v", i+1, err)
		}
	}
	p.works("after 30 errors of a getter in a row")
}

// refusalsAreNoAnswers checks that a process which does not answer is told from one that does:
// another may be asked. Its answers to others still count.
func refusalsAreNoAnswers(t testing.TB, h Harness) {
	var refusal error
	p := newPair(t, h, &script{load: func(_ context.Context, q *peer.Query) (peer.Answer, error) {
		if q.Group == "g" {
			return peer.Answer{Item: peer.Item{Value: []byte("v")}}, nil
		}
		return peer.Answer{}, refusal
	}})
	for _, w := range p.ways() {
		refusal = peer.RefuseGroup("other")
		if _, err := w.ask(&peer.Query{Group: "other", Key: "k"}); !peer.Unreachable(err) {
			t.Errorf("%s of a group that is not there: %v, want a *peer.PeerError", w.name, err)
		}
		if _, err := w.ask(&peer.Query{Group: "g", Key: "k"}); err != nil {
			t.Errorf("%s of a group that is there, after one that is not: %v", w.name, err)
		}
		refusal = peer.RefuseInvalid("no such thing")
		if _, err := w.ask(&peer.Query{Group: "other", Key: "k"}); err == nil || peer.Unreachable(err) {
			t.Errorf("%s of what is invalid: %v, want an answer", w.name, err)
		}
	}
	refusal = peer.RefuseClosed(p.script.who.Name)
	for _, w := range p.ways() {
		if _, err := w.ask(&peer.Query{Group: "other", Key: "k"}); !peer.Unreachable(err) || !errors.Is(err, peer.ErrClosed) {
			t.Errorf("%s, where the process is leaving: %v, want a *peer.PeerError that is peer.ErrClosed", w.name, err)
		}
		p.conn.Wake()
	}
	if _, err := p.change(&peer.Change{Group: "g", Keys: []string{"k"}}); err != nil {
		t.Errorf("a Change to a process that is leaving: %v, want it told: it obeys", err)
	}
}

// ownContext checks that the end of one who asks is his alone (P3), and that the Handler hears of
// it.
func ownContext(t testing.TB, h Harness) {
	release := make(chan struct{})
	gone := make(chan error, 10)
	var mu sync.Mutex
	asked := make(map[string]bool)
	wait := func(ctx context.Context, key string) {
		mu.Lock()
		asked[key] = true
		mu.Unlock()
		if key == "leaves" {
			select {
			case <-ctx.Done():
				gone <- nil
			case <-time.After(patience):
				gone <- errors.New("its context goes on")
			}
		}
		<-release
	}
	p := newPair(t, h, &script{
		load: func(ctx context.Context, q *peer.Query) (peer.Answer, error) {
			wait(ctx, q.Key)
			return peer.Answer{Item: peer.Item{Value: []byte("v")}}, nil
		},
		change: func(ctx context.Context, c *peer.Change) (peer.Changed, error) {
			wait(ctx, "change")
			return peer.Changed{}, nil
		},
	})
	come := func(key string) {
		eventually(t, "the request for "+key, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return asked[key]
		})
	}
	stays := make(chan error, 1)
	go func() {
		_, err := p.get("stays")
		stays <- err
	}()
	defer func() {
		close(release)
		if err := <-stays; err != nil {
			t.Errorf("one who waited on while others left: %v", err)
		}
	}()
	come("stays")
	for key, ask := range map[string]func(ctx context.Context) error{
		"leaves": func(ctx context.Context) error {
			_, err := p.conn.Get(ctx, &peer.Query{Group: "g", Key: "leaves"})
			return err
		},
		"change": func(ctx context.Context) error {
			_, err := p.conn.Change(ctx, &peer.Change{Group: "g", Keys: []string{"k"}})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		left := leaving(ctx, ask)
		come(key)
		cancel()
		if err, ok := left(); !ok {
			t.Errorf("%s: it went on waiting after its context had ended", key)
		} else if !errors.Is(err, context.Canceled) || key == "leaves" && peer.Unreachable(err) {
			t.Errorf("%s: %v after its context was canceled, want context.Canceled, and no *peer.PeerError", key, err)
		}
		if key != "leaves" {
			continue
		}
		if err, ok := leaving(ctx, ask)(); !ok || err == nil {
			t.Errorf("%s: it waits, or has an answer, where the context had ended before", key)
		}
	}
	if err := <-gone; err != nil {
		t.Errorf("the Handler of one who left: %v, want it ended", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	late := leaving(ctx, func(ctx context.Context) error {
		_, err := p.conn.Get(ctx, &peer.Query{Group: "g", Key: "late"})
		return err
	})
	if err, _ := late(); !errors.Is(err, context.DeadlineExceeded) || peer.Unreachable(err) {
		t.Errorf("after a deadline of the context: %v, want context.DeadlineExceeded, and no *peer.PeerError", err)
	}
}

// leaving asks in a goroutine. What it returns waits for that, for a time.
func leaving(ctx context.Context, ask func(context.Context) error) (wait func() (err error, ok bool)) {
	left := make(chan error, 1)
	go func() { left <- ask(ctx) }()
	return func() (error, bool) {
		select {
		case err := <-left:
			return err, true
		case <-time.After(patience / 2):
			return nil, false
		}
	}
}

// cancelSent checks that a request which is withdrawn gets no answer.
func cancelSent(t testing.TB, h Harness) {
	ended, begun := make(chan struct{}), make(chan struct{})
	p := newPair(t, h, &script{load: func(ctx context.Context, q *peer.Query) (peer.Answer, error) {
		if q.Key == "canceled" {
			close(begun)
			<-ctx.Done()
			close(ended)
		}
		return peer.Answer{}, ctx.Err()
	}})
	s, ok := p.conn.(peer.Starter)
	if !ok {
		return
	}
	w := newWaiter(1)
	r := &peer.Request{Query: peer.Query{Group: "g"}, Keys: []string{"canceled"}, Waiter: w}
	n, sent := startSent(t, s, r)
	if n == 0 {
		return // it need not
	}
	ctx := within(t)
	<-begun
	if !sent.Cancel() {
		t.Error("Cancel says that there was an answer: there was none")
	}
	if sent.Cancel() {
		t.Error("Cancel says twice that there was no answer")
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the context of the Handler goes on after Cancel")
	}
	p.works("after Cancel")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times[0] > 0 {
		t.Errorf("a request that was withdrawn got an answer: %v", w.errs[0])
	}
}

// concurrent has many ask at once, and each wants his own answer.
func concurrent(t testing.TB, h Harness) {
	p := newPair(t, h, &script{
		hit: func(q *peer.Query) (peer.Answer, error) {
			if strings.HasPrefix(q.Key, "cached") {
				return peer.Answer{Item: peer.Item{Value: []byte("value of " + q.Key)}}, nil
			}
			return peer.Answer{}, peer.ErrNotCached
		},
		change: func(_ context.Context, c *peer.Change) (peer.Changed, error) {
			return peer.Changed{GroupNames: c.Keys}, nil
		},
	})
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 30 {
				key := fmt.Sprintf("%s key %d of %d", []string{"cached", "loaded"}[i%2], i, g)
				for _, w := range p.ways() {
					if a, err := w.ask(&peer.Query{Group: "g", Key: key}); err != nil || string(a.Value) != "value of "+key {
						t.Errorf("%s of %q: %q, %v", w.name, key, a.Value, err)
						return
					}
				}
				changed, err := p.change(&peer.Change{Group: "g", Keys: []string{key}})
				if err != nil || len(changed.GroupNames) != 1 || changed.GroupNames[0] != key {
					t.Errorf("Change of %q: the answer to that of %q, %v", key, changed.GroupNames, err)
					return
				}
			}
		})
	}
	all.Wait()
}
