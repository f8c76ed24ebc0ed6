package store

import (
	"math"
	"math/bits"
)

// The wheel finds the entries that expire next, in constant time for each: adding and removing
// takes a few steps, and an entry moves at most once per level until it expires.
//
// Time is counted in ticks, and a tick is written in digits of wheelBits bits. An entry's level is
// the highest digit in which its tick differs from the wheel's, and its list within the level is
// the value of that digit. So the lists of a level stand for the next 64 units of its digit. When
// the wheel reaches a list, the entries in it move to lower levels. From the lowest level, they
// leave.
const (
	// A tick is 2^tickBits ns, 16.8 ms. No entry leaves before it expires, and each leaves by
	// itself within a tick afterwards. Readers do not rely on that: they look at the clock.
	tickBits    = 24
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = (63 - tickBits + wheelBits) / wheelBits

	// lastTick is the last tick that begins before the clock's end. An entry that would expire
	// in it never expires.
	lastTick = math.MaxInt64 >> tickBits

	// listRef marks a wheelPrev that names a list, by its level and slot, and not an entry's
	// id.
	listRef = 1 << 31
)

// wheel is guarded by the shard's lock. Its lists hold ids of entries that have hasExpiry.
type wheel struct {
	table *table
	// now is the tick up to which all is done. It only grows. No list of an earlier time has
	// entries.
	now   uint64
	items int64
	used  [wheelLevels]uint64 // a bit for each list that is not empty
	lists [wheelLevels][wheelSlots]uint32
}

// tickAfter returns the first tick that begins at or after the time ns.
func tickAfter(ns int64) uint64 { return (uint64(max(ns, 0)) + 1<<tickBits - 1) >> tickBits }

// add puts e into the wheel. now is the time on the store's clock.
func (w *wheel) add(e *entry, now int64) {
	if w.items == 0 {
		w.now = max(w.now, uint64(max(now, 0))>>tickBits) // nothing can be passed over
	}
	w.items++
	w.place(e)
}

// place puts e into the list of its tick.
func (w *wheel) place(e *entry) {
	tick := max(tickAfter(e.expires()), w.now)
	level := 0
	if diff := tick ^ w.now; diff != 0 {
		level = (bits.Len64(diff) - 1) / wheelBits
	}
	slot := int(tick >> (level * wheelBits) % wheelSlots)
	head := &w.lists[level][slot]
	e.setWheelNext(*head)
	e.setWheelPrev(listRef | uint32(level*wheelSlots+slot))
	if *head != 0 {
		w.table.entry(*head).setWheelPrev(e.id)
	}
	*head = e.id
	w.used[level] |= 1 << slot
}

// remove takes e out of the wheel. e still has its id.
func (w *wheel) remove(e *entry) {
	w.items--
	w.unlink(e)
}

// unlink takes e out of its list.
func (w *wheel) unlink(e *entry) {
	next, prev := e.wheelNext(), e.wheelPrev()
	if next != 0 {
		w.table.entry(next).setWheelPrev(prev)
	}
	if prev&listRef == 0 {
		w.table.entry(prev).setWheelNext(next)
		return
	}
	level, slot := prev&^listRef/wheelSlots, prev%wheelSlots
	w.lists[level][slot] = next
	if next == 0 {
		w.used[level] &^= 1 << slot
	}
}

// first returns the list whose time comes first, and the tick of that time. It returns false if the
// wheel is empty.
func (w *wheel) first() (level, slot int, tick uint64, ok bool) {
	for l := range w.used {
		shift := l * wheelBits
		digit := w.now >> shift % wheelSlots
		ahead := w.used[l] >> digit << digit
		if ahead == 0 {
			continue
		}
		s := bits.TrailingZeros64(ahead)
		at := w.now>>(shift+wheelBits)<<(shift+wheelBits) | uint64(s)<<shift
		if !ok || at < tick {
			level, slot, tick, ok = l, s, at, true
		}
	}
	return level, slot, tick, ok
}

// due returns when the wheel has something to do next, on the store's clock.
func (w *wheel) due() (ns int64, ok bool) {
	_, _, tick, ok := w.first()
	return int64(min(max(tick, w.now), lastTick) << tickBits), ok
}

// expired moves the wheel on to the time now in at most *steps steps, and subtracts the steps that
// it takes. It takes one expired entry out of the wheel and returns it, or nil if there is none or
// no step is left.
func (w *wheel) expired(now int64, steps *int) *entry {
	if w.items == 0 {
		return nil
	}
	until := uint64(max(now, 0)) >> tickBits
	for *steps > 0 {
		level, slot, tick, ok := w.first()
		if !ok || tick > until {
			w.now = max(w.now, until)
			return nil
		}
		*steps--
		w.now = max(w.now, tick)
		e := w.table.entry(w.lists[level][slot])
		w.unlink(e)
		if level == 0 {
			w.items--
			return e
		}
		w.place(e)
	}
	return nil
}
