package rpc

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

func watch(t *testing.T, c cachepb.CacheClient) grpc.ServerStreamingClient[cachepb.WatchResponse] {
	t.Helper()
	w, err := c.Watch(within(t), &cachepb.WatchRequest{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func next(t *testing.T, w grpc.ServerStreamingClient[cachepb.WatchResponse]) *cachepb.WatchResponse {
	t.Helper()
	m, err := w.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWatch(t *testing.T) {
	f := newFake("g")
	w := watch(t, client(t, f, WithLimits(Limits{WatchSilence: time.Hour})))
	if m := next(t, w); !m.GetLive() || !m.GetReset_() || time.Duration(m.GetMaxSilenceNs()) != time.Hour {
		t.Fatalf("the first message is %v", m)
	}
	f.tell(peercache.Invalidation{Keys: []string{"a", "b\xff"}}, true)
	if m := next(t, w); !m.GetLive() || m.GetReset_() || fmt.Sprintf("%q", m.GetKeys()) != `["a" "b\xff"]` {
		t.Errorf("after a change: %v", m)
	}
	f.tell(peercache.Invalidation{All: true}, true)
	if m := next(t, w); !m.GetLive() || !m.GetReset_() {
		t.Errorf("after a Clear: %v", m)
	}
	f.tell(peercache.Invalidation{All: true}, false)
	for {
		m := next(t, w)
		if !m.GetReset_() && m.GetLive() {
			t.Errorf("when it ceases to be live: %v", m)
		}
		if !m.GetLive() {
			break
		}
	}
	f.tell(peercache.Invalidation{Keys: []string{"c"}}, true)
	for {
		m := next(t, w)
		if m.GetLive() {
			if !m.GetReset_() {
				t.Errorf("live again without a reset: %v", m)
			}
			break
		}
	}
}

// TestWatchBeats checks that a watcher hears something though nothing happens.
func TestWatchBeats(t *testing.T) {
	f := newFake("g")
	w := watch(t, client(t, f, WithLimits(Limits{WatchSilence: 30 * time.Millisecond})))
	next(t, w)
	for range 3 {
		if m := next(t, w); !m.GetLive() || m.GetReset_() || len(m.GetKeys()) > 0 {
			t.Errorf("a beat is %v", m)
		}
	}
}

// TestWatchSlow checks that a watcher that reads nothing costs a bounded amount, holds up nobody,
// and learns that it has missed changes.
func TestWatchSlow(t *testing.T) {
	f := newFake("g")
	w := watch(t, client(t, f, WithLimits(Limits{WatchBytes: 10_000})))
	next(t, w)
	long := strings.Repeat("k", 1000)
	for i := range 20_000 {
		f.tell(peercache.Invalidation{Keys: []string{fmt.Sprint(long, i)}}, true)
	}
	bytes := 0
	for {
		m := next(t, w)
		for _, key := range m.GetKeys() {
			bytes += len(key)
		}
		if len(m.GetKeys()) > 10 {
			t.Errorf("one message has %d keys, want what WatchBytes allows", len(m.GetKeys()))
		}
		if m.GetReset_() {
			break
		}
	}
	if bytes > 4<<20 {
		t.Errorf("%d bytes were kept for a watcher that does not read", bytes)
	}
}

func TestWatchers(t *testing.T) {
	f := newFake("g")
	s, cc := serve(t, []door.Cache{f}, WithLimits(Limits{Watchers: 1}))
	c := cachepb.NewCacheClient(cc)
	first := watch(t, c)
	next(t, first)
	if _, err := watch(t, c).Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one watcher too many: %v", err)
	}
	first.CloseSend()
	cc.Close()
	eventually(t, "the end of the watch", func() bool { return f.watched() == 0 && s.watchers.Load() == 0 })
}
