package stream

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

// What is asked inside of a load does not wait for a goroutine of those that load; where
// there is too much of it, it is refused.
func TestNestedRequestsDoNotWaitForLoads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		e := connect(t, funcs{load: func(ctx context.Context, _, key string) reply {
			<-release
			return reply{Value: key}
		}}, Config{MaxLoads: 1})
		defer e.end()
		ask := func(key string, nested peer.Nesting) *records {
			r := new(records)
			if _, err := e.Ask(r, &peer.Query{Group: "g", Key: key, Nested: nested}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			return r
		}
		ask("outer", 0)
		waits := ask("waits", 0)
		for range nestedLoads {
			ask("inner", 1)
		}
		if n := e.server.Stats().InFlight; n != 2+nestedLoads {
			t.Errorf("%d in flight", n)
		}
		refused := ask("one more", 2)
		if a := refused.one(t, 0); a.Err == nil {
			t.Errorf("one too many got %+v, want a refusal", a)
		}
		close(release)
		synctest.Wait()
		if a := waits.one(t, 0); a.Value != "waits" {
			t.Errorf("the one that waited got %+v", a)
		}
	})
}

// What is asked inside of loads has a bound of its own, of all streams together, and takes
// none of the places of other loads.
func TestNestedRequestsOfAllStreamsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := NewShared(Limits{MaxLoads: 2})
		release := make(chan struct{})
		h := funcs{
			load:      func(_ context.Context, _, key string) reply { <-release; return reply{Value: key} },
			loadBatch: func(context.Context, string, []string, func(int, reply)) { <-release },
		}
		var all []*ends
		var asked []*records
		for range 2 {
			e := connect(t, h, Config{Shared: shared})
			defer e.end()
			all = append(all, e)
			r := new(records)
			if _, _, err := e.AskBatch(r, 0, &peer.Query{Group: "g", Nested: 1}, []string{"a", "b", "c"}, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := shared.nested.used.Load(); n != 6 {
			t.Errorf("2 batches of 3 keys are counted as %d loads", n)
		}
		for range 3 {
			for _, e := range all {
				r := new(records)
				asked = append(asked, r)
				if _, err := e.Ask(r, &peer.Query{Group: "g", Key: "k", Nested: 2}); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		refused := 0
		for _, r := range asked {
			refused += r.len()
		}
		if refused != 4 || shared.nested.used.Load() != 2*nestedLoads {
			t.Errorf("%d of 6 are refused, %d loads are counted: want 4, and %d", refused, shared.nested.used.Load(), 2*nestedLoads)
		}
		if n := shared.loads.used.Load(); n != 0 {
			t.Errorf("%d loads are counted as such that may wait", n)
		}
		close(release)
		synctest.Wait()
		if n := shared.nested.used.Load(); n != 0 {
			t.Errorf("%d loads are counted at the end", n)
		}
	})
}

// What is answered inside of loads, and changes, does not make it look as if those got on
// that a load waits for.
func TestOnlyLoadsShowThatLoadsGetOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, funcs{
			load: func(ctx context.Context, _, key string) reply {
				if key == "inner" {
					return reply{Value: key}
				}
				return hang(ctx, "", "")
			},
			change: func(context.Context, string) string { return "ok" },
		}, Config{MaxLoads: 1})
		defer e.end()
		go get(t.Context(), e.Link, queryFor("g", "hangs"))
		synctest.Wait()
		over := make(chan struct{})
		go func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(100 * time.Millisecond):
				}
				change(t.Context(), e.Link, "quick")
				get(t.Context(), e.Link, &peer.Query{Group: "g", Key: "inner", Nested: 1})
			}
		}()
		start := time.Now()
		a, err := get(t.Context(), e.Link, queryFor("g", "waits"))
		if err != nil || a.Err == nil || !isRefusal(a.Err) || time.Since(start) > 2*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(start), a, err)
		}
		close(over)
		time.Sleep(time.Second)
	})
}

// A load that waits for a place and is withdrawn is answered at once: a peer that does not
// answer a withdrawal breaks the protocol.
func TestWithdrawnWhileItWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, funcs{load: func(ctx context.Context, _, key string) reply {
			if key == "slow" {
				time.Sleep(time.Second)
				return reply{Value: key}
			}
			return hang(ctx, "", "")
		}}, Config{MaxLoads: 2})
		defer e.end()
		var slow records
		for range 2 {
			if _, err := e.Ask(&slow, queryFor("g", "slow")); err != nil {
				t.Fatal(err)
			}
		}
		var waits records
		id, err := e.Ask(&waits, queryFor("g", "waits"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		e.Cancel(id)
		synctest.Wait()
		if n := e.server.Stats().InFlight; n != 2 {
			t.Errorf("%d are in flight at the server, want the 2 that load", n)
		}
		time.Sleep(2 * time.Second)
	})
}
