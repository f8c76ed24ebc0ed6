package lease

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache/internal/clock"
)

// peerNumbers gives a number to each peer that has leases. It takes back the numbers of peers that
// are not in the view any more, and gives each to another peer when all leases under it are over.
type peerNumbers struct {
	most int // how many numbers may wait until their leases are over

	// given maps names to numbers. The map is never written to. It is replaced with mu held.
	given atomic.Pointer[map[string]uint32]
	mu    sync.Mutex
	names []string // guarded by mu; the names by number, also of numbers that were taken back
	back  []taken  // guarded by mu; the numbers that were taken back, the earliest first
}

// taken is a number that was taken back, and when.
type taken struct {
	number uint32
	at     clock.Instant
}

const (
	// fewestBack is peerNumbers.most in the smallest group. A larger group allows one more for
	// every bytesABack bytes of its Table. A number takes less than that.
	fewestBack = 64
	bytesABack = 512
)

// init prepares p for a Table of that many bytes.
func (p *peerNumbers) init(bytes int64) {
	p.most = int(max(fewestBack, min(bytes/bytesABack, maxNumbers)))
	p.given.Store(new(map[string]uint32))
}

// maxNumbers is more than there are peers.
const maxNumbers = 1 << 20

// give returns the number of peer, which is a new one if it has none, and the map that has it. It
// returns false if known says that peer is none, or if too many others have left within the time of
// a lease.
func (p *peerNumbers) give(peer string, known func(string) bool) (n uint32, given *map[string]uint32, ok bool) {
	if !known(peer) {
		return 0, nil, false
	}
	p.takeBack(known)
	p.mu.Lock()
	defer p.mu.Unlock()
	given = p.given.Load()
	if n, ok := (*given)[peer]; ok {
		return n, given, true
	}
	own := slices.IndexFunc(p.back, func(t taken) bool { return p.names[t.number] == peer })
	switch {
	case own >= 0: // the peer has come back
		n = p.back[own].number
		p.back = slices.Delete(p.back, own, own+1)
	case len(p.back) > 0 && clock.Now() >= p.back[0].at.Plus(Longest):
		n = p.back[0].number
		p.back = slices.Delete(p.back, 0, 1)
	case len(p.back) >= p.most:
		return 0, nil, false
	default:
		n = uint32(len(p.names))
		p.names = append(p.names, "")
	}
	p.names[n] = peer
	numbers := maps.Clone(*given)
	if numbers == nil {
		numbers = make(map[string]uint32)
	}
	numbers[peer] = n
	p.given.Store(&numbers)
	return n, &numbers, true
}

// takeBack takes back the numbers of peers that are not in the view any more, as known says. A
// lease that is recorded meanwhile is recorded again: see still.
func (p *peerNumbers) takeBack(known func(string) bool) {
	var gone []string
	for peer := range *p.given.Load() {
		if !known(peer) {
			gone = append(gone, peer)
		}
	}
	if len(gone) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	numbers := make(map[string]uint32)
	maps.Copy(numbers, *p.given.Load())
	now := clock.Now()
	for _, peer := range gone {
		if n, ok := numbers[peer]; ok {
			delete(numbers, peer)
			p.back = append(p.back, taken{n, now})
		}
	}
	p.given.Store(&numbers)
}

// still reports whether peer has the number n now. If it also had n before, what was recorded
// between is the peer's.
func (p *peerNumbers) still(peer string, n uint32) bool {
	m, ok := (*p.given.Load())[peer]
	return ok && m == n
}

// name returns the name of the peer that has the number n, or had it last. The caller holds p.mu.
func (p *peerNumbers) name(n uint32) string { return p.names[n] }

// forget takes numbers back, and forgets the names of peers whose leases are over. It is called
// when the view has changed.
func (p *peerNumbers) forget(known func(string) bool) {
	p.takeBack(known)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.back {
		if clock.Now() < t.at.Plus(Longest) {
			break
		}
		p.names[t.number] = ""
	}
}
