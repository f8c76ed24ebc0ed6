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
