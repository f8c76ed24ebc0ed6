package peercache

import (
	"context"
	"errors"
	"time"
)

// errPeerBusy says that a peer has no room for a request: see WithRequestMemory. It is there,
// so that its breaker stays closed.
var errPeerBusy = errors.New("the peer has no room for the request")

const (
	// busyTries is how often a peer that is busy is asked.
	busyTries = 5
	// busyPause is the longest pause before it is asked again, and before the n-th time n
	// times as long.
	busyPause = 100 * time.Millisecond
)

// call does what callOnce does, and again for a while if the peer has no room for the request.
func (h *httpPeer) call(ctx context.Context, timeout time.Duration, method, path string, body []byte, maxValue int, decode func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for try := 1; ; try++ {
		err := h.callOnce(ctx, method, path, body, maxValue, decode)
		if !errors.Is(err, errPeerBusy) || try == busyTries {
			return err
		}
		pause(ctx, jitter(busyPause*time.Duration(try)))
		if ctx.Err() != nil {
			return err
		}
	}
}
