package singleflight

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A run of many flights is cancelled when the last of all their callers has left, and not
// before; until then each of them can be joined.
func TestP3RunOfManyFlightsIsCancelledWithTheLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{CancelAbandoned: true}
		flights, _ := g.JoinAll([]string{"a", "b"})
		var ended error
		g.GoAll(t.Context(), flights, func(ctx context.Context) ([]string, []error) {
			<-ctx.Done()
			ended = ctx.Err()
			return make([]string, 2), make([]error, 2)
		})
		g.Leave(flights[0])
		again, first := g.Join("a")
		g.Leave(flights[1])
		synctest.Wait()
		if first || ended != nil {
			t.Fatalf("a new flight: %t, the run ended with %v: want the flight to be joined, and its run to go on", first, ended)
		}
		g.Leave(again)
		synctest.Wait()
		if ended != context.Canceled || !flights[0].Tainted() || !flights[1].Tainted() {
			t.Errorf("the run ended with %v, tainted: %t, %t: want it to be cancelled", ended, flights[0].Tainted(), flights[1].Tainted())
		}
	})
}

// The map of the flights does not stay as large as it once was, nor does that of the urged.
func TestP5NothingStaysAfterManyFlights(t *testing.T) {
	var g Group[string]
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	flights, _ := g.JoinAll(keys)
	g.Urged(flights...)
	for i, f := range flights[:len(flights)-100] {
		if g.End(f, "", nil); i%1000 == 0 && g.flights[keys[len(keys)-1]] == nil {
			t.Fatal("a flight is lost")
		}
	}
	if len(g.flights) != 100 || g.most > fewFlights {
		t.Errorf("%d flights in a map for %d, want 100 in a small one", len(g.flights), g.most)
	}
	for _, f := range flights[len(flights)-100:] {
		g.End(f, "", nil)
	}
	if len(g.flights) != 0 || g.urged != nil {
		t.Errorf("%d flights, %d urged: want none", len(g.flights), len(g.urged))
	}
}

// Urge tells a run, whether that asks before or after, and whichever of its flights it is.
func TestUrge(t *testing.T) {
	for _, before := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var g Group[string]
			flights, _ := g.JoinAll([]string{"a", "b", "c"})
			if before && (!g.Urge(flights[1]) || g.Urge(flights[1])) {
				t.Error("the first Urge of a flight is to report true, and no other")
			}
			urged := g.Urged(flights...)
			other := g.Urged(flights...)
			if !before {
				select {
				case <-urged:
					t.Error("urged by nobody")
				case <-time.After(time.Second):
				}
				if !g.Urge(flights[2]) || g.Urge(flights[0]) {
					t.Error("one Urge is for all the flights of a run")
				}
			}
			<-urged
			<-other
			for _, f := range flights {
				g.End(f, "", nil)
			}
			if g.Urge(flights[0]) {
				t.Error("a flight that has ended is urged")
			}
		})
	}
}
