package store

import (
	"encoding/binary"

	"github.com/peercache/peercache/internal/alloc"
)

// expires returns when e expires, on the store's clock. Zero means never.
func (e *entry) expires() int64 {
	if e.state.Load()&hasExpiry == 0 {
		return 0
	}
	return e.expiresAt()
}

// expiresAt does what expires does, for an entry that has hasExpiry.
func (e *entry) expiresAt() int64 { return int64(binary.NativeEndian.Uint64(e.expiryPart()[:8])) }

// cost returns the heap that an entry takes.
func cost(keyLen, valLen int, expires int64, meta uint64) int64 {
	flags, head, value := layout(keyLen, valLen, expires, meta)
	if flags&isApart != 0 {
		return apartBytes(head) + alloc.Size(value)
	}
	return alloc.Size(head)
}

// bytes returns the heap that e takes.
func (e *entry) bytes() int64 {
	state := e.state.Load()
	return cost(len(e.key()), int(e.valLen), int64(state&hasExpiry), uint64(state&hasMeta))
}

// A mark is what hits leave in an entry: how many there were, up to maxCount, and the epoch of
// the last (core.now), of which epochBits are kept. It is all that a hit writes.

// touch records a hit. A hit that loses a race with another change of state is not recorded. A mark
// that would not change is not written, so that processors can share a popular entry's cache line. It
// returns a state whose bits that never change are those of e.
func (e *entry) touch(epoch uint32) uint32 {
	state := e.state.Load()
	count := min(state>>countShift&maxCount+1, maxCount)
	if now := state&(1<<countShift-1) | count<<countShift | epoch<<epochShift; now != state {
		e.state.CompareAndSwap(state, now)
	}
	return state
}

// mark returns count and epoch in one.
func (e *entry) mark() uint32 { return e.state.Load() >> countShift }

func (e *entry) count() uint32 { return e.mark() & maxCount }

// age returns how many epochs ago the last hit was, modulo 1<<epochBits.
func (e *entry) age(epoch uint32) uint32 { return (epoch - e.mark()>>countBits) & (1<<epochBits - 1) }

func (e *entry) setMark(epoch, count uint32) {
	e.change(1<<countShift-1, count<<countShift|epoch<<epochShift)
}

func (e *entry) setCount(n uint32) { e.change(^uint32(maxCount<<countShift), n<<countShift) }

// arrive sets the mark of an entry without hits, and its queue.
func (e *entry) arrive(epoch, q uint32) {
	e.change(1<<queueShift-1|isLong, epoch<<epochShift|q<<queueShift)
}

func (e *entry) copyMark(from *entry) { e.change(1<<countShift-1, from.mark()<<countShift) }

func (e *entry) queue() uint32 { return e.state.Load() & queueMask >> queueShift }

func (e *entry) setQueue(q uint32) { e.change(^uint32(queueMask), q<<queueShift) }

// change sets the bits of the state that are not in keep. The caller holds the shard's lock, so
// that only hits change the state meanwhile.
func (e *entry) change(keep, bits uint32) {
	for {
		state := e.state.Load()
		if e.state.CompareAndSwap(state, state&keep|bits) {
			return
		}
	}
}

// The neighbours in the wheel, as ids, are guarded by the shard's lock. e has hasExpiry.

func (e *entry) wheelNext() uint32       { return binary.NativeEndian.Uint32(e.expiryPart()[8:]) }
func (e *entry) wheelPrev() uint32       { return binary.NativeEndian.Uint32(e.expiryPart()[12:]) }
func (e *entry) setWheelNext(id uint32)  { binary.NativeEndian.PutUint32(e.expiryPart()[8:], id) }
func (e *entry) setWheelPrev(ref uint32) { binary.NativeEndian.PutUint32(e.expiryPart()[12:], ref) }
