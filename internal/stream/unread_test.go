package stream

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/peercache/peercache/peer"
)

// settled waits until n has not changed for a while, and returns it.
func settled(n func() int) (last int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last = -1
	for same := 0; same < 5; <-tick.C {
		now := n()
		if same++; now != last {
			last, same = now, 0
		}
	}
	return last
}

// Loads whose answers nobody reads do not pile up: neither their values nor the goroutines that wait to
// give them away, of all streams together.
func TestUnreadAnswersOfAllStreams(t *testing.T) {
	const streams, loads = 8, 1000
	var loaded atomic.Int64
	h := funcs{load: func(context.Context, string, string) reply {
		loaded.Add(1)
		return reply{Value: strings.Repeat("v", 8<<10)}
	}}
	shared := NewShared(Limits{MaxHeldBytes: 4 << 20})
	before := runtime.NumGoroutine()
	var all []*serving
	for range streams {
		s := serve(h, Config{Shared: shared, MaxHeldBytes: 64 << 20})
		all = append(all, s)
		for id := range uint64(loads) {
			s.Write(getFrame(id+1, "k"))
		}
	}
	goroutines := settled(func() int { return runtime.NumGoroutine() - before })
	if used := shared.held.used.Load(); used > 4<<20 {
		t.Errorf("%d bytes are held, want at most 4 MiB", used)
	}
	if used := shared.queued.used.Load(); used > 4<<20+streams*(64<<10) {
		t.Errorf("%d bytes are gathered beyond what each stream may have, want at most 4 MiB and a little", used)
	}
	if most := streams*6 + 4<<20/(16<<10); goroutines > most {
		t.Errorf("%d goroutines after %d loads, want at most %d", goroutines, loaded.Load(), most)
	}
	for _, s := range all {
		s.end()
	}
	if h, q := shared.held.used.Load(), shared.queued.used.Load(); h != 0 || q != 0 {
		t.Errorf("%d bytes held and %d gathered at the end, want none", h, q)
	}
}

// A stream whose peer sends changes and does not read the answers ends, when as many goroutines wait for it
// as may.
func TestChangesWithUnreadAnswersEnd(t *testing.T) {
	h := funcs{change: func(context.Context, string) string { return strings.Repeat("a", 64<<10) }}
	s := serve(h, Config{Shared: NewShared(Limits{MaxHeldBytes: 10 * costOfWaiting})})
	for id := range uint64(1000) {
		if _, err := s.Write(appendFrame(nil, id+1, bodyChange, 0)); err != nil {
			break
		}
	}
	wantErr(t, "Run", <-s.ran, ErrProtocol)
	s.Close()
}

// What has arrived of long frames has a bound for all streams together. A frame for which there is no room
// is read when there is.
func TestFramesThatAreNotWholeAreBounded(t *testing.T) {
	const most = 16 << 20 // half of it for those who are no strangers
	shared := NewShared(Limits{MaxFrameBytes: most})
	long := appendBatch(nil, 1, 4000*603, &peer.Query{}, func() []string {
		keys := make([]string, 4000)
		for i := range keys {
			keys[i] = strings.Repeat("k", 600)
		}
		return keys
	}(), nil)
	_, head := protowire.ConsumeVarint(long)
	if head < 0 || len(long) < 2<<20 {
		t.Fatalf("a frame of %d bytes, want 2 MiB", len(long))
	}
	var answered atomic.Int64
	h := funcs{hit: func(string, string) (reply, bool) { answered.Add(1); return reply{}, true }}
	var all []*serving
	goOn := make(chan struct{})
	for range 20 {
		s := serve(h, Config{Shared: shared, FrameTimeout: time.Minute})
		all = append(all, s)
		go s.skim()
		go func() {
			s.Write(long[:len(long)-1])
			<-goOn
			s.Write(long[len(long)-1:])
		}()
	}
	free := func(n int64) bool {
		ok := shared.frames.TryAcquire(n)
		if ok {
			shared.frames.Release(n)
		}
		return ok
	}
	for end := time.Now().Add(20 * time.Second); free(1) && time.Now().Before(end); {
		runtime.Gosched()
	}
	taken := settled(func() (n int) {
		for _, s := range all {
			n += int(s.server.r.src.count.Load())
		}
		return n
	})
	if free(1) {
		t.Fatal("nobody waits for room")
	}
	if taken > most/2+20*readBuffer {
		t.Errorf("%d bytes were read, want at most %d and 64 KiB for each stream", taken, most/2)
	}
	close(goOn)
	for deadline := time.Now().Add(20 * time.Second); answered.Load() < 20*4000 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if answered.Load() < 20*4000 {
		t.Errorf("%d keys were answered after there was room, want all of 20 frames", answered.Load())
	}
	for _, s := range all {
		s.end()
	}
	if !free(most / 2) {
		t.Errorf("some bytes are not free at the end, want all %d", most/2)
	}
}
