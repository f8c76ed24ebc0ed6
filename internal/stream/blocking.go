package stream

import (
	"context"
	"errors"
	"sync"
)

// Get asks for the value of one key and waits for it. The error is that of ctx or
// of the link; the peer's is in the Answer.
func (l *Link) Get(ctx context.Context, q *Query) (Answer, error) {
	w := l.waiter()
	id, err := retry(ctx, l, func() (ID, error) { return l.Ask(w, q) })
	if err != nil {
		return Answer{}, err
	}
	return w.wait(ctx, l, id)
}

// GetBatch asks for the values of keys and calls answer for each as it comes, as a
// Waiter's. It returns when all are answered or ctx has ended. Its error is that of
// ctx, or why not all could be asked for; answer is then not called for the rest,
// and not after it has returned.
func (l *Link) GetBatch(ctx context.Context, group string, keys []string, answer func(i int, a Answer, err error)) error {
	b := &batchWaiter{answer: answer, done: make(chan struct{}, 1)}
	var ids []ID
	defer func() {
		for _, id := range ids {
			l.Cancel(id)
		}
		b.mu.Lock()
		b.answer = nil
		b.mu.Unlock()
	}()
	for off := 0; off < len(keys); {
		id, err := retry(ctx, l, func() (ID, error) {
			id, n, err := l.AskBatch(b, off, &Query{Group: group}, keys[off:])
			off += n
			return id, err
		})
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	b.expect(len(keys))
	if len(keys) == 0 {
		return nil
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Change sends a ChangeRequest and returns the ChangeResponse. The error is that of
// ctx or of the link.
func (l *Link) Change(ctx context.Context, request []byte) (string, error) {
	w := l.waiter()
	id, err := retry(ctx, l, func() (ID, error) { return l.AskChange(w, request) })
	if err != nil {
		return "", err
	}
	a, err := w.wait(ctx, l, id)
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
	a    Answer
	err  error
	done chan struct{} // has room for one: it is told once
}

// waiter returns one that is ready for use. They are kept by the link, because a
// channel that was made in a bubble of synctest must not leave it.
func (l *Link) waiter() *waiter {
	if w, ok := l.waiters.Get().(*waiter); ok {
		return w
	}
	return &waiter{done: make(chan struct{}, 1)}
}

// Answer implements Waiter.
func (w *waiter) Answer(_ int, a Answer, err error) {
	w.a, w.err = a, err
	w.done <- struct{}{}
}

// wait returns the answer to the request of that id. w must not be used after it.
func (w *waiter) wait(ctx context.Context, l *Link, id ID) (Answer, error) {
	select {
	case <-w.done:
	case <-ctx.Done():
		if l.Cancel(id) {
			l.waiters.Put(w)
			return Answer{}, ctx.Err()
		}
		<-w.done // at once
	}
	a, err := w.a, w.err
	w.a, w.err = Answer{}, nil
	l.waiters.Put(w)
	return a, err
}

// batchWaiter waits for the answers of several batches.
type batchWaiter struct {
	done chan struct{} // has room for one: it is told once

	mu     sync.Mutex
	answer func(i int, a Answer, err error) // guarded by mu; nil: nobody waits
	got    int                              // guarded by mu
	want   int                              // guarded by mu; 0: not known yet
}

// Answer implements Waiter.
func (b *batchWaiter) Answer(i int, a Answer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answer != nil {
		b.answer(i, a, err)
	}
	b.got++
	b.tell()
}

func (b *batchWaiter) expect(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.want = n
	b.tell()
}

func (b *batchWaiter) tell() {
	if b.got == b.want {
		b.done <- struct{}{}
	}
}
