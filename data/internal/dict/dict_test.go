package dict

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// TestAsAMap has random changes made to a Dict and to a map.
func TestAsAMap(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		d, m := New[int](0), map[string]int{}
		most := 1 << r.IntN(14)
		for step := range 40_000 {
			key := fmt.Sprint(r.IntN(most))
			if grow := step/10_000%2 == 0; r.IntN(10) < 2 == grow {
				if n, v := d.Delete(key), m[key]; (n == nil) != (v == 0) || n != nil && n.Value != v {
					t.Fatalf("Delete(%s) = %v, want %d", key, n, v)
				}
				delete(m, key)
			} else {
				if n, v := d.Put(&Node[int]{Key: key, Value: step + 1}), m[key]; (n == nil) != (v == 0) || n != nil && n.Value != v {
					t.Fatalf("Put(%s) = %v, want %d", key, n, v)
				}
				m[key] = step + 1
			}
			if d.Len() != len(m) {
				t.Fatalf("Len = %d, want %d", d.Len(), len(m))
			}
		}
		got := map[string]int{}
		d.All(func(n *Node[int]) bool { got[n.Key] = n.Value; return true })
		for place, first := uint64(0), true; place != 0 || first; first = false {
			place = d.Scan(place, func(n *Node[int]) {
				if got[n.Key] != n.Value {
					t.Errorf("Scan visits %s twice, or All did not", n.Key)
				}
				delete(got, n.Key)
			})
		}
		if len(got) > 0 {
			t.Errorf("Scan does not visit %d keys", len(got))
		}
		for key := range m {
			d.Delete(key)
		}
		if d.Bytes() != 0 || d.Len() != 0 {
			t.Errorf("an empty table takes %d bytes and has %d keys", d.Bytes(), d.Len())
		}
	}
}

// TestScanWhileItChanges has a table grow and shrink during a scan, of which keys that stay see all.
func TestScanWhileItChanges(t *testing.T) {
	for _, skip := range []int{0, 6} {
		d := New[bool](skip)
		put := func(key string) {
			if Hash(key)>>(64-skip) == 5 || skip == 0 {
				d.Put(&Node[bool]{Key: key})
			}
		}
		for i := range 50_000 {
			put(fmt.Sprint("stays", i))
		}
		stay, seen := d.Len(), map[string]int{}
		place, turn := uint64(0), 0
		if skip > 0 {
			place = 5 << 58
		}
		for {
			place = d.Scan(place, func(n *Node[bool]) { seen[n.Key]++ })
			if turn++; place == 0 {
				break
			}
			for i := range 200 {
				if turn/100%2 == 0 {
					put(fmt.Sprint("goes", turn/200, i, turn%100))
				} else if key := fmt.Sprint("goes", turn/200, i, turn%100); d.Get(key) != nil {
					d.Delete(key)
				}
			}
		}
		kept := 0
		for key, n := range seen {
			if n != 1 {
				t.Fatalf("%s is visited %d times", key, n)
			}
			if key[0] == 's' {
				kept++
			}
		}
		if kept != stay {
			t.Errorf("%d of %d keys that stay are visited", kept, stay)
		}
	}
}

// TestReadWithoutALock has keys that stay found by others while others come and go.
func TestReadWithoutALock(t *testing.T) {
	d := New[int](0)
	for i := range 1000 {
		d.Put(&Node[int]{Key: fmt.Sprint("stays", i), Value: i})
	}
	var wg sync.WaitGroup
	var end atomic.Bool
	for range 2 {
		wg.Go(func() {
			for i := 0; !end.Load(); i = (i + 1) % 1000 {
				if n := d.Get(fmt.Sprint("stays", i)); n == nil || n.Value%1000 != i {
					t.Errorf("stays%d: %v", i, n)
					return
				}
			}
		})
	}
	for range 10 {
		for i := range 5000 {
			d.Put(&Node[int]{Key: fmt.Sprint("goes", i), Value: i})
			d.Put(&Node[int]{Key: fmt.Sprint("stays", i%1000), Value: i})
		}
		for i := range 5000 {
			d.Delete(fmt.Sprint("goes", i))
		}
	}
	end.Store(true)
	wg.Wait()
}

// TestRandomIsEven counts how often each of some keys is returned.
func TestRandomIsEven(t *testing.T) {
	d := New[int](0)
	for i := range 300 {
		d.Put(&Node[int]{Key: fmt.Sprint(i)})
	}
	counts := map[string]int{}
	for range 300 * 1000 {
		counts[d.Random().Key]++
	}
	for key, n := range counts {
		if n < 850 || n > 1150 { // 1000 is expected, and 32 the standard deviation
			t.Errorf("%s: %d times", key, n)
		}
	}
	if len(counts) != 300 {
		t.Errorf("%d of 300 keys", len(counts))
	}
}

func BenchmarkGet(b *testing.B) {
	d := New[int](0)
	keys := make([]string, 1_000_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%010d", i)
		d.Put(&Node[int]{Key: keys[i], Value: i})
	}
	b.ReportMetric(float64(d.Bytes())/float64(d.Len()), "B/key")
	i := 0
	for b.Loop() {
		d.Get(keys[i*7919%len(keys)])
		i++
	}
}

func BenchmarkRandom(b *testing.B) {
	d := New[int](0)
	for i := range 1_000_000 {
		d.Put(&Node[int]{Key: fmt.Sprintf("key:%010d", i), Value: i})
	}
	for b.Loop() {
		d.Random()
	}
}
