package stream

import (
	"context"
	"errors"

	"github.com/peercache/peercache/peer"
)

// Get asks for the value of one key and waits for it. err is ctx's, or why the link has failed;
// answer is the error in the peer's answer, peer.ErrLarge, or a *peer.UnansweredError.
func (l *Link) Get(ctx context.Context, q *peer.Query) (a peer.Answer, answer, err error) {
	w := l.waiter()
	id, err := retry(ctx, l, func() (ID, error) { return l.Ask(w, q) })
	if err != nil {
		return peer.Answer{}, nil, err
	}
	return w.wait(ctx, l, id)
}

// Change sends a pb.ChangeRequest and returns the pb.ChangeResponse. The error is ctx's, or why
// the link has failed.
func (l *Link) Change(ctx context.Context, request []byte) ([]byte, error) {
	w := l.waiter()
	id, err := retry(ctx, l, func() (ID, error) { return l.askChange(w, request) })
	if err != nil {
		return nil, err
	}
	a, _, err := w.wait(ctx, l, id)
	return a.Value, err
}

// retry calls ask, and again when there is room.
func retry(ctx context.Context, l *Link, ask func() (ID, error)) (ID, error) {
	for {
		id, err := ask()
		if !errors.Is(err, ErrFull) {
			return id, err
		}
		if err := l.Room(ctx); err != nil {
			return 0, err
		}
	}
}

// waiter waits for one answer.
type waiter struct {
	a       peer.Answer
	answer  error         // the error in the answer
	failure error         // why the link has failed before there was an answer
	done    chan struct{} // has room for one: it is used once
}

// waiter returns one that is ready for use. They are kept by the link, because a
// channel that was made in a bubble of synctest must not leave it.
func (l *Link) waiter() *waiter {
	if w, ok := l.waiters.Get().(*waiter); ok {
		return w
	}
	return &waiter{done: make(chan struct{}, 1)}
}

// Answer implements peer.Waiter.
func (w *waiter) Answer(_ int, a peer.Answer, err error) {
	w.a, w.answer = a, err
	w.done <- struct{}{}
}

// fail is called in place of Answer when the link has failed.
func (w *waiter) fail(err error) {
	w.failure = err
	w.done <- struct{}{}
}

// wait returns the answer to the request of that id. w must not be used after it.
func (w *waiter) wait(ctx context.Context, l *Link, id ID) (a peer.Answer, answer, err error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		if l.Cancel(id) {
			l.waiters.Put(w)
			return peer.Answer{}, nil, ctx.Err()
		}
		<-w.done // at once
	}
	a, answer, err = w.a, w.answer, w.failure
	w.a, w.answer, w.failure = peer.Answer{}, nil, nil
	l.waiters.Put(w)
	return a, answer, err
}
