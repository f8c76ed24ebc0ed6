package store

import (
	"math"
	"math/bits"
)

// A policy is a way to choose the entry that leaves.
type policy uint8

const (
	// frequent is TinyLFU with a small window (Einziger, Friedman, Manes: TinyLFU, 2017): a new
	// key must have been requested more often than the entry that it would replace. It is best
	// for steady popularity and for loops.
	frequent policy = iota
	// fifo is S3-FIFO (Yang et al., SOSP 2023): an entry stays that is requested twice while it
	// is in small, or again soon after. It is best for popularity that changes, with scans.
	fifo
	// recent is LRU. It is best for keys that are requested in bursts.
	recent
	// balanced is TinyLFU with a large window. It is best for mixtures of bursts and loops.
	balanced
	policies
)

const (
	// segments is how many lists main has. Half of them span as many additions as there are
	// entries. An entry's age is known to the width of one segment.
	segments = 32
	// The shares of the cache that small may have once main is full.
	frequentSmall = 0.01 // Caffeine's
	fifoSmall     = 0.10 // S3-FIFO's
	balancedSmall = 0.30
	// tinyMargin is by how much the estimate for a new entry must be higher than that for the
	// entry it would replace. The new entry's last request is counted, the other's only when it
	// is looked at. In a loop, where all are equal, nothing must move.
	tinyMargin = 1
	// fifoPromote is how many hits in small bring an entry to main.
	fifoPromote = 2
	// fifoGhost is how many keys the ghost remembers, as a part of the number of entries:
	// S3-FIFO's.
	fifoGhost = 0.9
	// fifoSlack is the part of the cache by which main may exceed the share it has in the
	// shadow.
	fifoSlack = 0.03
	// maxSteps bounds how many entries one evict looks at, so that no Add takes long.
	maxSteps = 1024
)

// The places of an entry, in its state.
const (
	inNone uint32 = iota
	inSmall
	inMain
)

// A core keeps the entries of one cache in the order of one policy. There is one for the store's
// entries, whose policy changes, and a small one in each shadow.
//
// All policies work on the same two queues, so that a change of policy moves nothing: new entries
// go to small, and later to main if they have proved useful.
//
// Main is cut into segments by epoch, the oldest first. S3-FIFO and TinyLFU use it as one queue,
// with second chances by the count of hits. For LRU, an entry at the old end that was hit meanwhile
// moves to the segment of its last hit. So the order is that of the last hit, to the width of a
// segment, and a hit moves nothing.
type core struct {
	queues
	policy policy
	// max is how much the entries may take, in the unit of costOf. Each evict sets it.
	max   int64
	held  [inMain + 1]holding // by place
	now   uint32              // the epoch, which is also that of the newest segment
	old   uint32              // the epoch of the oldest segment
	added int64               // entries added since the epoch began
	steps int                 // how many more steps the running evict may take
	// sketch and ghost are nil in a shadow whose policy does not use them.
	sketch *sketch
	ghost  *ghost
	// model is the core of fifo's shadow. Only the store's own core has it.
	model *core
}

// holding is what one place has.
type holding struct{ items, cost int64 }

const smallList = segments // main's segments are lists [0, segments)

func newCore(x policy, r residents) core {
	return core{queues: queues{residents: r}, policy: x, now: segments, old: segments}
}

func (c *core) items() int64 { return c.held[inSmall].items + c.held[inMain].items }
func (c *core) cost() int64  { return c.held[inSmall].cost + c.held[inMain].cost }

// smallMax returns what small may take.
func (c *core) smallMax() int64 {
	return int64([policies]float64{frequent: frequentSmall, fifo: fifoSmall, balanced: balancedSmall}[c.policy] * float64(c.max))
}

