package api

import (
	"hash/maphash"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// rateSlots is how many slots each row of a rateLimit has: both take 512 KiB.
const rateSlots = 1 << 15

// rateLimit bounds how many requests each client makes. Its memory does not depend on how many
// clients there are: a client has one slot in each of two rows, found by a hash, and may share it. It
// is held up only if both its slots are, so that a busy client holds up another one only if both
// slots are the same.
type rateLimit struct {
	interval time.Duration // between requests
	slack    time.Duration // by how much requests may come early: burst intervals
	client   func(*http.Request) string

	seed maphash.Seed
	// slots hold when the requests that were let in would be over, had they come one every
	// interval: an Instant.
	slots [2][rateSlots]atomic.Int64
}

// allow reports whether a client may make a request, or else after how long.
func (l *rateLimit) allow(client uint64) (wait time.Duration, ok bool) {
	now := int64(clock.Now())
	wait = math.MaxInt64
	for row := range l.slots {
		early := l.slot(row, client).Load() + int64(l.interval) - now - int64(l.slack)
		if early <= 0 {
			l.charge(client, 1)
			return 0, true
		}
		wait = min(wait, time.Duration(early))
	}
	return wait, false
}

// charge counts n requests of a client.
func (l *rateLimit) charge(client uint64, n int) {
	now := int64(clock.Now())
	for row := range l.slots {
		slot := l.slot(row, client)
		for {
			old := slot.Load()
			if slot.CompareAndSwap(old, max(old, now)+int64(n)*int64(l.interval)) {
				break
			}
		}
	}
}

func (l *rateLimit) slot(row int, client uint64) *atomic.Int64 {
	return &l.slots[row][client>>(32*row)%rateSlots]
}

// of returns the hash of the client that makes a request. The addresses of one IPv6 network of 64
// bits are one client: as a rule somebody has all of them.
func (l *rateLimit) of(r *http.Request) uint64 {
	if l.client != nil {
		return maphash.String(l.seed, l.client(r))
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr := from.Addr().Unmap().WithZone("")
		if addr.Is6() {
			network, _ := addr.Prefix(64)
			addr = network.Addr()
		}
		return maphash.Comparable(l.seed, addr)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return maphash.String(l.seed, host)
}

// rated returns a problem if the client makes too many requests.
func (h *Handler) rated(r *http.Request) *problem {
	if h.rate == nil {
		return nil
	}
	if wait, ok := h.rate.allow(h.rate.of(r)); !ok {
		return &problem{status: http.StatusTooManyRequests, code: codeRate, detail: "too many requests of this client", retry: wait}
	}
	return nil
}

// rateKeys counts the keys of a batch, beyond the request itself, as requests of their own. The batch
// is not refused: the client pays later.
func (h *Handler) rateKeys(r *http.Request, keys int) {
	if h.rate != nil && keys > 1 {
		h.rate.charge(h.rate.of(r), keys-1)
	}
}
