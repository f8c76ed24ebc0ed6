package cluster

import (
	"hash/maphash"
	"sync"

	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// changeOrder finds the messages of a Set that come too late.
//
// A Set may tell its owner several times: it begins again when views change, and gives up a request
// that takes long. The owner may do what such a request says after the Set has returned, and after
// another process has changed the key: it would bring an old value back. But the last message of a
// Set that returns nil was answered. So a value counts only in a message that was sent after all
// that have come here from the same process for the same key. Else the message drops what is cached.
type changeOrder struct {
	seed    maphash.Seed
	planted failpoint.Bug

	mu     sync.Mutex
	last   map[orderKey]uint64 // sequence numbers of the last changes
	oldest []orderKey          // those in last, a ring from next on once it is full
	next   int
	// forgotten are the highest sequence numbers that have left last, by sender. Up to there a
	// value does not count if its key is not in last.
	forgotten map[uint64]uint64
}

// orderKey stands for a sender and a key of a group. The sender is a name and a process: who says that
// it is the process of another name must not make what that one says late.
type orderKey struct{ sender, key uint64 }

const (
	// mostOrdered is how many changes are remembered, and mostForgetful of how many senders it is
	// known which were forgotten. Together they take at most 0.5 MiB.
	mostOrdered   = 4096
	mostForgetful = 4096
)

// sender is what an orderKey stands for.
type sender struct {
	from    string
	process uint32
}

// record records a change that has come. The func reports whether a later one of the same process
// for the same key has come, before this one or since. It is called with the key locked in the
// cache, so that a value is not kept when it is late already, and is replaced by what comes later.
//
// Nothing else has an order: a change of many keys has no value, and a process of an earlier version
// has no sequence.
func (o *changeOrder) record(from string, change *peer.Change) (late func() bool) {
	s := sequenceOf(&change.State)
	if s.process == 0 || len(change.Keys) != 1 || o.planted == failpoint.LateSet {
		return func() bool { return false }
	}
	k := orderKey{
		maphash.Comparable(o.seed, sender{from, s.process}),
		maphash.Comparable(o.seed, [2]string{change.Group, change.Keys[0]}),
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if last, known := o.last[k]; !known {
		if s.number <= o.forgotten[k.sender] {
			return func() bool { return true }
		}
		o.add(k)
		o.last[k] = s.number
	} else {
		o.last[k] = max(last, s.number)
	}
	return func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		last, known := o.last[k]
		return s.number < last || !known
	}
}

// add makes room for a key in last. The caller holds o.mu.
func (o *changeOrder) add(k orderKey) {
	if o.last == nil {
		o.last, o.forgotten = make(map[orderKey]uint64), make(map[uint64]uint64)
	}
	if len(o.oldest) < mostOrdered {
		o.oldest = append(o.oldest, k)
		return
	}
	old := o.oldest[o.next]
	if _, known := o.forgotten[old.sender]; !known && len(o.forgotten) >= mostForgetful {
		clear(o.forgotten) // so many processes have ended since
	}
	o.forgotten[old.sender] = max(o.forgotten[old.sender], o.last[old])
	delete(o.last, old)
	o.oldest[o.next], o.next = k, (o.next+1)%mostOrdered
}
