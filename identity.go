package peercache

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A request to a peer names who asks, and whom; the response names who answers. So a
// process whose self is wrong, two processes behind one address, and a peer of another
// cluster are found out before they count as the peer that was asked for.
const (
	// peerHeader has the base URL of the process that sends the request, or the response.
	peerHeader = "Peercache-Peer"
	// processHeader has its number (consent.process), which tells it from others at the
	// same address, before it or beside it.
	processHeader = "Peercache-Process"
	// clusterHeader has the name of its cluster, if it has one: see WithCluster.
	clusterHeader = "Peercache-Cluster"
	// toHeader has the base URL that a request is for.
	toHeader = "Peercache-To"
)

// longestClusterName is in bytes.
const longestClusterName = 255

// WithCluster names the cluster that this process belongs to: "shop-production". Peers of
// another name, or of none, are refused, with an error that says so, so that a list of peers
// with an address of another cluster in it does no harm. The name has 1 to 255 letters,
// digits, '-', '_', '.' or '~', the same in all processes. The default is no name.
func WithCluster(name string) PoolOption {
	return func(p *HTTPPool) error {
		if name == "" || len(name) > longestClusterName || !plainSegment(name) {
			return fmt.Errorf("WithCluster(%.*q): want 1 to %d letters, digits, '-', '_', '.' or '~'", longestClusterName, name, longestClusterName)
		}
		p.cluster = name
		return nil
	}
}

// errWrongPeer says that a process answers at the address of a peer that is another one.
var errWrongPeer = errors.New("not the peer that was asked for")

// identity is what a process says of itself with each request and each response.
type identity struct {
	name    string // its base URL; empty: it is no peer
	process uint32
	cluster string
}

// identityOf reads the headers of a request or a response.
func identityOf(header http.Header) identity {
	process, _ := strconv.ParseUint(header.Get(processHeader), 10, 32)
	return identity{header.Get(peerHeader), uint32(process), header.Get(clusterHeader)}
}

// identityHeader returns the headers that say what this process is.
func (p *HTTPPool) identityHeader() http.Header {
	header := http.Header{
		peerHeader:    {p.self},
		processHeader: {strconv.FormatUint(uint64(p.consent.process), 10)},
	}
	if p.cluster != "" {
		header[clusterHeader] = []string{p.cluster}
	}
	return header
}

// identify puts what this process is into the headers of a request or a response. All of
// them share the values.
func (p *HTTPPool) identify(header http.Header) { maps.Copy(header, p.identity) }

// address puts into the headers of a request who asks and who is asked, and that it is no
// browser who asks.
func (p *HTTPPool) address(header http.Header, to string) {
	p.identify(header)
	header.Set(toHeader, to)
	header[peerOnlyHeader] = peerOnly
}

// misdirected returns why a request is not for this process, or nil. What a request says is
// a hint that the own address may be wrong, which is looked into.
func (p *HTTPPool) misdirected(r *http.Request) error {
	from, to := identityOf(r.Header), r.Header.Get(toHeader)
	switch {
	case from.name == "": // golang/groupcache, or a person
		return nil
	case from.cluster != p.cluster:
		return fmt.Errorf("%w: it belongs to %s, and the request is of %s", errWrongPeer, clusterText(p.cluster), clusterText(from.cluster))
	case from.name == p.self && from.process != p.consent.process:
		p.own.lookAgain() // who asks calls itself as this process does
	case to != "" && to != p.self:
		p.own.lookAgain()
		return fmt.Errorf("%w: this process is %s, and the request is for %s", errWrongPeer, p.self, quote(to))
	case to == p.self && p.view.Load().lists(from.name):
		p.own.reach()
	}
	return nil
}

func clusterText(name string) string {
	if name == "" {
		return "no named cluster"
	}
	return "the cluster " + quote(name)
}

// answerer is the process that answers at the address of a peer.
type answerer struct {
	mu      sync.Mutex
	process uint32    // guarded by mu; 0: none has answered yet
	since   Instant   // guarded by mu; when it was first heard
	former  [4]uint32 // guarded by mu; those before it, the last first
	twoTo   Instant   // guarded by mu; until then two count as being there
}

// twoFor is for how long two processes count as being at one address after both have
// answered there.
const twoFor = 10 * time.Second

// heard records that a process has answered a request that was sent at an instant. It
// reports whether it is there anew, and whether more than one process is there: one that
// answers a request which was sent after its successor was heard has not ended. An answer to
// a request that was sent before the present process was first heard may be a late one, of
// a process that is about to end, and tells nothing.
func (a *answerer) heard(process uint32, asked Instant) (other uint32, anew, two bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := Now()
	anew = process != a.process && process != 0 && (a.process == 0 || asked > a.since)
	if anew {
		if slices.Contains(a.former[:], process) {
			a.twoTo = now.plus(twoFor)
		}
		copy(a.former[1:], a.former[:])
		a.former[0], a.process, a.since = a.process, process, now
	}
	return a.former[0], anew, now < a.twoTo
}

// checkIdentity returns an error if the process that sent a response is not this peer. The
// request was sent at the instant asked.
func (h *httpPeer) checkIdentity(header http.Header, asked Instant) error {
	p, who := h.pool, identityOf(header)
	switch {
	case who.name == "":
		return fmt.Errorf("%w: it does not say which peer it is of", errForeign)
	case who.cluster != p.cluster:
		return fmt.Errorf("%w: it belongs to %s, and this process to %s", errWrongPeer, clusterText(who.cluster), clusterText(p.cluster))
	case who.process == p.consent.process:
		return fmt.Errorf("%w: this process itself answers there, but its self is %s: if %s is its address, give that to NewHTTPPool, else take one of the two off the list", errWrongPeer, p.self, h.url)
	case who.name != h.url && who.name == p.self:
		return fmt.Errorf("%w: the process that answers there has the self of this one, %s (a copied setting?): start it with the self %s", errWrongPeer, p.self, h.url)
	case who.name != h.url && p.view.Load().lists(who.name):
		return fmt.Errorf("%w: the process that answers there has the self of another peer, %s (a copied setting?): start it with the self %s", errWrongPeer, quote(who.name), h.url)
	case who.name != h.url:
		return fmt.Errorf("%w: the process that answers there calls itself %s, which is not in the list: want that there in place of %s, or %[3]s as its self", errWrongPeer, quote(who.name), h.url)
	}
	other, anew, two := h.answerer.heard(who.process, asked)
	if anew && h.link != nil {
		h.link.leaveFormer(who.process)
	}
	if two {
		return fmt.Errorf("%w: two processes answer there, number %d and number %d: want an address for each", errWrongPeer, who.process, other)
	}
	return nil
}
