package cluster

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// A process that starts with a snapshot asks its peers which keys were changed since its
// departure. So each process records changes in change logs: one for each departure that it has
// heard of, one for its own, and one since it started. A log is a set of bits, and each key has
// one of them: a log may say of a key that it was changed though it was not, but never the
// other way round.
//
// Whoever makes a change, or is told of it, records it in all logs before it drops anything.

// changeLogs are the change logs of a process.
type changeLogs struct {
	mu  sync.RWMutex
	all []*changeLog // guarded by mu; in the order in which they began; never empty
}

// changeLog has the keys that were changed since a departure.
type changeLog struct {
	departure uint64 // 0: since this process started
	peer      string // that left
	began     clock.Instant
	// broken says that the log comes from the snapshot of the process before. From the end of
	// that until the start of this one, nothing was recorded: circle stands for those who may
	// have made changes then. It is 0 if these are not the same for all such times.
	broken bool
	circle uint64
	// bits are nil before the first change: a process with many peers has many logs, and most of
	// them stay empty.
	bits atomic.Pointer[logWords]
	// departed are the owners that left the view after this log began, and before the next did.
	// full says that there were more of them, which are not known.
	departed []string
	full     bool
}

// logWords are the bits of a log.
type logWords [logBits / 64]atomic.Uint64

// words returns the bits, to be written to.
func (log *changeLog) words() *logWords {
	if log.bits.Load() == nil {
		log.bits.CompareAndSwap(nil, new(logWords))
	}
	return log.bits.Load()
}

const (
	// logBits is on the wire.
	logBits  = 1 << 16
	logBytes = logBits / 8
	// mostLogs is how many logs of departures are kept, and longestLog for how long each. Of
	// one peer there are logsOfAPeer at most: its next process asks for the last one.
	mostLogs    = 64
	logsOfAPeer = 4
	longestLog  = time.Hour
	// mostDeparted is how many departed peers one log knows.
	mostDeparted = 4096
)

func newChangeLogs() changeLogs {
	return changeLogs{all: []*changeLog{{began: clock.Now()}}}
}

// logBit returns the bit of a key, the same in all processes. seed stands for the group.
func logBit(seed uint64, key string) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.WriteString(key)
	return d.Sum64() % logBits
}

// bitOf reports whether a log, as it is on the wire, has the bit of a key.
func bitOf(changed []byte, group, key string) bool {
	bit := logBit(xxhash.Sum64String(group), key)
	return changed[bit/8]&(1<<(bit%8)) != 0
}

