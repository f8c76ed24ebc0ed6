package store

import (
	"math"
	"math/bits"
)

// An expert is a way to choose what leaves.
type expert uint8

const (
	// frequent is TinyLFU with a small window (Einziger, Friedman, Manes: TinyLFU, 2017): a
	// new key must have been asked for more often than what it would replace. Best for steady
	// popularity and loops.
	frequent expert = iota
	// fifo is S3-FIFO (Yang et al., SOSP 2023): what is asked for twice while it is in small, or
	// again soon after, stays. Best for popularity that changes, with scans.
	fifo
	// recent is LRU. Best where keys are asked for in bursts.
	recent
	// balanced is TinyLFU with a large window. Best for mixtures of bursts and loops.
	balanced
	experts
)

const (
	// segments is how many lists main has. Half of them span as many additions as there are
	// entries; an entry's age is known to the width of one.
	segments = 32
	// The shares of the cache that small may have once main wants the rest.
	frequentSmall = 0.01 // Caffeine's
	fifoSmall     = 0.10 // S3-FIFO's
	balancedSmall = 0.30
	// tinyMargin: a newcomer must beat the estimate of what it would replace by more than
	// this. The newcomer's last request is counted, the other's are not until it is looked at;
	// in a loop, where all are equal, nothing must move.
	tinyMargin = 1
	// fifoPromote is how many hits in small lead to main.
	fifoPromote = 2
	// fifoGhost: the ghost remembers as many keys as this part of the entries, S3-FIFO's.
	fifoGhost = 0.9
	// fifoSlack is by how much of the cache main may exceed the share that it has in the shadow.
	fifoSlack = 0.03
	// maxSteps bounds the entries that one evict looks at, so that no Add pays for all.
	maxSteps = 1024
)

// The places of an entry, in its state.
const (
	inNone uint32 = iota
	inSmall
	inMain
)

// A core is the order of one cache's entries under one expert. The policy has one for the
// store's entries, whose expert changes, and a small one for each expert's shadow.
//
// All experts work on the same two queues, so that changing between them moves nothing: new
// entries go to small, and to main when they have shown to be worth it.
//
// Main is cut into segments by epoch, oldest first. Read plainly it is one queue, as S3-FIFO
// and TinyLFU use it, with second chances by the count of hits. For LRU, an entry at the old
// end that was asked for since is put into the segment of that time: so the order is that of
// the last hit, to the width of a segment, and no hit has to move anything.
type core struct {
	queues
	expert expert
	// max is what entries may take, in the unit of costOf. Each evict says it anew.
	max   int64
	held  [inMain + 1]holding // by place
	now   uint32              // epoch, and the newest segment's
	old   uint32              // epoch of the oldest segment
	added int64               // entries since the epoch began
	steps int                 // that the running evict may still take
	// nil in a shadow whose expert does not use them.
	sketch *sketch
	ghost  *ghost
	// model is the core of fifo's shadow, in the store's own.
	model *core
}

type holding struct{ items, cost int64 }

const smallList = segments // main's segments are lists [0, segments)

func newCore(x expert, r residents) core {
	return core{queues: queues{residents: r}, expert: x, now: segments, old: segments}
}

func (c *core) items() int64 { return c.held[inSmall].items + c.held[inMain].items }
func (c *core) cost() int64  { return c.held[inSmall].cost + c.held[inMain].cost }

// smallMax returns what small may take.
func (c *core) smallMax() int64 {
	return int64([experts]float64{frequent: frequentSmall, fifo: fifoSmall, balanced: balancedSmall}[c.expert] * float64(c.max))
}

// add takes in a new entry. It says whether an epoch ended.
func (c *core) add(hash uint64, e *entry) bool {
	known := c.ghost.take(hash)
	e.setMark(c.now, 0)
	if c.expert == recent || c.expert == fifo && known {
		c.enter(inMain, e)
	} else {
		c.enter(inSmall, e)
	}
	c.sketch.fit(c.items())
	c.sketch.add(hash, 1, c.items())
	c.settle()
	c.added++
	// While the cache fills, an epoch is as long as it will be: if they were short at first, so
	// many would pass that an entry's age could not be told.
	if c.added*segments/2 < max(scale(c.items(), max(c.max, 1), max(c.cost(), 1)), c.items()) {
		return false
	}
	c.added = 0
	c.advance()
	return true
}

// scale returns n * by / of, or the largest number if that is larger. None is negative, and
// of is not 0.
func scale(n, by, of int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(by))
	if hi >= uint64(of) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(min(q, math.MaxInt64))
}

// settle lets main take what TinyLFU's small has too much of while main has room: a few entries
// with each that comes, so that they are not left for the first evict. They keep their counts,
// which the shadows will learn from.
func (c *core) settle() {
	if c.expert == fifo || c.expert == recent {
		return
	}
	small, limit := &c.held[inSmall], c.smallMax()
	for range 2 {
		if small.items < 2 || small.cost <= limit {
			return
		}
		e := c.oldest(smallList)
		if c.held[inMain].cost+c.costOf(e) > c.max-limit {
			return
		}
		c.promote(e)
	}
}

// advance begins an epoch. The oldest segment becomes one with the next when there is no
// other place for the new one.
func (c *core) advance() {
	c.now++
	if c.now-c.old < segments {
		return
	}
	c.join(c.old%segments, (c.old+1)%segments)
	c.old++
}

