package store

import "sync/atomic"

// A ring passes hits on from readers, who hold no lock, to the holder of the store's lock, in the
// order in which they happened. It is lossy: a hit that finds it full, or another reader at it, is
// dropped, so that no reader ever waits. A full ring is only read, so that processors share it.
type ring struct {
	head  atomic.Uint32 // modulo ringSize, the slot of the next hit
	_     [128]byte
	slots [ringSize]atomic.Uint64 // hashes; 0: free
	_     [128]byte
	tail  uint32 // the slot that is taken next; guarded by the store's lock
}

// ringSize is how many hits there may be between two adds.
const ringSize = 128

// put records a hit of the key of hash. A slot that is free belongs to whoever moves head past it.
// If a reader is so slow to fill its slot that the others have gone all the way round, two hits
// change places or one is lost.
func (r *ring) put(hash uint64) {
	at := r.head.Load()
	if slot := &r.slots[at%ringSize]; slot.Load() == 0 && r.head.CompareAndSwap(at, at+1) {
		slot.Store(max(hash, 1))
	}
}

// take returns the oldest hit in the ring. The caller holds the store's lock.
func (r *ring) take() (hash uint64, ok bool) {
	slot := &r.slots[r.tail%ringSize]
	if hash = slot.Load(); hash == 0 {
		return 0, false
	}
	slot.Store(0)
	r.tail++
	return hash, true
}
