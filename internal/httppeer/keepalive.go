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

// pulseTicks is in how many ticks a pulse looks for signs of life within the detection
// time. The last sign, or the first request, falls within a tick, so one less without a
// sign is what may be had without exceeding that time.
const pulseTicks = 10

// pulse looks for signs of life of a peer while requests wait for it by the plain way.
// A response to any of them is one. When none has come for a while it asks for one beside
// them, so that a peer that loads slowly differs from one that hangs. As on a stream it
// reads no clock, but counts its own ticks: time in which this process itself stood still
// is not taken for the peer's.
type pulse struct {
	detect time.Duration
	ask    func(context.Context) error // for a sign of life
	silent func(error)                 // called when there was none

	beats atomic.Int64 // signs of life

	mu      sync.Mutex
	waiting map[*waitingCall]struct{} // guarded by mu; the requests that wait
	timer   *time.Timer               // guarded by mu; nil before the first
	seen    int64                     // guarded by mu; beats, at the last tick
	quiet   int                       // guarded by mu; ticks since a sign
	asking  context.CancelFunc        // guarded by mu; nil, or of the question for a sign since the last
}

// waitingCall is a request that waits for its answer.
type waitingCall struct{ cancel context.CancelCauseFunc }

// watch returns a context for a request, which ends with errSilent as its cause when the
// peer falls silent. left is to be called when the request has ended.
func (p *pulse) watch(ctx context.Context) (_ context.Context, left func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &waitingCall{cancel}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.begin()
	}
	p.waiting[w] = struct{}{}
	return ctx, func() {
		cancel(nil)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, w)
		if len(p.waiting) == 0 {
			p.rest()
		}
	}
}

// begin starts to look for signs. p.mu is held.
func (p *pulse) begin() {
	p.quiet, p.seen = 0, p.beats.Load()
	if p.timer == nil {
		p.waiting = make(map[*waitingCall]struct{})
		p.timer = time.AfterFunc(p.detect/pulseTicks, p.tick)
		return
	}
	p.timer.Reset(p.detect / pulseTicks)
}

// rest stops looking. p.mu is held.
func (p *pulse) rest() {
	p.timer.Stop()
	p.asked()
}

// asked ends a question for a sign. p.mu is held.
func (p *pulse) asked() {
	if p.asking != nil {
		p.asking()
		p.asking = nil
	}
}

// tick is called by the timer.
func (p *pulse) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return
	}
	if beats := p.beats.Load(); beats != p.seen {
		p.seen, p.quiet = beats, 0
		p.asked()
	} else {
		p.quiet++
	}
	switch {
	case p.quiet >= pulseTicks-1:
		err := fmt.Errorf("%w: nothing came for %v, a GET of its base path is unanswered", peer.ErrSilent, p.detect)
		p.silent(err) // first: those who wait must not be asking it again
		for w := range p.waiting {
			w.cancel(err)
		}
		clear(p.waiting)
		p.rest()
		return
	case p.quiet >= pulseTicks/3 && p.asking == nil:
		var ctx context.Context
		ctx, p.asking = context.WithCancel(context.Background())
		go func() {
			if p.ask(ctx) == nil {
				p.beat()
			}
		}()
	}
	p.timer.Reset(p.detect / pulseTicks)
}

// beat takes note of a sign of life.
func (p *pulse) beat() { p.beats.Add(1) }

// beatingBody is the body of a response, of which each part is a sign of life.
type beatingBody struct {
	io.ReadCloser
	pulse *pulse
}

// beatBytes is how large a part is at most: net/http may not return before it is full.
const beatBytes = 16 << 10

func (b beatingBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf[:min(len(buf), beatBytes)])
	if n > 0 {
		b.pulse.beat()
	}
	return n, err
}
