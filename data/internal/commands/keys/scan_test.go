package keys_test

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
	"sync"
	"testing"

	"github.com/peercache/peercache/data"
)

func memory(t testing.TB) (do func(name string, args ...string) data.Reply) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return func(name string, args ...string) data.Reply {
		replies, err := m.Do(context.Background(), data.Command(name, args...))
		if err != nil || replies[0].Kind == data.ErrorReply {
			t.Errorf("%s %q: %v, %v", name, args, replies, err)
			return data.Reply{}
		}
		return replies[0]
	}
}

// TestScanGuarantee checks that a scan finds each key once that is there all the time, and none that never is, while the table grows,
// shrinks and grows again.
func TestScanGuarantee(t *testing.T) {
	const stay, come, rounds = 1000, 20_000, 30
	do := memory(t)
	for i := range stay {
		do("SET", fmt.Sprint("stay:", i), "x")
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			for i := range 2 * come {
				select {
				case <-stop:
					return
				default:
				}
				if key := fmt.Sprint("come:", i%come); i < come {
					do("SET", key, "x")
				} else {
					do("DEL", key)
				}
			}
		}
	})
	for round := range rounds {
		count := strconv.Itoa([]int{1, 10, 100, 5000}[round%4])
		seen := make(map[string]int)
		for cursor := "0"; ; {
			reply := do("SCAN", cursor, "COUNT", count)
			for _, key := range reply.List[1].List {
				seen[key.Str]++
			}
			if cursor = reply.List[0].Str; cursor == "0" {
				break
			}
			if n, err := strconv.ParseUint(cursor, 10, 64); err != nil || n >= 1<<53 {
				t.Fatalf("the cursor %s", cursor)
			}
		}
		for i := range stay {
			if n := seen[fmt.Sprint("stay:", i)]; n != 1 {
				t.Errorf("round %d: the key stay:%d was found %d times", round, i, n)
			}
		}
		if len(seen) > stay+come {
			t.Errorf("round %d: %d keys", round, len(seen))
		}
	}
	close(stop)
	others.Wait()
}

// TestScanCount checks that one call of SCAN does not look at many more keys than it is told.
func TestScanCount(t *testing.T) {
	do := memory(t)
	for i := range 10_000 {
		do("SET", strconv.Itoa(i), "x")
	}
	for _, count := range []int{1, 10, 100} {
		for cursor := "0"; ; {
			reply := do("SCAN", cursor, "COUNT", strconv.Itoa(count))
			if n := len(reply.List[1].List); n > count+32 {
				t.Errorf("%d keys for COUNT %d", n, count)
			}
			if cursor = reply.List[0].Str; cursor == "0" {
				break
			}
		}
	}
}

func TestRandomKeyFindsAll(t *testing.T) {
	do := memory(t)
	const n = 50
	for i := range n {
		do("SET", strconv.Itoa(i), "x")
		do("SET", "gone"+strconv.Itoa(i), "x", "PXAT", "1")
	}
	seen := make(map[string]int)
	for range 100 * n {
		seen[do("RANDOMKEY").Str]++
	}
	for i := range n {
		if seen[strconv.Itoa(i)] < 25 {
			t.Errorf("the key %d was chosen %d times of %d", i, seen[strconv.Itoa(i)], 100*n)
		}
	}
	if len(seen) != n {
		t.Errorf("%d keys", len(seen))
	}
}

// TestRandomKeyAmongExpired has one key that has not expired, among many.
func TestRandomKeyAmongExpired(t *testing.T) {
	do := memory(t)
	for i := range 3000 {
		do("SET", strconv.Itoa(rand.Int()+i), "x", "PXAT", "1")
	}
	do("SET", "here", "x")
	for range 20 {
		if key := do("RANDOMKEY").Str; key != "here" {
			t.Fatalf("RANDOMKEY: %q", key)
		}
	}
	do("DEL", "here")
	if reply := do("RANDOMKEY"); reply.Kind != data.NullReply {
		t.Errorf("RANDOMKEY of none: %v", reply)
	}
}
