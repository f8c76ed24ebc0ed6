package stream

import (
	"context"

	"github.com/peercache/peercache/peer"
)

// How a Link ends.

// drain takes no more requests. It returns err if none are in flight; else the link ends with
// the last of them. The caller holds l.mu.
func (l *Link) drain(err error) error {
	if l.draining == nil {
		l.draining = err
		l.pending.wakeAll()
	}
	if l.pending.open == 0 {
		return l.draining
	}
	return nil
}

// fail ends the link: every request in flight gets err. Only the first call does
// anything.
func (l *Link) fail(err error) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	l.watch.timer.Stop()
	open, onEnd := l.pending.endAll(), l.onEnd
	l.mu.Unlock()
	l.nc.Close()
	l.w.fail(err)
	defer func() { // when all have their answers
		close(l.done)
		if onEnd != nil {
			go onEnd()
		}
	}()
	failure := &peer.PeerError{Peer: l.name, Err: err}
	for i := range open {
		s := &open[i]
		if s.id == 0 || s.waiter == nil {
			continue
		}
		if w, ok := s.waiter.(*waiter); ok { // of Get or Change, which return err as it is
			w.fail(err)
			continue
		}
		for index := range s.keys {
			if !s.has(index) {
				s.waiter.Answer(s.base+index, peer.Answer{}, failure)
			}
		}
	}
}

// Done returns a channel that is closed when the link has ended and all Waiters have their
// answers.
func (l *Link) Done() <-chan struct{} { return l.done }

// AfterEnd has f called in a goroutine of its own when the link has ended, as Done says. It is
// called once at most.
func (l *Link) AfterEnd(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		go func() {
			<-l.done
			f()
		}()
		return
	}
	l.onEnd = f
}

// Err returns why the link takes no more requests, or nil. There may be requests
// in flight as long as Done is not closed.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	return l.draining
}

// Close takes no more requests and waits for those in flight, as long as ctx
// lasts. What is in flight then fails with ErrClosed. It returns when the link has
// ended, with ctx's error if something was in flight. It must not be called by a
// Waiter.
func (l *Link) Close(ctx context.Context) (err error) {
	l.mu.Lock()
	idle := l.drain(ErrClosed) != nil
	l.mu.Unlock()
	if !idle {
		select {
		case <-l.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	l.fail(ErrClosed)
	<-l.done // if it failed before, that may still be going on
	l.running.Wait()
	return err
}
