// Package stripe has counters that many goroutines increment at the same time.
package stripe

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// stripesPerCPU makes it unlikely that two goroutines that run at the same time share a
	// stripe.
	stripesPerCPU = 16
	mostStripes   = 1024
	// The stripes take at most 1/stripesShare of the group's bytes, but there are at least
	// fewestStripes.
	stripesShare  = 32
	fewestStripes = 2
	stripeBytes   = unsafe.Sizeof(Stripe{})

	// The smallest stack has 1<<stackBits bytes: the stacks of two goroutines are at least that
	// far apart.
	stackBits = 11

	// spread is 2^64 divided by the golden ratio. Numbers that are close to each other differ
	// in their highest bits when they are multiplied by it.
	spread = 0x9E3779B97F4A7C15
)

// Counters count what happens at every hit. They are exact, and yet there is no cache line that all
// processors write to. A goroutine finds its stripe by the address of its stack. That costs next to
// nothing. Because a stack that is freed is used again on the same processor, a stripe stays in the
// cache of one processor.
//
// A group has few stripes until it caches something: on a machine with many processors, all of them
// take more memory than the rest of an empty group. Init is called before the first use.
type Counters struct {
	// A 64-bit hash, shifted right by shift, is the number of a stripe. first is the stripe
	// with number zero. shift is written after first and read before it, so that no number is
	// too large.
	shift atomic.Uint32
	first atomic.Pointer[Stripe]

	most uint8 // how many bits the numbers have when there are all stripes
	once sync.Once
	few  [fewestStripes]Stripe
}

// Stripe fills two cache lines, because processors fetch them in pairs.
type Stripe struct {
	Main, Hot atomic.Int64 // hits in each of the caches
	Served    atomic.Int64 // peers' requests
	_         [128 - 3*8]byte
}

// Init prepares the counters of a group of so many bytes. They take a small part of these.
func (c *Counters) Init(bytes int64) {
	most := max(fewestStripes, min(bytes/stripesShare/int64(stripeBytes), mostStripes))
	c.most = uint8(bits.Len(uint(min(int64(runtime.GOMAXPROCS(0))*stripesPerCPU, most) - 1)))
	c.first.Store(&c.few[0])
	c.shift.Store(64 - 1)
}

// Grow makes all stripes. It is called when something is cached: from then on there are hits to
// count.
func (c *Counters) Grow() {
	c.once.Do(func() {
		if n := 1 << c.most; n > fewestStripes {
			c.first.Store(unsafe.SliceData(make([]Stripe, n)))
			c.shift.Store(uint32(64 - c.most))
		}
	})
}

// Mine returns the stripe of this goroutine.
func (c *Counters) Mine() *Stripe {
	var here byte
	address := uint64(uintptr(unsafe.Pointer(&here)))
	i := address >> stackBits * spread >> (c.shift.Load() & 63)
	return (*Stripe)(unsafe.Add(unsafe.Pointer(c.first.Load()), uintptr(i)*stripeBytes))
}

// Sum returns the sums over all stripes.
func (c *Counters) Sum() (main, hot, served int64) {
	add := func(stripes []Stripe) {
		for i := range stripes {
			main += stripes[i].Main.Load()
			hot += stripes[i].Hot.Load()
			served += stripes[i].Served.Load()
		}
	}
	add(c.few[:]) // also when there are more
	if first := c.first.Load(); first != &c.few[0] {
		add(unsafe.Slice(first, 1<<c.most))
	}
	return main, hot, served
}
