package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/stream"
)

const (
	// DefaultBasePath is where a pool answers its peers.
	DefaultBasePath = "/_peercache/"

	groupcacheBasePath = "/_groupcache/"
	groupcacheReplicas = 50
)

// HTTPPool connects the groups of a process with those of its peers over HTTP.
// It is an http.Handler, to be served at the address that the peers know, and a
// PeerPicker, to be given to NewGroup.
type HTTPPool struct {
	self        string
	basePath    string
	compat      bool          // speak as golang/groupcache does
	peerTimeout time.Duration // 0: by the group's load timeout
	transport   http.RoundTripper
	upgrades    http.RoundTripper // transport for the requests for streams
	streams     bool              // else peers are spoken to by the plain way alone
	stream      stream.Config

	// view is swapped whole by Set. Readers take no lock.
	view    atomic.Pointer[view]
	consent consent

	// serving has one unit taken for each Get of a peer in progress. Shutdown
	// waits until it gets them all.
	serving *semaphore.Weighted

	// groups, by name, is never written to, but swapped whole.
	groups atomic.Pointer[map[string]*Group]

	mu      sync.Mutex                  // guards what follows, and is held while view, groups or closed change
	closed  atomic.Bool                 // set by Shutdown; Set changes nothing any more
	known   map[string]*httpPeer        // the peers of the present view, by URL
	servers map[*stream.Server]struct{} // streams on which peers ask this process

	// background is what goes on after a change of the view: links of peers that left
	// it are closed, the others are told, and the groups look through their caches.
	background sync.WaitGroup

	membership *membership // nil without a WithDiscovery: Set gives the views
	log        *slog.Logger
}

// view is the set of peers that this process believes in, and the ring over it.
// It is immutable.
type view struct {
	ring   *consistenthash.Ring
	peers  []Peer // by the ring's index; nil is this process
	others []Peer // all but this process
	id     uint64 // see viewID
	since  Instant
	before *view // the one before, of which nothing is known of a view before; nil: this process was alone
}

// newTransport makes the transport that a pool uses by default.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}

// NewHTTPPool makes a pool for this process, whose base URL, as all its peers
// write it, is self: "http://10.0.0.1:8001". Until Set is called the process is
// its own only peer. The pool must be served by an HTTP server at that address:
// as the server's handler, or on a mux under BasePath. Give the server a
// ReadHeaderTimeout and a WriteTimeout, the latter longer than a load and the
// transfer of the largest value: the pool cannot see a client that is slow with
// its headers, or with reading the answer.
func NewHTTPPool(self string, opts ...PoolOption) (*HTTPPool, error) {
	p := &HTTPPool{
		self:     self,
		basePath: DefaultBasePath,
		serving:  semaphore.NewWeighted(math.MaxInt64),
		streams:  true,
		servers:  make(map[*stream.Server]struct{}),
		log:      slog.New(slog.DiscardHandler),
	}
	p.groups.Store(&map[string]*Group{})
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peercache: option %d is nil", i)
		}
		if err := opt(p); err != nil {
			return nil, fmt.Errorf("peercache: %w", err)
		}
	}
	if p.transport == nil {
		p.transport = newTransport()
	}
	p.upgrades = withoutHTTP2(p.transport)
	if err := p.setPeers([]string{self}, false); err != nil {
		return nil, err
	}
	return p, nil
}

// BasePath returns the path under which the pool answers, for a mux:
//
//	mux.Handle(pool.BasePath(), pool)
func (p *HTTPPool) BasePath() string { return p.basePath }

// Set replaces the view: peers are the base URLs of all processes of the
// cluster, this one among them, spelled the same everywhere, in any order. Keys
// whose owner does not change stay where they are. A base URL is scheme, host and
// port alone, in lower case. After an error the view is what it was; after
// Shutdown the error is ErrClosed. A pool with a WithDiscovery gets its views from
// there, by Join, and refuses those of Set.
//
// A process should take no requests of users before its first Set: until then it
// is alone, and loads every key by itself.
func (p *HTTPPool) Set(peers ...string) error {
	if p.membership != nil {
		return errors.New("peercache: Set on a pool that has a WithDiscovery: its views come from there, see Join")
	}
	return p.setPeers(peers, false)
}

func (p *HTTPPool) setPeers(peers []string, anew bool) error {
	if err := p.checkPeers(peers); err != nil {
		return fmt.Errorf("peercache: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return fmt.Errorf("peercache: %w", ErrClosed)
	}
	return p.setView(peers, anew)
}

// setView makes the view of peers and puts it in place. A peer that was in the
// view before stays the same Peer. If it is made anew, it is as with a process that has
// just come. p.mu is held.
func (p *HTTPPool) setView(peers []string, anew bool) error {
	ring, err := p.newRing(peers)
	if err != nil {
		return fmt.Errorf("peercache: %w", err)
	}
	v := &view{ring: ring, peers: make([]Peer, len(peers)), id: viewID(peers)}
	known := make(map[string]*httpPeer, len(peers))
	for i, name := range peers {
		if name == p.self {
			continue
		}
		peer, ok := p.known[name]
		if !ok {
			peer = newHTTPPeer(p, name)
		}
		known[name] = peer
		v.peers[i] = peer
		v.others = append(v.others, peer)
	}
	if old := p.view.Load(); !anew && old != nil && len(old.others) > 0 {
		if old.id == v.id {
			return nil
		}
		before := *old
		before.before = nil
		v.before = &before
	}
	var left []Peer
	for name, peer := range p.known {
		if known[name] == nil {
			left = append(left, peer)
		}
	}
	announced := p.newView(v, left)
	p.known = known
	p.background.Go(func() { p.announce(v, announced) })
	for _, peer := range left {
		p.background.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), longestParting)
			defer cancel()
			peer.(*httpPeer).part(ctx)
		})
	}
	for _, g := range *p.groups.Load() {
		p.background.Go(func() { g.viewChanged(v.since) })
	}
	return nil
}

