package cluster

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A peer may send a second's changes at once, and as many more wait, up to a second. Others are not held up.
func TestChangeRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := changeRate{perSecond: 100}
		reserve := func(name string, keys int) (wait time.Duration, ok bool) {
			return r.reserve(name, keys, mostChangeDelay)
		}
		for i := range 100 {
			if wait, ok := reserve("a", 1); wait != 0 || !ok {
				t.Fatalf("change %d waits for %v, %v", i, wait, ok)
			}
		}
		for i := range 100 {
			if wait, ok := reserve("a", 1); wait != time.Duration(i+1)*10*time.Millisecond || !ok {
				t.Fatalf("change %d beyond waits for %v, %v", i, wait, ok)
			}
		}
		if _, ok := reserve("a", 1); ok {
			t.Error("a change is taken that would wait for more than a second")
		}
		if wait, ok := reserve("b", 1); wait != 0 || !ok {
			t.Errorf("that of another peer waits for %v, %v", wait, ok)
		}
		if wait, ok := r.reserve("c", 1<<20, 0); wait != 0 || !ok {
			t.Errorf("one of a million keys, alone, waits for %v, %v", wait, ok)
		}
		if _, ok := r.reserve("c", 1, 0); ok {
			t.Error("another one after it is taken at once")
		}
		time.Sleep(time.Second)
		if wait, ok := reserve("a", 1); wait != 10*time.Millisecond || !ok {
			t.Errorf("a second later one waits for %v, %v", wait, ok)
		}
		for i := range 1000 {
			reserve(fmt.Sprint(i), 1)
			time.Sleep(time.Second / 10)
		}
		if n := len(r.paid); n > 2*fewestPaid {
			t.Errorf("%d peers are remembered, want at most %d", n, 2*fewestPaid)
		}
		if wait, ok := (&changeRate{}).reserve("a", 1, 0); wait != 0 || !ok {
			t.Errorf("without a bound one waits for %v, %v", wait, ok)
		}
	})
}