// enter puts e, which is nowhere, into small, or into the segment of main of its last hit.
func (c *core) enter(place uint32, e *entry) {
	e.setQueue(place)
	c.held[place].items++
	c.held[place].cost += c.costOf(e)
	c.requeue(place, e)
}

// requeue puts e, which is in no list, into one of its place.
func (c *core) requeue(place uint32, e *entry) {
	if place == inSmall {
		c.push(smallList, e)
		return
	}
	at := c.now - e.age(c.now)
	if int32(at-c.old) < 0 {
		at = c.old
	}
	c.push(at%segments, e)
}

// remove takes e out of its place.
func (c *core) remove(e *entry) {
	place := e.queue()
	c.unlink(e)
	c.held[place].items--
	c.held[place].cost -= c.costOf(e)
	e.setQueue(inNone)
}

// replace lets e stand where old stood, whose id and neighbours it gets from the table.
func (c *core) replace(old, e *entry) {
	place := old.queue()
	e.setQueue(place)
	e.copyMark(old)
	c.held[place].cost += c.costOf(e) - c.costOf(old)
}

// promote moves e from small to main.
func (c *core) promote(e *entry) {
	c.remove(e)
	c.enter(inMain, e)
}

// fold moves hits from e's count to the sketch.
func (c *core) fold(e *entry, hits uint32) {
	if have := e.count(); have > 0 {
		c.sketch.add(c.hashOf(e), min(hits, have), c.items())
		e.setCount(have - min(hits, have))
	}
}

// gone takes out e, which leaves the cache.
func (c *core) gone(e *entry) *entry {
	c.fold(e, maxCount)
	c.remove(e)
	return e
}

// ghosted does what gone does, and remembers the key.
func (c *core) ghosted(e *entry) *entry {
	c.ghost.add(c.hashOf(e), int64(fifoGhost*float64(c.items()))+1)
	return c.gone(e)
}

// oldestMain returns the oldest entry of main, or nil.
func (c *core) oldestMain() *entry {
	for ; ; c.old++ {
		if e := c.oldest(c.old % segments); e != nil || c.old == c.now {
			return e
		}
	}
}

// victim returns what main can do without best, or nil if it is empty. On its way it gives
// others their second chance.
func (c *core) victim() *entry {
	for {
		e := c.oldestMain()
		if c.steps--; e == nil || c.steps < 0 {
			return e
		}
		if c.expert == recent || c.expert == balanced {
			if age := e.age(c.now); age >= segments || int32(c.now-age-c.old) <= 0 {
				return e
			}
		} else {
			if e.count() == 0 {
				return e
			}
			c.fold(e, 1)
			e.setMark(c.now, e.count())
		}
		c.unlink(e)
		c.requeue(inMain, e)
	}
}

// evict takes out what leaves next, when entries may take max; nil if there is none.
func (c *core) evict(max int64) *entry {
	c.max, c.steps = max, maxSteps
	var e *entry
	switch c.expert {
	case recent:
		e = c.evictRecent()
	case fifo:
		e = c.evictFIFO()
	default:
		e = c.evictTiny()
	}
	if e != nil {
		return e
	}
	if e = c.victim(); e == nil {
		e = c.oldest(smallList)
	}
	if e == nil {
		return nil
	}
	return c.gone(e)
}

// evictRecent empties small, where other experts have left entries, before main is looked at.
func (c *core) evictRecent() *entry {
	for e := c.oldest(smallList); e != nil; e = c.oldest(smallList) {
		if c.steps--; e.count() == 0 || c.steps < 0 {
			return c.ghosted(e)
		}
		c.promote(e)
	}
	return nil
}

func (c *core) evictFIFO() *entry {
	small, main := &c.held[inSmall], &c.held[inMain]
	// S3-FIFO rests at any share of main: what another expert left there, dead, would stay.
	// The shadow had no such legacy.
	if m := c.model; m != nil {
		share := float64(m.held[inMain].cost) / float64(m.max)
		if float64(main.cost) > (share+fifoSlack)*float64(c.max) {
			return nil
		}
	}
	if main.items > 0 && (small.items < 2 || small.cost <= c.smallMax()) {
		return nil
	}
	for small.items > 1 {
		e := c.oldest(smallList)
		if c.steps--; e.count() < fifoPromote || c.steps < 0 {
			return c.ghosted(e)
		}
		e.setMark(c.now, 0)
		c.promote(e)
	}
	return nil
}

func (c *core) evictTiny() *entry {
	small, main := &c.held[inSmall], &c.held[inMain]
	limit := c.smallMax()
	for small.items > 1 && small.cost > limit || main.items == 0 && small.items > 0 {
		if c.steps--; c.steps < 0 && main.items > 0 {
			return nil
		}
		e := c.oldest(smallList)
		hits := e.count()
		c.fold(e, maxCount)
		if main.cost+c.costOf(e) <= c.max-limit { // main has room
			c.promote(e)
			continue
		}
		if c.expert == balanced && hits > 0 && c.steps > 0 {
			c.unlink(e)
			c.push(smallList, e)
			continue
		}
		v := c.victim()
		if v == nil || c.sketch.estimate(c.hashOf(e)) <= c.sketch.estimate(c.hashOf(v))+tinyMargin {
			return c.ghosted(e)
		}
		c.promote(e)
		return c.gone(v)
	}
	return nil
}
