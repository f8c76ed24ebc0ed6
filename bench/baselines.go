package main

import (
	"container/heap"
	linked "container/list"
)

// The policies that ours is compared with, as plainly as they can be written. Each asks for
// one key after the other, and returns whether it had it.

func lruPolicy(entries int) func(key uint32) bool {
	order, at := linked.New(), map[uint32]*linked.Element{}
	return func(key uint32) bool {
		if e := at[key]; e != nil {
			order.MoveToFront(e)
			return true
		}
		if order.Len() == entries {
			delete(at, order.Remove(order.Back()).(uint32))
		}
		at[key] = order.PushFront(key)
		return false
	}
}

// visited is an entry of a policy that marks hits.
type visited struct {
	key  uint32
	hits int
	main bool
}

// sievePolicy is SIEVE (Zhang et al., NSDI 2024): a hand goes from old to new and takes the first
// that was not visited since it last came by.
func sievePolicy(entries int) func(key uint32) bool {
	order, at := linked.New(), map[uint32]*linked.Element{}
	var hand *linked.Element
	return func(key uint32) bool {
		if e := at[key]; e != nil {
			e.Value.(*visited).hits = 1
			return true
		}
		if order.Len() == entries {
			for {
				if hand == nil {
					hand = order.Back()
				}
				v := hand.Value.(*visited)
				if v.hits == 0 {
					break
				}
				v.hits = 0
				hand = hand.Prev()
			}
			gone := hand
			hand = hand.Prev()
			delete(at, order.Remove(gone).(*visited).key)
		}
		at[key] = order.PushFront(&visited{key: key})
		return false
	}
}

// s3fifoPolicy is S3-FIFO (Yang et al., SOSP 2023) with the paper's sizes: a tenth is small,
// the ghost is as long as main.
func s3fifoPolicy(entries int) func(key uint32) bool {
	smallMax := max(entries/10, 1)
	small, main, ghost := linked.New(), linked.New(), linked.New()
	at, ghosts := map[uint32]*linked.Element{}, map[uint32]*linked.Element{}
	toMain := func(v *visited) {
		v.hits, v.main = 0, true
		at[v.key] = main.PushFront(v)
	}
	evictSmall := func() {
		for small.Len() > 0 {
			v := small.Remove(small.Back()).(*visited)
			if v.hits > 1 {
				toMain(v)
				continue
			}
			delete(at, v.key)
			if ghost.Len() >= entries-smallMax && ghost.Len() > 0 {
				delete(ghosts, ghost.Remove(ghost.Back()).(uint32))
			}
			ghosts[v.key] = ghost.PushFront(v.key)
			return
		}
	}
	evictMain := func() {
		for {
			e := main.Back()
			v := e.Value.(*visited)
			if v.hits == 0 {
				main.Remove(e)
				delete(at, v.key)
				return
			}
			v.hits--
			main.MoveToFront(e)
		}
	}
	return func(key uint32) bool {
		if e := at[key]; e != nil {
			v := e.Value.(*visited)
			v.hits = min(v.hits+1, 3)
			return true
		}
		for small.Len()+main.Len() >= entries {
			if small.Len() >= smallMax || main.Len() == 0 {
				evictSmall()
			} else {
				evictMain()
			}
		}
		v := &visited{key: key}
		if e := ghosts[key]; e != nil {
			delete(ghosts, ghost.Remove(e).(uint32))
			toMain(v)
		} else {
			at[key] = small.PushFront(v)
		}
		return false
	}
}

// optimum returns the hits of the best policy there is, which knows the future: it evicts what is
// asked for again last (Belady 1966).
func optimum(t trace, entries int) (hits int) {
	next := make([]int, len(t.keys)) // when the key of a request is asked for again
	last := make([]int, t.distinct)
	for i := range last {
		last[i] = len(t.keys)
	}
	for i := len(t.keys) - 1; i >= 0; i-- {
		next[i] = last[t.keys[i]]
		last[t.keys[i]] = i
	}
	held := make([]int, t.distinct) // when a cached key is asked for again; 0: not cached
	var far uses
	items := 0
	for i, key := range t.keys {
		switch {
		case held[key] != 0:
			hits++
		case items < entries:
			items++
		default:
			for {
				u := heap.Pop(&far).(use)
				if held[u.key] == u.at { // it was not asked for since
					held[u.key] = 0
					break
				}
			}
		}
		held[key] = next[i]
		heap.Push(&far, use{next[i], key})
	}
	return hits
}

// use is when a key is asked for again.
type use struct {
	at  int
	key uint32
}

// uses is a heap with the farthest on top.
type uses []use

func (h uses) Len() int           { return len(h) }
func (h uses) Less(i, j int) bool { return h[i].at > h[j].at }
func (h uses) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *uses) Push(u any)        { *h = append(*h, u.(use)) }
func (h *uses) Pop() any {
	last := len(*h) - 1
	u := (*h)[last]
	*h = (*h)[:last]
	return u
}
