package httppeer

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/peer"
)

// keepaliveTicks is how many ticks the detection time has. The last sign of life, or the first
// request, falls somewhere within a tick, so a peer counts as silent after one tick less: never
// later than after the detection time.
const keepaliveTicks = 10

// keepalive detects that a peer has fallen silent while plain requests wait for it. Each part of a
// response to any of them is a sign of life. When none has come for a while, the keepalive asks for
// one beside the requests. So a peer that loads slowly is told from one that hangs.
//
// Like the watch of a stream, it reads no clock but counts its own ticks: a pause of this process
// does not count as the peer's silence.
type keepalive struct {
	detect   time.Duration
	ask      func(context.Context) error // asks for a sign of life, and returns nil if one came
	onSilent func(error)                 // called when the peer has fallen silent

	signs atomic.Int64 // signs of life so far

	mu      sync.Mutex
	waiting map[*waitingCall]struct{} // guarded by mu; the requests that wait
	timer   *time.Timer               // guarded by mu; nil before the first request
	seen    int64                     // guarded by mu; signs, at the last tick
	quiet   int                       // guarded by mu; ticks since the last sign
	stopAsk context.CancelFunc        // guarded by mu; ends the question for a sign that is in progress; nil if none is
}

// waitingCall is a request that waits for its answer.
type waitingCall struct{ cancel context.CancelCauseFunc }

// watch returns a context for a request. The context ends when ctx does, or when the peer falls
// silent: then its cause is an ErrSilent. The caller calls done when the request has ended.
func (k *keepalive) watch(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &waitingCall{cancel}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.waiting) == 0 {
		k.start()
	}
	k.waiting[w] = struct{}{}
	return ctx, func() {
		cancel(nil)
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.waiting, w)
		if len(k.waiting) == 0 {
			k.stop()
		}
	}
}

// start starts the ticks. The caller holds k.mu.
func (k *keepalive) start() {
	k.quiet, k.seen = 0, k.signs.Load()
	if k.timer == nil {
		k.waiting = make(map[*waitingCall]struct{})
		k.timer = time.AfterFunc(k.detect/keepaliveTicks, k.tick)
		return
	}
	k.timer.Reset(k.detect / keepaliveTicks)
}

// stop stops the ticks. The caller holds k.mu.
func (k *keepalive) stop() {
	k.timer.Stop()
	k.endAsk()
}

// endAsk ends the question for a sign of life, if one is in progress. The caller holds k.mu.
func (k *keepalive) endAsk() {
	if k.stopAsk != nil {
		k.stopAsk()
		k.stopAsk = nil
	}
}

// tick is called by the timer.
func (k *keepalive) tick() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.waiting) == 0 {
		return
	}
	if signs := k.signs.Load(); signs != k.seen {
		k.seen, k.quiet = signs, 0
		k.endAsk()
	} else {
		k.quiet++
	}
	switch {
	case k.quiet >= keepaliveTicks-1:
		err := fmt.Errorf("%w: nothing came for %v, a GET of its base path is unanswered", peer.ErrSilent, k.detect)
		k.onSilent(err) // before the requests end, or their callers would ask the peer again
		for w := range k.waiting {
			w.cancel(err)
		}
		clear(k.waiting)
		k.stop()
		return
	case k.quiet >= keepaliveTicks/3 && k.stopAsk == nil:
		var ctx context.Context
		ctx, k.stopAsk = context.WithCancel(context.Background())
		go func() {
			if k.ask(ctx) == nil {
				k.observe()
			}
		}()
	}
	k.timer.Reset(k.detect / keepaliveTicks)
}

// observe records a sign of life.
func (k *keepalive) observe() { k.signs.Add(1) }

// observedBody is the body of a response. Each part of it that arrives is a sign of life.
type observedBody struct {
	io.ReadCloser
	keepalive *keepalive
}

// partBytes is the size of the largest part: net/http may not return before a buffer is full.
const partBytes = 16 << 10

func (b observedBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf[:min(len(buf), partBytes)])
	if n > 0 {
		b.keepalive.observe()
	}
	return n, err
}
