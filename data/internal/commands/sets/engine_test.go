package sets_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
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
		if got := enginetest.Events(t, test.lines); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.lines, got, test.want)
		}
	}
}

// TestScanWhileItChanges has members that stay all visited by SSCAN, while others come and go and the set changes its form.
func TestScanWhileItChanges(t *testing.T) {
	enginetest.CheckScan(t, "SSCAN", 1, "SADD k STAYS", "SADD k GOES", "SREM k GOES")
}

// TestUndone has many commands run in a transaction that is rolled back. Sets are as they were, and what is counted for them is
// what they take.
func TestUndone(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		enginetest.CheckUndone(t, seed, 800, state, func() []string {
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
		})
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
	enginetest.CheckAtTheSameTime(t, func(r *rand.Rand) []string {
		key, other := "k"+strconv.Itoa(r.IntN(3)), "k"+strconv.Itoa(r.IntN(3))
		member := strconv.Itoa(r.IntN(300))
		if r.IntN(300) == 0 {
			member = "name"
		}
		all := [][]string{{"SADD", key, member}, {"SMEMBERS", key}, {"SRANDMEMBER", key, "5"}, {"SMOVE", key, other, member}, {"SINTER", key, other},
			{"SREM", key, member}, {"SSCAN", key, "0"}, {"SISMEMBER", key, member}, {"SPOP", other}}
		return all[r.IntN(len(all))]
	})
}
