package stream

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

// What all streams cost together is bounded, whoever opens them.
func TestStreamsShareTheirBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := NewShared(Limits{MaxLoads: 10, MaxRequestBytes: 20 << 10})
		var now, most, done atomic.Int64
		h := funcs{load: func(ctx context.Context, _, _ string) reply {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(100 * time.Millisecond)
			done.Add(1)
			return reply{}
		}}
		var all []*serving
		for range 20 {
			s := serve(h, Config{MaxLoads: 4, Shared: shared})
			go s.skim()
			all = append(all, s)
			for id := range uint64(10) {
				s.Write(getFrame(id+1, "k"))
			}
		}
		synctest.Wait()
		if used := shared.requests.used.Load(); used > 20<<10 {
			t.Errorf("%d bytes of requests are taken on, want at most %d", used, 20<<10)
		}
		time.Sleep(10 * time.Second)
		// 20 KiB are room for 38 jobs or so of the 200.
		if most.Load() > 10 || done.Load() < 30 || done.Load() > 40 {
			t.Errorf("%d loads of all streams at once, %d in all: want at most 10, and 30 to 40", most.Load(), done.Load())
		}
		for i, s := range all {
			for id := range uint64(4) {
				s.Write(getFrame(id+1, "k"))
			}
			time.Sleep(time.Second)
			if busy, queued := s.server.usage(&s.server.jobs.loads); busy != 0 || queued != 0 {
				t.Errorf("stream %d: %d loads, %d wait", i, busy, queued)
			}
		}
		if done.Load() < 100 {
			t.Errorf("%d loads in all, want 80 more", done.Load())
		}
		for _, s := range all {
			s.end()
		}
		if l, r := shared.loads.used.Load(), shared.requests.used.Load(); l != 0 || r != 0 {
			t.Errorf("at the end %d loads and %d bytes are counted", l, r)
		}
	})
}

// A stream that is cut while its loads wait leaves the room to others.
func TestWhoIsCutStandsInNobodysWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := NewShared(Limits{MaxLoads: 2})
		h := funcs{load: hang}
		one, two := serve(h, Config{Shared: shared}), serve(h, Config{Shared: shared})
		three := serve(funcs{load: func(context.Context, string, string) reply { return reply{Value: "v"} }}, Config{Shared: shared})
		for _, s := range []*serving{one, two, three} {
			go s.skim()
			for id := range uint64(5) {
				s.Write(getFrame(id+1, "k"))
			}
			synctest.Wait()
		}
		two.end()
		one.end()
		synctest.Wait()
		if n := three.server.Stats().InFlight; n != 0 || shared.loads.used.Load() != 0 {
			t.Errorf("%d of those that waited are not answered, %d loads are counted", n, shared.loads.used.Load())
		}
		three.end()
	})
}

// Loads that wait for those that wait for them are refused, those that are slow are not.
func TestLoadsThatWaitForEachOtherAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, funcs{load: func(ctx context.Context, _, key string) reply {
			if key == "slow" {
				time.Sleep(time.Second)
				return reply{Value: key}
			}
			return hang(ctx, "", "")
		}}, Config{MaxLoads: 4})
		defer e.end()
		timed := func(key string) (reply, time.Duration) {
			start := time.Now()
			a, err := get(t.Context(), e.Link, queryFor("g", key))
			if err != nil {
				t.Error(err)
			}
			return a, time.Since(start)
		}
		for range 3 {
			go get(t.Context(), e.Link, queryFor("g", "hangs"))
		}
		synctest.Wait()
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				if a, _ := timed("slow"); a.Value != "slow" {
					t.Errorf("a slow load: %+v", a)
				}
			})
		}
		callers.Wait()
		go get(t.Context(), e.Link, queryFor("g", "hangs"))
		synctest.Wait()
		for range 3 {
			a, took := timed("slow")
			if a.Err == nil || !isRefusal(a.Err) || took > 2*time.Second {
				t.Errorf("when none ends, after %v: %+v", took, a)
			}
		}
	})
}

// What is asked of the cache alone waits for no load.
func TestCachedOnlyOvertakesLoads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, funcs{load: func(ctx context.Context, _, key string) reply {
			if key == "cached" {
				return reply{Err: errNoFunc}
			}
			return hang(ctx, "", "")
		}}, Config{MaxLoads: 1})
		defer e.end()
		for range 2 {
			go get(t.Context(), e.Link, queryFor("g", "k"))
		}
		synctest.Wait()
		start := time.Now()
		a, err := get(t.Context(), e.Link, &peer.Query{Group: "g", Key: "cached", CachedOnly: true})
		if err != nil || a.Err == nil || time.Since(start) != 0 {
			t.Errorf("after %v: %+v, %v", time.Since(start), a, err)
		}
	})
}

// Changes that wait for a peer that hangs are few at a time, and hold up no others.
func TestChangesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var now, most atomic.Int64
		shared := NewShared(Limits{MaxChanges: 300})
		e := connect(t, funcs{change: func(ctx context.Context, request string) string {
			if strings.HasPrefix(request, "wait") {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				<-ctx.Done()
			}
			return "ok"
		}}, Config{Shared: shared})
		defer e.end()
		before := runtime.NumGoroutine()
		var got counter
		for range 3000 {
			if _, err := e.askChange(&got, changeOf("wait")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; most.Load() != DefaultMaxChanges || n > DefaultMaxChanges+10 {
			t.Errorf("%d changes at once in %d goroutines, want %d", most.Load(), n, DefaultMaxChanges)
		}
		start := time.Now()
		for range 100 {
			if said, err := change(t.Context(), e.Link, "quick"); said != "ok" || err != nil || time.Since(start) != 0 {
				t.Fatalf("a change that waits for nobody: %q, %v, after %v", said, err, time.Since(start))
			}
		}
	})
}

// Changes wait for places behind those alone that may wait for the same.
func TestChangesWaitForNoneThatWaitForThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, funcs{change: func(ctx context.Context, request string) string {
			if !strings.HasSuffix(request, "ends") {
				<-ctx.Done()
			}
			return "ok"
		}}, Config{MaxChanges: 3})
		defer e.end()
		start := time.Now()
		for _, kind := range []string{"wait", "hint"} {
			var got counter
			for range 10 {
				if _, err := e.askChange(&got, changeOf(kind)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			for _, other := range []string{"hint", "quick"} {
				if other == kind {
					continue
				}
				if said, err := change(t.Context(), e.Link, other+" ends"); said != "ok" || err != nil || time.Since(start) != 0 {
					t.Errorf("%s behind 10 of %s: %q, %v, after %v", other, kind, said, err, time.Since(start))
				}
			}
		}
	})
}
