package peercache

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

const (
	// stripesPerCPU makes it unlikely that two goroutines which run at the same
	// time share a stripe.
	stripesPerCPU = 16
	mostStripes   = 1024

	// stackBits is the size of the smallest stack: those of two goroutines are
	// at least that far apart.
	stackBits = 11

	// spread is 2^64 divided by the golden ratio. Multiplied by it, numbers that
	// are close to each other differ in their highest bits.
	spread = 0x9E3779B97F4A7C15
)

// hitCounters count what happens at every hit, exactly, and yet without a cache
// line that all cores write to. A goroutine finds its stripe by the address of
// its stack. That costs next to nothing, and because a stack that is freed is
// used again on the same processor, a stripe stays in one core's cache.
type hitCounters struct {
	stripes []hitStripe // a power of two of them
	shift   uint8       // leaves as many bits of a 64-bit hash as number the stripes
}

// hitStripe fills two cache lines, because processors fetch them in pairs.
type hitStripe struct {
	main, hot atomic.Int64 // hits in each of the caches
	served    atomic.Int64 // peers' requests
	_         [128 - 3*8]byte
}

func newHitCounters() hitCounters {
	width := bits.Len(uint(min(runtime.GOMAXPROCS(0)*stripesPerCPU, mostStripes) - 1))
	return hitCounters{stripes: make([]hitStripe, 1<<width), shift: uint8(64 - width)}
}

// mine returns the stripe of this goroutine.
func (c *hitCounters) mine() *hitStripe {
	var here byte
	address := uint64(uintptr(unsafe.Pointer(&here)))
	i := address >> stackBits * spread >> (c.shift & 63)
	return &c.stripes[i&uint64(len(c.stripes)-1)]
}

func (c *hitCounters) sum() (main, hot, served int64) {
	for i := range c.stripes {
		main += c.stripes[i].main.Load()
		hot += c.stripes[i].hot.Load()
		served += c.stripes[i].served.Load()
	}
	return main, hot, served
}
