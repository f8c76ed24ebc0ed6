package resp

import "container/heap"

// endings are the keys of a part of the table whose values expire, the next one first. Clients are
// told then, as by Redis: those that do not ask for TTLs rely on it.
type endings []*tracked

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].end < e[j].end }
func (e endings) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].at, e[j].at = i, j
}

// Push implements heap.Interface.
func (e *endings) Push(k any) {
	k.(*tracked).at = len(*e)
	*e = append(*e, k.(*tracked))
}

// Pop implements heap.Interface.
func (e *endings) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*e = old[:len(old)-1]
	return last
}

func (e *endings) remove(k *tracked) {
	if k.end != 0 {
		heap.Remove(e, k.at)
		k.end = 0
	}
}

// expires records when the value of a key expires that a client has. Of several times the first one
// counts.
func (t *tracker) expires(full string, end int64) {
	sh := t.shard(full)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	k := sh.keys[full]
	switch {
	case k == nil || k.end != 0 && k.end <= end:
	case k.end == 0:
		k.end = end
		heap.Push(&sh.endings, k)
	default:
		k.end = end
		heap.Fix(&sh.endings, k.at)
	}
}

// startSweep starts sweep, unless one goes on: it waits for clients, which the sweep of the server
// disconnects if they do not read.
func (t *tracker) startSweep(now int64) {
	if t.sweeping.CompareAndSwap(false, true) {
		t.s.running.Go(func() {
			defer t.sweeping.Store(false)
			t.sweep(now)
			t.shrink()
		})
	}
}

// sweep tells clients of values that have expired.
func (t *tracker) sweep(now int64) {
	for i := range t.shards {
		sh := &t.shards[i]
		var over []*tracked
		sh.mu.Lock()
		for len(sh.endings) > 0 && sh.endings[0].end <= now {
			k := sh.endings[0]
			t.release(sh, k)
			over = append(over, k)
		}
		sh.mu.Unlock()
		if len(over) > 0 {
			t.tell(sh, over...)
		}
	}
}
