package singleflight

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A flight that is started by nobody who waits can be joined, and there is one a key.
func TestStartedFlightIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{CancelAbandoned: true}
		release := make(chan struct{})
		f := g.Start("k")
		if f == nil || g.Start("k") != nil || g.Start("other") == nil {
			t.Fatal("Start does not return one flight a key")
		}
		g.Go(t.Context(), f, func(ctx context.Context, _ *Flight[string]) (string, error) {
			select {
			case <-release:
				return "started", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})
		ctx, leave := context.WithCancel(t.Context())
		impatient := doAsync(ctx, &g, "k", nil)
		synctest.Wait()
		leave()
		if r := <-impatient; r.err != context.Canceled {
			t.Errorf("who left got %+v", r)
		}
		joined := doAsync(t.Context(), &g, "k", nil)
		synctest.Wait()
		close(release) // it was not cancelled: who started it counts as one who waits
		if r := <-joined; r.v != "started" || r.err != nil {
			t.Errorf("who joined got %+v", r)
		}
		if g.Start("k") == nil {
			t.Error("no flight can be started when the one before is over")
		}
	})
}

// ForgetAll does to each flight what Forget does to one.
func TestForgetAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string]
		release := make(chan struct{})
		var before []<-chan result
		kept := make(chan bool, 10)
		for i := range 10 {
			before = append(before, doAsync(t.Context(), &g, fmt.Sprint(i), func(_ context.Context, f *Flight[string]) (string, error) {
				<-release
				kept <- !f.Tainted()
				return "old", nil
			}))
		}
		synctest.Wait()
		g.ForgetAll()
		for i := range 10 {
			r := <-doAsync(t.Context(), &g, fmt.Sprint(i), func(_ context.Context, f *Flight[string]) (string, error) {
				if f.Tainted() {
					t.Error("a later flight is tainted")
				}
				return "new", nil
			})
			if r.v != "new" {
				t.Errorf("after ForgetAll: %+v", r)
			}
		}
		close(release)
		for _, c := range before {
			if r := <-c; r.v != "old" || r.err != nil || <-kept {
				t.Errorf("before ForgetAll: %+v, and what it found is to be kept or not", r)
			}
		}
	})
}

// The turn of a flight says whether it started after a moment.
func TestTurnTellsEarlierFromLater(t *testing.T) {
	var g Group[string]
	a, _ := g.Join("a")
	now := g.Turn()
	if b := g.Start("b"); a.Turn() > now || b.Turn() <= now {
		t.Errorf("flights have turns %d and %d; the moment between them has %d", a.Turn(), b.Turn(), now)
	}
	if again, first := g.Join("a"); first || again.Turn() > now {
		t.Error("a flight has a later turn because it was joined")
	}
	later, _ := g.JoinAll([]string{"a", "c", "d"})
	if later[0].Turn() > now || later[1].Turn() >= later[2].Turn() || later[2].Turn() > g.Turn() {
		t.Errorf("turns %d, %d, %d, and now %d", later[0].Turn(), later[1].Turn(), later[2].Turn(), g.Turn())
	}
}

// A flight is joined for JoinFor, and then another one starts, whose end is not that of
// the first.
func TestJoinFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{JoinFor: time.Second}
		runs := 0
		run := func(context.Context, *Flight[string]) (string, error) {
			runs++
			name := fmt.Sprint(runs)
			time.Sleep(3 * time.Second)
			return name, nil
		}
		var got []<-chan result
		ask := func(after time.Duration) {
			time.Sleep(after)
			got = append(got, doAsync(t.Context(), &g, "k", run))
			synctest.Wait()
		}
		ask(0)
		ask(time.Second - 1)
		ask(1)
		ask(time.Second - 1)
		time.Sleep(time.Nanosecond)
		if g.Start("k") == nil {
			t.Error("Start found a flight that is too old to be joined")
		}
		for i, want := range []string{"1", "1", "2", "2"} {
			if r := <-got[i]; r.v != want || r.err != nil {
				t.Errorf("caller %d got %+v: want the result of run %s", i, r, want)
			}
		}
	})
}
