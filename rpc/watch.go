package rpc

import (
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// watch counts a watcher, and returns a func that takes it back. The error is a status.
func (s *Server) watch() (leave func(), err error) {
	if most := int64(s.opts.limits.Watchers); s.watchers.Add(1) > most {
		s.watchers.Add(-1)
		return nil, status.Errorf(codes.ResourceExhausted, "there are %d watchers: want at most as many", most)
	}
	return func() { s.watchers.Add(-1) }, nil
}

// liveEvery is how often it is looked at whether a watcher is live again: nobody says so.
const liveEvery = 100 * time.Millisecond

// Watch implements cachepb.CacheServer.
func (s *service) Watch(r *cachepb.WatchRequest, stream grpc.ServerStreamingServer[cachepb.WatchResponse]) error {
	ctx := stream.Context()
	c, err := s.open(ctx, door.Access{Group: r.GetGroup(), Right: door.RightWatch})
	if err != nil {
		return err
	}
	leave, err := s.server.watch()
	if err != nil {
		return err
	}
	defer leave()

	silence := s.server.opts.limits.WatchSilence
	p := &pending{most: s.server.opts.limits.WatchBytes, some: make(chan struct{}, 1)}
	w := c.Watch(p.add)
	defer w.Stop()
	beat := time.NewTicker(silence / 3)
	defer beat.Stop()
	look := time.NewTicker(liveEvery)
	defer look.Stop()

	live := w.Live()
	err = stream.Send(&cachepb.WatchResponse{Live: live, Reset_: true, MaxSilenceNs: int64(silence)})
	for err == nil {
		due := true
		select {
		case <-p.some:
		case <-beat.C:
		case <-look.C:
			due = false
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.server.closing:
			return errClosing
		}
		if !due && w.Live() == live {
			continue
		}
		// What is pending is taken first: a watcher that ceases to be live after that is told in
		// the next message.
		m := p.take()
		if m.Live = w.Live(); m.Live && !live {
			m.Reset_, m.Keys = true, nil
		}
		live = m.Live
		err = stream.Send(m)
	}
	return err
}

// pending is what a watcher has not been told yet. It is bounded, however slowly the client reads.
type pending struct {
	most int           // bytes of keys
	some chan struct{} // has one element if there is something

	mu    sync.Mutex
	keys  [][]byte // guarded by mu; empty with reset
	bytes int      // guarded by mu; of keys, with what each costs
	reset bool     // guarded by mu
}

// keyCost is what a key costs beside its bytes.
const keyCost = 64

// add is told of a change. It does not block: who makes the change waits for it.
func (p *pending) add(in peercache.Invalidation) {
	p.mu.Lock()
	p.record(in)
	p.mu.Unlock()
	select {
	case p.some <- struct{}{}:
	default:
	}
}

// record does what add does. The caller holds p.mu.
func (p *pending) record(in peercache.Invalidation) {
	if p.reset {
		return
	}
	size := p.bytes
	for _, key := range in.Keys {
		size += len(key) + keyCost
	}
	if in.All || size > p.most {
		p.reset, p.keys, p.bytes = true, nil, 0
		return
	}
	p.bytes = size
	for _, key := range in.Keys {
		p.keys = append(p.keys, []byte(key))
	}
}

// take returns a message with all that is pending.
func (p *pending) take() *cachepb.WatchResponse {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &cachepb.WatchResponse{Keys: p.keys, Reset_: p.reset}
	p.keys, p.bytes, p.reset = nil, 0, false
	return m
}
