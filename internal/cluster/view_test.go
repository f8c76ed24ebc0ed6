package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

// As many changes as a second may have come at once. What is more than that waits.
func TestViewChangesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := viewRate{perSecond: 4}
		for i := range 4 {
			if wait := r.reserve(0); wait != 0 {
				t.Errorf("change %d waits %v", i, wait)
			}
		}
		if wait := r.reserve(0); wait != time.Second/4 {
			t.Errorf("the fifth waits %v, want a quarter of a second", wait)
		}
		time.Sleep(time.Second / 4)
		if wait := r.reserve(0); wait != 0 {
			t.Errorf("then it waits %v", wait)
		}
		time.Sleep(time.Hour)
		for i := range 5 {
			if wait := r.reserve(0); (wait != 0) != (i == 4) {
				t.Errorf("an hour later change %d waits %v", i, wait)
			}
		}
	})
}

// In a large view, changes that follow each other are gathered: the first one is made at once, and
// the others wait for longer and longer, up to a bound. When it has been quiet, the next is made at once.
func TestChangesOfALargeViewAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const longest = 80 * time.Millisecond
		r := viewRate{perSecond: 1000}
		for _, want := range []time.Duration{0, longest / 8, longest / 4, longest / 2, longest, longest} {
			if wait := r.reserve(longest); wait != want {
				t.Errorf("a change waits for %v, want %v", wait, want)
			}
			if want > 0 {
				time.Sleep(want)
				if wait := r.reserve(longest); wait != 0 {
					t.Errorf("after %v a change waits for %v more", want, wait)
				}
			}
		}
		time.Sleep(4 * longest)
		if wait := r.reserve(longest); wait != 0 {
			t.Errorf("the first change in a while waits for %v", wait)
		}
	})
}
