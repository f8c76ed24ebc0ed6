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

// changeLogs are what a pool knows of changes, for those who restart with a snapshot: one
// log for each departure that it heard of, one for its own, and one since it started.
//
// A change is noted before it drops anything, by whoever is told of it and by whoever
// makes it. Its keys are noted in all logs.
type changeLogs struct {
	mu  sync.RWMutex
	all []*changeLog // guarded by mu; those first that began first; never empty
}

// changeLog says which keys were changed since a process left.
type changeLog struct {
	departure uint64 // 0: since this process started
	peer      string // who left
	began     clock.Instant
	// broken says that it began in a process before this one, which kept it in a snapshot.
	// In between nobody noted anything.
	broken bool
	bits   [logBits / 64]atomic.Uint64
	// left are the peers that left the view after this log began, and before the next did.
	// If there were too many to know them all, it is full.
	departed []string
	full     bool
}

const (
	// logBits is on the wire.
	logBits  = 1 << 16
	logBytes = logBits / 8
	// mostLogs is how many departures are known, and longestLog for how long each. Of one
	// peer there are logsOfAPeer at most: its next process asks for the last one.
	mostLogs    = 64
	logsOfAPeer = 4
	longestLog  = time.Hour
	// mostLeft bounds what a log knows of those who left.
	mostDeparted = 4096
)

func newChangeLogs() changeLogs {
	return changeLogs{all: []*changeLog{{began: clock.Now()}}}
}

// logBit is the bit of a key, the same in all processes.
func logBit(seed uint64, key string) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.WriteString(key)
	return d.Sum64() % logBits
}

// bitOf reports whether a log that came from a peer has the bit of a key.
func bitOf(changed []byte, group, key string) bool {
	bit := logBit(xxhash.Sum64String(group), key)
	return changed[bit/8]&(1<<(bit%8)) != 0
}

// note takes note of a change.
func (l *changeLogs) record(change *peer.Change) {
	if !change.All && len(change.Keys) == 0 {
		return
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if change.All { // which keys that are, nobody knows
		for _, log := range l.all {
			for i := range log.bits {
				log.bits[i].Store(^uint64(0))
			}
		}
		return
	}
	seed := xxhash.Sum64String(change.Group)
	for _, key := range change.Keys {
		bit := logBit(seed, key)
		for _, log := range l.all {
			if word, mask := &log.bits[bit/64], uint64(1)<<(bit%64); word.Load()&mask == 0 {
				word.Or(mask)
			}
		}
	}
}

// begin begins the log of a departure, unless there is one.
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
	case len(of) >= logsOfAPeer: // it must not push out those of others
		l.remove(of[0])
	case len(l.all) > mostLogs:
		l.remove(slices.IndexFunc(l.all, func(log *changeLog) bool { return log.departure != 0 }))
	}
	l.all = append(l.all, &changeLog{departure: departure, peer: name, began: clock.Now()})
}

// forget forgets the i-th log. The caller holds l.mu.
func (l *changeLogs) remove(i int) {
	log := l.all[i]
	if i > 0 {
		l.all[i-1].addDeparted(log.departed)
		l.all[i-1].full = l.all[i-1].full || log.full
	}
	l.all = slices.Delete(l.all, i, i+1)
}

// over reports whether the departure was so long ago that it need not be known any more.
func (log *changeLog) expired() bool {
	return log.departure != 0 && clock.Now() >= log.began.Plus(longestLog)
}

// find returns the log of a departure, or nil. The caller holds l.mu.
func (l *changeLogs) find(departure uint64) *changeLog {
	for _, log := range l.all {
		if log.departure == departure && !log.expired() {
			return log
		}
	}
	return nil
}

// leave takes note of peers that left the view.
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

// leave takes note of peers that left the view.
func (l *changeLogs) recordDeparted(peers []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[len(l.all)-1].addDeparted(peers)
}

// complete reports whether a log has all changes of the keys that the next process on the
// ring would own.
//
// A change is told to the Candidates of its keys. If this process comes first of those that
// are in the view, only such may have come before it that have left: with fewer of them
// than there are stand-ins, it was a candidate all the time. Who came since, and stayed,
// comes after it. The caller holds l.mu.
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

// since returns the keys that were changed since one of the departures, as far as one is
// known, else since this process started; nil, if not all of them may be known.
func (l *changeLogs) since(departures []uint64, inView map[string]bool) (changed []byte, known, unbroken bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, departure := range append(slices.Clone(departures), 0) {
		if log := l.find(departure); log != nil && l.complete(log, inView) {
			return log.bytes(), departure != 0, departure != 0 && !log.broken
		}
	}
	return nil, false, false
}

// bytes returns the keys of a log as they are on the wire.
func (log *changeLog) bytes() []byte {
	b := make([]byte, 0, logBytes)
	for i := range log.bits {
		b = binary.LittleEndian.AppendUint64(b, log.bits[i].Load())
	}
	return b
}

// saved returns the logs for the process after this one. What this one noted since it
// started is of no use there.
func (l *changeLogs) forSnapshot() (logs []*pb.ChangeLog) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, log := range l.all {
		n := len(logs)
		switch {
		case log.full: // those before it are not complete
			logs = nil
		case log.departure != 0 && !log.expired():
			logs = append(logs, &pb.ChangeLog{Departure: log.departure, Peer: log.peer, Changed: log.bytes(), Left: log.departed})
		case n > 0: // only who left remains of it
			logs[n-1].Left = slices.Concat(logs[n-1].Left, log.departed)
		}
	}
	return logs
}

// regain takes up the logs of the process before this one, which it left in one snapshot or
// in several.
func (l *changeLogs) adopt(logs []*pb.ChangeLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, said := range logs[:min(len(logs), mostLogs)] {
		if said.GetDeparture() == 0 || len(said.GetChanged()) != logBytes {
			continue
		}
		log := l.find(said.GetDeparture())
		if log == nil {
			log = &changeLog{departure: said.GetDeparture(), peer: said.GetPeer(), began: clock.Now(), broken: true}
			l.all = slices.Insert(l.all, slices.Index(l.all, l.find(0)), log)
		}
		log.addDeparted(said.GetLeft())
		for i := range log.bits {
			log.bits[i].Or(binary.LittleEndian.Uint64(said.GetChanged()[8*i:]))
		}
	}
}

// lose forgets what the process before this one had noted; everything but what was noted
// since the start, if there was a time in which this one may not have heard of changes.
func (l *changeLogs) discard(everything bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.all) - 1; i >= 0; i-- {
		if log := l.all[i]; log.departure != 0 && (everything || log.broken) {
			l.remove(i)
		}
	}
}