// longestParting bounds how long the answers of a peer are waited for that is not
// in the view any more.
const longestParting = time.Minute

func (p *HTTPPool) newRing(peers []string) (*consistenthash.Ring, error) {
	if p.compat {
		return consistenthash.NewGroupcache(groupcacheReplicas, peers...)
	}
	members := make([]consistenthash.Member, len(peers))
	for i, name := range peers {
		members[i].Name = name
	}
	return consistenthash.New(members...)
}

// checkPeers returns an error if peers cannot be a view of this process.
func (p *HTTPPool) checkPeers(peers []string) error {
	if len(peers) == 0 {
		return errors.New("an empty list of peers: want the base URLs of all of them, this process's among them")
	}
	seen := make(map[string]bool, len(peers))
	for _, name := range peers {
		if err := checkPeerURL(name); err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("peer %q stands twice in the list", name)
		}
		seen[name] = true
	}
	if !seen[p.self] {
		return fmt.Errorf("the list of peers %q lacks this process, %q", peers, p.self)
	}
	return nil
}

// checkPeerURL returns an error if name is not the base URL of a peer. Peers are
// told apart by its text, so there is just one way to write it.
func checkPeerURL(name string) error {
	u, err := url.Parse(name)
	if err != nil {
		return fmt.Errorf("peer %q: want a base URL such as http://10.0.0.1:8001: %w", name, err)
	}
	want := (&url.URL{Scheme: strings.ToLower(u.Scheme), Host: strings.ToLower(u.Host)}).String()
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return fmt.Errorf("peer %q: want a base URL such as http://10.0.0.1:8001", name)
	case name != want:
		return fmt.Errorf("peer %q: want scheme, host and port alone, in lower case: %s", name, want)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("peer %q: want a port of 1 to 65535", name)
		}
	}
	return nil
}

// Register implements PeerPicker. A pool has one group of a name.
func (p *HTTPPool) Register(g *Group) error {
	if p == nil || p.view.Load() == nil {
		return errors.New("a pool that NewHTTPPool did not make")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	groups := maps.Clone(*p.groups.Load())
	if groups[g.name] != nil {
		return errors.New("the pool has a group of that name already: want another name, or another pool")
	}
	groups[g.name] = g
	p.groups.Store(&groups)
	return nil
}

// group returns the group of a name, or nil.
func (p *HTTPPool) group(name string) *Group { return (*p.groups.Load())[name] }

// Pick implements PeerPicker.
func (p *HTTPPool) Pick(key string, n int) Peer {
	v := p.view.Load()
	if n == 0 {
		return v.peers[v.ring.OwnerIndex(key)]
	}
	if n >= len(v.peers) {
		return nil
	}
	return v.peers[v.ring.AppendSuccessors(nil, key, n+1)[n]]
}

// Peers implements PeerPicker.
func (p *HTTPPool) Peers() []Peer { return slices.Clone(p.view.Load().others) }

// Shutdown ends the pool's part in the cluster. If Join has made the process known
// to its peers, that is withdrawn first. Then the pool refuses new Gets of peers,
// though it still obeys their Removes, then waits for those in progress and for
// all loads and fetches, also the abandoned ones, until ctx ends; its error is
// then ctx.Err. The groups can still be asked, and load by themselves what they
// have not cached; their Remove still reaches the peers of the last view. The
// other peers go on asking this one until they get a view without it, and go to
// the next peer when they see that it refuses.
//
// A process ends in this order: it stops taking users' requests, shuts down the
// pool, and only then the server that serves the pool.
func (p *HTTPPool) Shutdown(ctx context.Context) error {
	left := p.membership.leave(ctx)
	// The view stays: Remove needs it. What is no longer asked of the peers are
	// Gets, see httpPeer.
	p.mu.Lock()
	p.closed.Store(true)
	p.mu.Unlock()
	if err := cmp.Or(left, p.drain(ctx)); err != nil {
		return fmt.Errorf("peercache: shutdown: %w", err)
	}
	for _, rt := range []http.RoundTripper{p.transport, p.upgrades} {
		if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
	return nil
}

// drain waits for what is in progress: what peers asked for, by either way, what
// the groups load and fetch, and the links, which then have nothing to do.
func (p *HTTPPool) drain(ctx context.Context) error {
	p.mu.Lock()
	servers := slices.Collect(maps.Keys(p.servers))
	p.mu.Unlock()
	var streams errgroup.Group
	for _, s := range servers {
		streams.Go(func() error { return s.Close(ctx) })
	}
	if err := streams.Wait(); err != nil {
		return err
	}
	if err := p.serving.Acquire(ctx, math.MaxInt64); err != nil {
		return err
	}
	defer p.serving.Release(math.MaxInt64) // closed refuses requests from now on
	for _, g := range *p.groups.Load() {
		if err := g.wait(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	for _, peer := range p.known {
		p.background.Go(func() { peer.part(ctx) })
	}
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		p.background.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// detectionTime is for how long a caller waits for a peer that is silent.
func (p *HTTPPool) detectionTime() time.Duration {
	return cmp.Or(p.stream.Detect, stream.DefaultDetect)
}

// handshakeTimeout bounds an attempt to connect to a peer, from the decision to
// the peer's first frame. Distance costs several round trips; callers wait for
// detectionTime only.
func (p *HTTPPool) handshakeTimeout() time.Duration {
	return max(4*p.detectionTime(), 200*time.Millisecond)
}