// record records a change in all logs.
func (l *changeLogs) record(change *peer.Change) {
	if !change.All && len(change.Keys) == 0 {
		return
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if change.All { // nobody knows which keys that are
		for _, log := range l.all {
			for i, words := 0, log.words(); i < len(words); i++ {
				words[i].Store(^uint64(0))
			}
		}
		return
	}
	seed := xxhash.Sum64String(change.Group)
	for _, key := range change.Keys {
		bit := logBit(seed, key)
		for _, log := range l.all {
			if word, mask := &log.words()[bit/64], uint64(1)<<(bit%64); word.Load()&mask == 0 {
				word.Or(mask)
			}
		}
	}
}

// begin begins the log of a departure of a peer, unless there is one.
func (l *changeLogs) begin(departure uint64, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.find(departure) != nil {
		return
	}
	for i := len(l.all) - 1; i >= 0; i-- {
		if l.all[i].expired() {
			l.remove(i)
		}
	}
	var of []int // the logs of this peer
	for i, log := range l.all {
		if log.departure != 0 && log.peer == name {
			of = append(of, i)
		}
	}
	switch {
	case len(of) >= logsOfAPeer: // so it cannot displace those of others
		l.remove(of[0])
	case len(l.all) > mostLogs:
		l.remove(slices.IndexFunc(l.all, func(log *changeLog) bool { return log.departure != 0 }))
	}
	l.all = append(l.all, &changeLog{departure: departure, peer: name, began: clock.Now()})
}

// remove removes the i-th log. The log before it takes over its departed peers. The caller
// holds l.mu.
func (l *changeLogs) remove(i int) {
	log := l.all[i]
	if i > 0 {
		l.all[i-1].addDeparted(log.departed)
		l.all[i-1].full = l.all[i-1].full || log.full
	}
	l.all = slices.Delete(l.all, i, i+1)
}

// expired reports whether the departure was longestLog ago.
func (log *changeLog) expired() bool {
	return log.departure != 0 && clock.Now() >= log.began.Plus(longestLog)
}

// find returns the log of a departure that has not expired, or nil. The caller holds l.mu.
func (l *changeLogs) find(departure uint64) *changeLog {
	for _, log := range l.all {
		if log.departure == departure && !log.expired() {
			return log
		}
	}
	return nil
}

// addDeparted records peers that left the view after the log began.
func (log *changeLog) addDeparted(peers []string) {
	for _, name := range peers {
		switch {
		case slices.Contains(log.departed, name):
		case len(log.departed) == mostDeparted:
			log.full = true
		default:
			log.departed = append(log.departed, name)
		}
	}
}

// recordDeparted records peers that left the view.
func (l *changeLogs) recordDeparted(peers []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[len(l.all)-1].addDeparted(peers)
}

// complete reports whether a log has all changes of the keys that this process owned in place
// of the departed one.
//
// A change is told to the Candidates of its keys. If this process comes first of those that are
// in the view, then only peers that have left since may have come before it: with fewer of them
// than Candidates, it was a candidate all the time. A peer that came since, and stayed, comes
// after it. The caller holds l.mu.
func (l *changeLogs) complete(log *changeLog, inView map[string]bool) bool {
	gone := make(map[string]bool)
	for _, later := range l.all[slices.Index(l.all, log):] {
		if later.full {
			return false
		}
		for _, name := range later.departed {
			if !inView[name] {
				gone[name] = true
			}
		}
	}
	return len(gone) < Candidates
}

// since adds to an answer the bits of the keys that were changed since the first of the
// departures that is known, else since this process started. It adds nothing if some changes may
// be missing.
func (l *changeLogs) since(departures []uint64, inView map[string]bool, answer *peer.Changed) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, departure := range append(slices.Clone(departures), 0) {
		if log := l.find(departure); log != nil && l.complete(log, inView) {
			answer.Log, answer.SinceDeparture, answer.Unbroken = log.bytes(), departure != 0, departure != 0 && !log.broken
			answer.Circle = log.circle
			return
		}
	}
}

// bytes returns the bits of a log as they are on the wire.
func (log *changeLog) bytes() []byte {
	b := make([]byte, logBytes)
	if words := log.bits.Load(); words != nil {
		for i := range words {
			binary.LittleEndian.PutUint64(b[8*i:], words[i].Load())
		}
	}
	return b
}

// forSnapshot returns the logs of departures, for the process after this one.
func (l *changeLogs) forSnapshot() (logs []*pb.ChangeLog) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, log := range l.all {
		n := len(logs)
		switch {
		case log.full: // the logs before it are not complete
			logs = nil
		case log.departure != 0 && !log.expired():
			logs = append(logs, &pb.ChangeLog{Departure: log.departure, Peer: log.peer, Changed: log.bytes(), Left: log.departed, Broken: log.broken, Circle: log.circle})
		case n > 0: // only its departed peers are of use
			logs[n-1].Left = slices.Concat(logs[n-1].Left, log.departed)
		}
	}
	return logs
}

// adopt adds the logs in a snapshot of the process before this one. Several snapshots may have
// the same ones. circle stands for those who may have made changes since that process left.
func (l *changeLogs) adopt(logs []*pb.ChangeLog, circle uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, saved := range logs[:min(len(logs), mostLogs)] {
		if saved.GetDeparture() == 0 || len(saved.GetChanged()) != logBytes {
			continue
		}
		log := l.find(saved.GetDeparture())
		if log == nil {
			log = &changeLog{departure: saved.GetDeparture(), peer: saved.GetPeer(), began: clock.Now(), broken: true, circle: circle}
			if saved.GetBroken() && saved.GetCircle() != circle {
				log.circle = 0
			}
			l.all = slices.Insert(l.all, slices.Index(l.all, l.find(0)), log)
		}
		log.addDeparted(saved.GetLeft())
		for i, words := 0, log.words(); i < len(words); i++ {
			words[i].Or(binary.LittleEndian.Uint64(saved.GetChanged()[8*i:]))
		}
	}
}

// discard removes the logs of the process before this one. With everything, it also removes the
// logs of departures that began in this process: it may have missed changes.
func (l *changeLogs) discard(everything bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.all) - 1; i >= 0; i-- {
		if log := l.all[i]; log.departure != 0 && (everything || log.broken) {
			l.remove(i)
		}
	}
}
