package engine

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

const day = 24 * int64(time.Hour/time.Millisecond)

// TestD1SweepFindsWhatExpires has keys expire within minutes and within a hundred days, while a clock goes on in steps of any size, and
// backwards: each leaves at the first sweep a tick after its end, and none before.
func TestD1SweepFindsWhatExpires(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		var now clock
		now.Store(1_700_000_000_000)
		e := newTest(t, Config{Now: now.Load})
		ends := map[string]int64{}
		for step := range 2000 {
			key := fmt.Sprint("key", r.IntN(300))
			at := now.Load() + 1 + r.Int64N(int64(1)<<r.IntN(33))
			switch r.IntN(5) {
			case 0:
				do(t, e, "del "+key)
				delete(ends, key)
			case 1:
				if do(t, e, fmt.Sprintf("expireat %s %d", key, at)) == ":1" {
					ends[key] = at
				}
			default:
				do(t, e, fmt.Sprintf("set %s x %d", key, at))
				ends[key] = at
			}
			switch r.IntN(200) {
			case 0:
				now.Add(-r.Int64N(day))
			case 1:
				now.Add(r.Int64N(40 * day))
			default:
				now.Add(r.Int64N(int64(1) << r.IntN(20)))
			}
			e.Sweep()
			there := contentsAt(e, 0)
			for key, at := range ends {
				if there[key] == "" && at > now.Load() {
					t.Fatalf("step %d: %s is gone %d ms before its end", step, key, at-now.Load())
				}
				if there[key] != "" && at+2<<tickBits < now.Load() {
					t.Fatalf("step %d: %s is there %d ms after its end", step, key, now.Load()-at)
				}
				if at <= now.Load() {
					delete(ends, key)
				}
			}
			if got, want := e.Used(), counted(e); got != want {
				t.Fatalf("Used = %d, want %d", got, want)
			}
		}
	}
}

// TestD1ExpiredIsNeverReturned asks for keys by each command a moment before and after their end, with no sweep.
func TestD1ExpiredIsNeverReturned(t *testing.T) {
	for _, c := range []struct{ make, command, before, after string }{
		{"set key 1", "get key", "$1", "_"},
		{"set key 1", "lockedget key", "$1", "_"},
		{"set key 1", "mget key", "*1 $1", "*1 _"},
		{"set key 1", "incr key", ":2", ":1"},
		{"set key 1", "del key", ":1", ":0"},
		{"set key 1", "expireat key 0", ":1", ":0"},
		{"set key 1", "rename key to", "+OK", "-" + string(ErrNoKey)},
		{"push key a", "push key b", ":2", ":1"},
		{"push key a", "pop key", "$a", "_"},
		{"push key a", "bpop key 1", "$a", "_"},
		{"push key a", "bmove key to 1", "$a", "_"},
	} {
		for _, late := range []bool{false, true} {
			var now clock
			now.Store(1000)
			e := newTest(t, Config{Now: now.Load})
			do(t, e, c.make)
			do(t, e, "expireat key 2000")
			now.Store(1999)
			want := c.before
			if late {
				now.Store(2000)
				want = c.after
			}
			if got := do(t, e, c.command); got != want {
				t.Errorf("%s replies %s, want %s", c.command, got, want)
			}
			if got, want := e.Used(), counted(e); got != want {
				t.Errorf("%s: Used = %d, want %d", c.command, got, want)
			}
		}
	}
}

// TestWheelIsBounded gives keys ever other ends, as limits of rates do.
func TestWheelIsBounded(t *testing.T) {
	var now clock
	now.Store(1_700_000_000_000)
	e := newTest(t, Config{Now: now.Load})
	for i := range 50_000 {
		key := fmt.Sprint("key", i%100)
		do(t, e, "del "+key)
		do(t, e, fmt.Sprintf("set %s x %d", key, now.Load()+day+int64(i)))
		do(t, e, fmt.Sprintf("expireat %s %d", key, now.Load()+day/2))
	}
	total := 0
	for i := range e.shards {
		if w := e.shards[i].wheel; w != nil {
			total += w.keys
		}
	}
	if most := 2*100 + shardCount*(levelSlots+1); total > most {
		t.Errorf("the wheels have %d keys for 100 that expire, want %d at most", total, most)
	}
	do(t, e, "flush")
	for i := range e.shards {
		if e.shards[i].wheel != nil {
			t.Error("a wheel has keys that were flushed")
		}
	}
}

// Keys that are gone leave the wheel long before they would have expired: they may be long, and nobody counts them.
func TestWheelKeepsNoLongKeysThatAreGone(t *testing.T) {
	e := newTest(t, Config{})
	for i := range 500 {
		key := strings.Repeat("x", 100<<10) + strconv.Itoa(i)
		do(t, e, "set "+key+" v 1000000000000000")
		do(t, e, "del "+key)
	}
	kept := 0
	for i := range e.shards {
		if w := e.shards[i].wheel; w != nil {
			kept += w.bytes
		}
	}
	if most := shardCount * (goneBytes + 200<<10); kept > most {
		t.Errorf("%d bytes of keys are kept, want up to %d", kept, most)
	}
}
