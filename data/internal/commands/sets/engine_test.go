package sets_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

// TestSpopIsLogged has members popped that are chosen at random. Who replays the log removes the same.
func TestSpopIsLogged(t *testing.T) {
	for _, prefix := range []string{"", "m"} {
		log := &enginetest.Records{}
		e := enginetest.New(t, engine.Config{Log: log})
		left := map[string]bool{}
		for i := range 1000 {
			m := prefix + strconv.Itoa(i)
			left[m] = true
			enginetest.Run(t, e, "SADD", "key", m)
		}
		for n := range 40 {
			got := enginetest.Run(t, e, "SPOP", "key", strconv.Itoa(n))
			if n == 0 {
				got = enginetest.Run(t, e, "SPOP", "key")
				n = 1
			}
			if len(got) != n {
				t.Fatalf("SPOP %d: %d members", n, len(got))
			}
			for _, m := range got {
				if !left[m] {
					t.Fatalf("SPOP: %q is not there, or is popped twice", m)
				}
				delete(left, m)
			}
		}
		other := enginetest.New(t, engine.Config{})
		other.Replaying(true)
		for _, r := range log.List {
			if err := other.Replay(r); err != nil {
				t.Fatal(err)
			}
		}
		want := slices.Sorted(maps.Keys(left))
		for name, e := range map[string]*engine.Engine{"the engine": e, "what replays its log": other} {
			if got := slices.Sorted(slices.Values(enginetest.Run(t, e, "SMEMBERS", "key"))); !slices.Equal(got, want) {
				t.Errorf("%s has %d members, want %d", name, len(got), len(want))
			}
		}
	}
}

func TestEvents(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"SADD k a b; SADD k a; SREM k c", "new k; sadd k"},
		{"SADD k a b; SREM k a; SREM k b", "new k; sadd k; srem k; srem k; del k"},
		{"SADD k a b c; SPOP k; SPOP k 1; SPOP k 0; SPOP k 5; SPOP k", "new k; sadd k; spop k; spop k; spop k; del k"},
		{"SADD k a; SPOP k", "new k; sadd k; spop k; del k"},
		{"SADD k a; SMOVE k l a; SMOVE k l a; SADD k a; SMOVE k l a", "new k; sadd k; srem k; del k; new l; sadd l; new k; sadd k; srem k; del k"},
		{"SADD k a; SMOVE k k a", "new k; sadd k"},
		{"SADD k a; SUNIONSTORE d k; SINTERSTORE d k; SDIFFSTORE d k k; SDIFFSTORE d k k", "new k; sadd k; new d; sunionstore d; sinterstore d; del d"},
	} {
		var got []string
		e := enginetest.New(t, engine.Config{})
		e.OnEvent(^engine.Class(0), func(_ engine.Class, event, key string) { got = append(got, event+" "+key) })
		for line := range strings.SplitSeq(test.lines, "; ") {
			enginetest.Run(t, e, strings.Fields(line)...)
		}
		if got := strings.Join(got, "; "); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.lines, got, test.want)
		}
	}
}

// TestScanWhileItChanges has members that stay all visited by SSCAN, while others come and go and the set changes its form.
func TestScanWhileItChanges(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		e := enginetest.New(t, engine.Config{})
		stay := 1 + r.IntN(500)
		for i := range stay {
			enginetest.Run(t, e, "SADD", "key", strconv.Itoa(i))
		}
		seen := map[string]bool{}
		for cursor, first := "0", true; cursor != "0" || first; first = false {
			reply := enginetest.Run(t, e, "SSCAN", "key", cursor, "COUNT", strconv.Itoa(1+r.IntN(30)))
			cursor = reply[0]
			for _, m := range reply[1:] {
				seen[m] = true
			}
			for range r.IntN(60) {
				enginetest.Run(t, e, []string{"SADD", "SREM"}[r.IntN(2)], "key", fmt.Sprint("goes", r.IntN(1000)))
			}
		}
		for i := range stay {
			if !seen[strconv.Itoa(i)] {
				t.Fatalf("seed %d: %d is not visited", seed, i)
			}
		}
	}
}

// TestUndone has many commands run in a transaction that is rolled back. Sets are as they were, and what is counted for them is
// what they take.
func TestUndone(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 0))
		e := enginetest.New(t, engine.Config{})
		command := func() []string {
			key := "k" + strconv.Itoa(r.IntN(4))
			member := strconv.Itoa(r.IntN(800))
			if r.IntN(4) == 0 && key > "k1" {
				member = fmt.Sprint("member", r.IntN(300))
			}
			other := "k" + strconv.Itoa(r.IntN(4))
			if r.IntN(3) > 0 {
				return []string{"SADD", key, member}
			}
			all := [][]string{{"SADD", key, member, "1", "2", "5"}, {"SREM", key, member}, {"SPOP", key}, {"SPOP", key, "3"}, {"SMOVE", key, other, member},
				{"SUNIONSTORE", key, other, key}, {"DEL", key}}
			return all[r.IntN(len(all)-1+r.IntN(20)/19)]
		}
		for range 1500 {
			enginetest.Run(t, e, command()...)
		}
		before := state(t, e)
		tx, err := e.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			args := command()
			if err := tx.Run(e.Commands().Find(args[0]), args, &enginetest.Words{}); err != nil {
				t.Fatal(err)
			}
		}
		tx.Rollback()
		if after := state(t, e); !maps.Equal(after, before) {
			t.Fatalf("seed %d: %.500v\nwant %.500v", seed, after, before)
		}
		for i := range 4 {
			enginetest.Run(t, e, "DEL", "k"+strconv.Itoa(i))
		}
		if e.Used() != 0 {
			t.Fatalf("seed %d: %d bytes are counted for nothing", seed, e.Used())
		}
	}
}

// state returns the members of all keys, and their encodings.
func state(t *testing.T, e *engine.Engine) map[string]string {
	all := map[string]string{}
	for i := range 4 {
		key := "k" + strconv.Itoa(i)
		all[key] = fmt.Sprint(slices.Sorted(slices.Values(enginetest.Run(t, e, "SMEMBERS", key))), enginetest.Run(t, e, "OBJECT", "ENCODING", key))
	}
	return all
}

// TestAtTheSameTime has sets read and written by several goroutines, for the race detector.
func TestAtTheSameTime(t *testing.T) {
	e := enginetest.New(t, engine.Config{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for range 3000 {
				key, other := "k"+strconv.Itoa(r.IntN(3)), "k"+strconv.Itoa(r.IntN(3))
				member := strconv.Itoa(r.IntN(300))
				if r.IntN(300) == 0 {
					member = "name"
				}
				all := [][]string{{"SADD", key, member}, {"SMEMBERS", key}, {"SRANDMEMBER", key, "5"}, {"SMOVE", key, other, member}, {"SINTER", key, other},
					{"SREM", key, member}, {"SSCAN", key, "0"}, {"SISMEMBER", key, member}, {"SPOP", other}}
				enginetest.Run(t, e, all[r.IntN(len(all))]...)
			}
		})
	}
	wg.Wait()
	for i := range 3 {
		key := "k" + strconv.Itoa(i)
		for _, m := range enginetest.Run(t, e, "SMEMBERS", key) {
			enginetest.Run(t, e, "SREM", key, m)
		}
	}
	if e.Used() != 0 {
		t.Errorf("%d bytes are counted for nothing", e.Used())
	}
}
