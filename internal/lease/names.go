package lease

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache/internal/clock"
)

// peerNumbers gives the peers that have leases numbers, and takes the numbers of those back
// that have no part in the view any more. It gives a number to another peer when all
// leases are over that were noted under it.
type peerNumbers struct {
	most int // numbers that are taken back, and have leases that last

	// given has the numbers of the peers. It is never written to, but swapped whole with
	// mu held.
	given atomic.Pointer[map[string]uint32]
	mu    sync.Mutex
	names []string // guarded by mu; by number, also of those that are taken back
	back  []taken  // guarded by mu; those that were taken back, the earliest first
}

// taken is a number that was taken back at an instant.
type taken struct {
	number uint32
	at     clock.Instant
}

const (
	// fewestBack is how many numbers may be taken back in the smallest group, and bytesABack
	// how many bytes for holders allow one more: it takes less.
	fewestBack = 64
	bytesABack = 512
)

func (p *peerNumbers) init(bytes int64) {
	p.most = int(max(fewestBack, min(bytes/bytesABack, maxNumbers)))
	p.given.Store(new(map[string]uint32))
}

// maxNumbers is more than there are peers.
const maxNumbers = 1 << 20

// give gives a peer a number, if known says that it is one at all, and returns it with
// the map that it is in. If too many others have left within the time of a lease, there is
// none.
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
	case own >= 0: // it is back
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

// takeBack takes back the numbers of those that are no peers any more. A lease that is
// noted meanwhile is noted again: see still.
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

// still reports whether a peer has that number. If it had it before, what was noted
// meanwhile is known to be its.
func (p *peerNumbers) still(peer string, n uint32) bool {
	m, ok := (*p.given.Load())[peer]
	return ok && m == n
}

// name returns who has or had a number. The caller holds p.mu.
func (p *peerNumbers) name(n uint32) string { return p.names[n] }

// forget lets go of the names of peers whose leases are over. It is called when the view
// has changed.
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
