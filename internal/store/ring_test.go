package store

import (
	"sync"
	"testing"
)

// A ring gives back what was put in, in order, and forgets what is too much.
func TestRingKeepsOrder(t *testing.T) {
	r := random(t)
	var ring ring
	put, took := uint64(0), uint64(0)
	var want []uint64
	for range 100_000 {
		if r.IntN(2) == 0 {
			for range r.IntN(ringSize) {
				put++
				ring.put(put)
				if len(want) < ringSize {
					want = append(want, put)
				}
			}
			continue
		}
		for range r.IntN(ringSize) {
			got, ok := ring.take()
			if ok != (len(want) > 0) || ok && got != want[0] {
				t.Fatalf("took %d %t, of %v", got, ok, want)
			}
			if ok {
				want = want[1:]
				took++
			}
		}
	}
	if took < put/3 {
		t.Fatalf("took %d of %d", took, put)
	}
}

// Many readers put while one goroutine takes: nothing comes that was not put, or that comes twice,
// and nearly all of one reader's hits come in its order.
func TestRingOfManyReaders(t *testing.T) {
	const readers, each = 4, 200_000
	var ring ring
	var all sync.WaitGroup
	for g := range uint64(readers) {
		all.Go(func() {
			for i := range uint64(each) {
				ring.put(g<<32 | i + 1)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	seen := map[uint64]bool{}
	var last [readers]uint64
	back := 0
	for over := false; ; {
		hash, ok := ring.take()
		if !ok {
			if over {
				break
			}
			select {
			case <-done:
				over = true
			default:
			}
			continue
		}
		g, i := hash>>32, hash&(1<<32-1)
		if g >= readers || i == 0 || i > each || seen[hash] {
			t.Fatalf("took %x, before: %t", hash, seen[hash])
		}
		seen[hash] = true
		if i < last[g] {
			back++
		}
		last[g] = i
	}
	if len(seen) < ringSize || back > len(seen)/10 {
		t.Errorf("took %d, %d of them out of order", len(seen), back)
	}
}
