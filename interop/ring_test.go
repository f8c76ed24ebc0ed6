package main

import (
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	theirs "github.com/golang/groupcache/consistenthash"

	ours "github.com/peercache/peercache/consistenthash"
)

var seed = flag.Uint64("seed", rand.Uint64(), "of the random rings and keys")

// TestRing compares our ring for groupcache's fleets with the real one (P9).
func TestRing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(*seed, 0))
	for range 100 {
		replicas := 50
		if rnd.IntN(3) == 0 {
			replicas = 1 + rnd.IntN(100)
		}
		names := make([]string, 1+rnd.IntN(60))
		for i := range names {
			switch {
			case i > 0 && rnd.IntN(4) == 0: // with a point where an earlier one's is
				of := rnd.IntN(i)
				point := crc32.ChecksumIEEE(fmt.Append(nil, rnd.IntN(replicas), names[of]))
				n := rnd.IntN(replicas)
				names[i] = withCRC(fmt.Sprint(n, "http://collision", i), point)[len(fmt.Sprint(n)):]
			default:
				names[i] = fmt.Sprintf("http://10.%d.%d.%d:%d", rnd.IntN(256), rnd.IntN(256), i, 1+rnd.IntN(65535))
			}
		}
		rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		compareRings(t, rnd, replicas, names)
		if t.Failed() {
			t.Fatalf("replay with -seed=%d; %d replicas of %q", *seed, replicas, names)
		}
	}
}

func compareRings(t *testing.T, rnd *rand.Rand, replicas int, names []string) {
	t.Helper()
	real := theirs.New(replicas, nil)
	real.Add(names...)
	ring, err := ours.NewGroupcache(replicas, names...)
	if err != nil {
		t.Fatal(err)
	}
	compare := func(key string) {
		if got, want := ring.Owner(key), real.Get(key); got != want {
			t.Errorf("owner of %q: %q, want %q", key, got, want)
		}
	}
	for range 500 { // anywhere
		key := make([]byte, rnd.IntN(40))
		for i := range key {
			key[i] = byte(rnd.Uint32())
		}
		compare(string(key))
	}
	for range 100 { // at a point, and beside it
		point := crc32.ChecksumIEEE(fmt.Append(nil, rnd.IntN(replicas), names[rnd.IntN(len(names))]))
		for _, at := range []uint32{point - 1, point, point + 1} {
			compare(withCRC(fmt.Sprint("key", rnd.Uint32()), at))
		}
	}
	compare(withCRC("first", 0))
	compare(withCRC("last", 1<<32-1))
}

// withCRC returns prefix with four bytes after it, such that the CRC-32 of the
// whole is sum.
func withCRC(prefix string, sum uint32) string {
	// A step of CRC-32 shifts the state down by a byte and xors an entry of the
	// table, of which the highest byte tells which one it was. So the entries
	// are found from the last to the first, and then the bytes from the first
	// to the last.
	var entries [4]byte
	state := ^sum
	for i := range 4 {
		var entry int
		for crc32.IEEETable[entry]>>24 != state>>24 {
			entry++
		}
		entries[3-i] = byte(entry)
		state = (state ^ crc32.IEEETable[entry]) << 8
	}
	s := []byte(prefix)
	state = ^crc32.ChecksumIEEE(s)
	for _, entry := range entries {
		s = append(s, byte(state)^entry)
		state = state>>8 ^ crc32.IEEETable[entry]
	}
	return string(s)
}

// TestWithCRC checks what forces the collisions.
func TestWithCRC(t *testing.T) {
	for _, want := range []uint32{0, 1, 0xdeadbeef, 1<<32 - 1} {
		if got := crc32.ChecksumIEEE([]byte(withCRC("some prefix", want))); got != want {
			t.Errorf("got %#x, want %#x", got, want)
		}
	}
}
