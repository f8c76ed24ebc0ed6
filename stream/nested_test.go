package stream

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What is asked inside of a load does not wait for a goroutine of those that load; where
// there is too much of it, it is refused.
func TestNestedRequestsDoNotWaitForLoads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		e := connect(t, funcs{load: func(ctx context.Context, _, key string) Answer {
			<-release
			return Answer{Value: key}
		}}, Config{MaxLoads: 1})
		defer e.end()
		ask := func(key string, nested uint32) *records {
			r := new(records)
			if _, err := e.Ask(r, &Query{Group: "g", Key: key, Nested: nested}); err != nil {
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