// add adds a new entry, and reports whether an epoch has ended.
func (c *core) add(hash uint64, e *entry) bool {
	known := c.ghost.take(hash)
	place := inSmall
	if c.policy == recent || c.policy == fifo && known {
		place = inMain
	}
	e.arrive(c.now, place)
	c.enter(place, e)
	c.sketch.fit(c.items())
	c.sketch.add(hash, 1, c.items())
	c.settle()
	c.added++
	// While the cache fills, an epoch is already as long as it will be in the end. Short epochs
	// would pass too fast: an entry's age could not be known.
	if c.added*segments/2 < max(scale(c.items(), max(c.max, 1), max(c.cost(), 1)), c.items()) {
		return false
	}
	c.added = 0
	c.advance()
	return true
}

// scale returns n * by / of, or the largest int64 if that is too large. No argument is negative,
// and of is not 0.
func scale(n, by, of int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(by))
	if hi >= uint64(of) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(min(q, math.MaxInt64))
}

// settle moves entries from small to main while small is above its share and main has room. It does
// so under TinyLFU alone, for a few entries with each new one, so that the first evict does not
// find many of them. They keep their counts, from which the shadows will learn.
func (c *core) settle() {
	if c.policy == fifo || c.policy == recent {
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

// advance begins an epoch. If there is no free list for the new segment, it joins the two oldest
// segments.
func (c *core) advance() {
	c.now++
	if c.now-c.old < segments {
		return
	}
	c.join(c.old%segments, (c.old+1)%segments)
	c.old++
}

// enter puts e, which is in no queue and says that it is in place, into small, or into main at the
// segment of its last hit.
func (c *core) enter(place uint32, e *entry) {
	c.held[place].items++
	c.held[place].cost += c.costOf(e)
	c.requeue(place, e)
}

// requeue puts e, which is in no list, into a list of its place.
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

// remove takes e out of its queue.
func (c *core) remove(e *entry) {
	place := e.queue()
	c.unlink(e)
	c.held[place].items--
	c.held[place].cost -= c.costOf(e)
}

// replace puts e in the place of old. The table gives e the id and the neighbours of old.
func (c *core) replace(old, e *entry) {
	place := old.queue()
	e.setQueue(place)
	e.copyMark(old)
	c.held[place].cost += c.costOf(e) - c.costOf(old)
}

// promote moves e from small to main.
func (c *core) promote(e *entry) {
	c.remove(e)
	e.setQueue(inMain)
	c.enter(inMain, e)
}

// fold moves at most hits hits from e's count to the sketch.
func (c *core) fold(e *entry, hits uint32) {
	if have := e.count(); have > 0 {
		c.sketch.add(c.hashOf(e), min(hits, have), c.items())
		e.setCount(have - min(hits, have))
	}
}

// gone removes e, which leaves the cache, and returns it.
func (c *core) gone(e *entry) *entry {
	c.fold(e, maxCount)
	c.remove(e)
	return e
}

// ghosted does what gone does, and makes the ghost remember the key.
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

// victim returns the entry of main that is of the least use, or nil if main is empty. It gives the
// entries that it passes their second chance.
func (c *core) victim() *entry {
	for {
		e := c.oldestMain()
		if c.steps--; e == nil || c.steps < 0 {
			return e
		}
		if c.policy == recent || c.policy == balanced {
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

// evict removes the entry that leaves next when the entries may take max, and returns it, or nil if
// there are none.
func (c *core) evict(max int64) *entry {
	c.max, c.steps = max, maxSteps
	var e *entry
	switch c.policy {
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

// evictRecent evicts from small, where other policies may have left entries. It returns nil when
// small is empty.
func (c *core) evictRecent() *entry {
	for e := c.oldest(smallList); e != nil; e = c.oldest(smallList) {
		if c.steps--; e.count() == 0 || c.steps < 0 {
			return c.ghosted(e)
		}
		c.promote(e)
	}
	return nil
}

// evictFIFO evicts from small. It returns nil if an entry of main is to leave.
func (c *core) evictFIFO() *entry {
	small, main := &c.held[inSmall], &c.held[inMain]
	// S3-FIFO keeps any share of main that it has: dead entries that another policy left there
	// would stay. The shadow always had this policy, so its share is the right one.
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

// evictTiny lets the oldest entry of small compete with one of main, and evicts the loser. It
// returns nil if small is within its share.
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
		if c.policy == balanced && hits > 0 && c.steps > 0 {
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
