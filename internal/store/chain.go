package store

import "math/bits"

// A chain is a main bucket and the overflow buckets behind it. All but the last are full. Callers
// of the methods in this file hold the shard's lock.

// chain appends the places of the first slot of each bucket of a chain.
func (t *table) chain(places []place, home uint32) []place {
	p := place(home << slotBits)
	for {
		places = append(places, p)
		next := t.bucketAt(p).next.Load()
		if next == 0 {
			return places
		}
		p = overflowPlace | place((next-1)<<slotBits)
	}
}

// last returns the last bucket of a chain, its place, and the bucket before it, or nil if there is
// none.
func (t *table) last(home uint32) (p place, b, before *bucket) {
	p = place(home << slotBits)
	b = t.bucketAt(p)
	for next := b.next.Load(); next != 0; next = b.next.Load() {
		before = b
		p = overflowPlace | place((next-1)<<slotBits)
		b = t.bucketAt(p)
	}
	return p, b, before
}

func (b *bucket) set(i int, tag uint64, e *entry) {
	b.slot[i].Store(e)
	b.tags.Store(b.tags.Load()&^(tagMask<<(i*tagBits)) | tag<<(i*tagBits))
}

func (b *bucket) clear(i int) {
	b.tags.Store(b.tags.Load() &^ (tagMask << (i * tagBits)))
	b.slot[i].Store(nil)
}

func (b *bucket) tag(i int) uint64 { return b.tags.Load() >> (i * tagBits) & tagMask }

// put stores e in the first free slot of a chain, and the place in the member of its id.
func (t *table) put(home uint32, tag uint64, e *entry) {
	p, b, _ := t.last(home)
	for i := range b.slot {
		if b.slot[i].Load() == nil {
			b.set(i, tag, e)
			t.ids.member(e.id).at = p + place(i)
			return
		}
	}
	number := t.takeOverflow()
	over := t.overflow.at(number)
	over.set(0, tag, e)
	t.ids.member(e.id).at = overflowPlace | place(number<<slotBits)
	t.step()
	b.next.Store(number + 1) // last: readers reach only a bucket that is filled
}

// take removes the entry at a place of a chain, and moves the chain's last entry there.
func (t *table) take(home uint32, at place) {
	_, last, before := t.last(home)
	b := t.bucketAt(at)
	if b != last {
		i := lastUsed(last)
		e := last.slot[i].Load()
		// With one store, a reader sees either the entry that leaves or the one that moves
		// in.
		b.slot[at.slot()].Store(e)
		b.tags.Store(b.tags.Load()&^(tagMask<<(at.slot()*tagBits)) | last.tag(i)<<(at.slot()*tagBits))
		t.ids.member(e.id).at = at
		t.step()
		t.moved()
		t.step()
		last.clear(i)
		t.step()
	} else {
		b.clear(at.slot())
	}
	if before != nil && last.tags.Load() == 0 {
		number := before.next.Load() - 1
		before.next.Store(0)
		t.step()
		t.giveOverflow(number)
	}
}

// lastUsed returns the highest slot in use of a bucket that is not empty.
func lastUsed(b *bucket) int { return (bits.Len64(b.tags.Load()) - 1) / tagBits }

func (t *table) takeOverflow() uint32 {
	if n := t.overflowFree; n != 0 {
		b := t.overflow.at(n - 1)
		t.overflowFree = b.nextFree
		return n - 1
	}
	t.overflow.reach(t.overflowUsed)
	t.overflowUsed++
	return t.overflowUsed - 1
}

// giveOverflow takes back an empty bucket that is in no chain any more. A reader may still be in
// it, and come into another chain when the bucket is used again. It misses nothing by that: the
// bucket was the last of its chain, and what was in it has left, or has moved, which changes
// table.state.
func (t *table) giveOverflow(number uint32) {
	b := t.overflow.at(number)
	b.next.Store(0)
	b.nextFree = t.overflowFree
	t.overflowFree = number + 1
}
