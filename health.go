package peercache

import (
	"context"
	"errors"
	"fmt"
)

// What opens a peer's breaker, and closes it. On a stream that is the link's: an attempt
// that failed, silence, a broken protocol. By the plain way it is what follows. A getter's
// error never is, nor a slow origin, nor what may be due to the one key that was asked for.

var (
	// errForeign says that a response is not one of the protocol's.
	errForeign = errors.New("the response is not a peer's")
	// errLost says that a request by the plain way has had no response, or not the whole.
	errLost = errors.New("no response")
)

// lost is why there was no response to a request with that context.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // it was not waited for any longer, which says nothing of the peer
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// plainly reports whether the peer is spoken to by the plain way for all there is. Else
// its link is the one to judge it.
func (h *httpPeer) plainly() bool { return h.link == nil || h.link.plain() }

// judge draws the conclusions from an answer by the plain way, or from the want of one.
func (h *httpPeer) judge(err error) {
	switch {
	case !unreachable(err):
		h.breaker.answered()
	case errors.Is(err, errForeign), errors.Is(err, ErrClosed):
		h.failedPlainly(err)
	case errors.Is(err, errLost) && h.plainly():
		h.tryPlainly() // a connection may break, or be ended because a load took long
	}
}

// failedPlainly opens the breaker.
func (h *httpPeer) failedPlainly(err error) {
	if h.plainly() {
		h.breaker.trip(err)
	}
}

// tryAgain is the breaker's attempt to reach a peer that failed.
func (h *httpPeer) tryAgain() {
	if h.plainly() {
		h.tryPlainly()
	} else {
		h.link.try()
	}
}

// tryPlainly asks for a sign of life in the background, and opens or closes the breaker by
// what comes of it.
func (h *httpPeer) tryPlainly() {
	if !h.trying.CompareAndSwap(false, true) {
		return
	}
	go func() {
		err := h.signOfLife(h.inView)
		h.trying.Store(false)
		switch {
		case h.inView.Err() != nil:
		case err != nil:
			h.breaker.trip(err)
		default:
			h.breaker.reset()
		}
	}()
}

// hurry asks a peer that failed again at once, because it is known to be there.
func (h *httpPeer) hurry() {
	if h.breaker.refusal() == nil {
		return
	}
	h.breaker.answered()
	h.breaker.reset()
	if !h.plainly() {
		h.link.try()
	}
}
