package peercache

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

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
// PeerPicker, to be given to NewGroup. It is made by NewHTTPPool, never as a zero value.
type HTTPPool struct {
	self        string
	basePath    string
	cluster     string        // see WithCluster; may be empty
	compat      bool          // speak as golang/groupcache does
	peerTimeout time.Duration // 0: by the group's load timeout
	largeAtOnce int           // see WithMaxLargeRequests
	transport   http.RoundTripper
	upgrades    http.RoundTripper // transport for the requests for streams
	signs       http.RoundTripper // transport for the requests for signs of life
	streams     bool              // else peers are spoken to by the plain way alone
	stream      stream.Config
	inbound     inbound // the streams on which peers ask this process

	maxPeers      int
	filters       []func(url string) error
	warnedOfReach atomic.Bool

	// view is swapped whole by Set, and when a peer leaves or is back. Readers take no lock.
	view    atomic.Pointer[view]
	consent consent
	secret  [32]byte // of which tokens are made

	unproven  *semaphore.Weighted // of requests without a proof that may wait for others
	asks      *semaphore.Weighted // of questions, see questionsAtOnce
	takeOvers *semaphore.Weighted // of offers, see offersAtOnce
	sinces    chan struct{}       // filled by those who are told what was changed, see sincesAtOnce

	identity http.Header // see identityHeader; not written to after NewHTTPPool
	own      *ownAddress
	problems problems
	watch    *configWatch

	hosts          []string // names by which requests may call this process, see WithHosts
	requests       budget   // of the bodies of requests by the plain way
	answers        budget   // of the values of answers by the plain way
	requestTimeout time.Duration

	// serving has one unit taken for each Get of a peer in progress. Shutdown
	// waits until it gets them all.
	serving *semaphore.Weighted

	// groups, by name, is never written to, but swapped whole.
	groups   atomic.Pointer[map[string]*Group]
	groupsID atomic.Uint64 // of their names, see groupsID

	// Locks are taken in this order, each row after those above it:
	//
	//	mu
	//	consent.mu
	//	watch.mu, own.mu, and the mu of each link
	//	the mu of each breaker and each answerer, problems.mu, logs.mu
	//
	// Nobody holds two of one row. No request is sent under any of them, and no callback of
	// the user's is called but the handler of the logger, which must not use the pool.
	mu      sync.Mutex                  // guards what follows, and is held while view, groups, leaving or closed change
	leaving atomic.Bool                 // set by Shutdown: the process has no part in the view any more
	closed  atomic.Bool                 // set by Shutdown later: it answers no Gets, and Set changes nothing
	listed  []string                    // the peers that Set or the discovery named, this one among them
	absent  map[string]*absentee        // those of listed that are leaving
	known   map[string]*httpPeer        // the peers of the present view, by URL
	former  map[string]*formerPeer      // those that have left it lately
	changes viewChanges                 // what bounds those by what peers say
	servers map[*stream.Server]struct{} // streams on which peers ask this process
	// questions are those to peers that are in progress, and asked is when each was asked last.
	questions map[string]*question
	asked     map[string]Instant

	ending ending // what the next process is told of the end of this one
	past   past   // what this one was told of the end of the one before

	// background is what goes on after a change of the view: links of peers that left
	// it are closed, the others are told, and the groups look through their caches.
	background sync.WaitGroup
	life       context.Context // of what need not be done when Shutdown has come so far
	end        context.CancelFunc
	handover   struct {
		bytes int64 // that one change of the view may have handed over
		time  time.Duration
		given bool // by an option
	}

	pace       pace // of the attempts to reach peers that are away
	logs       changeLogs
	membership *membership   // nil without a WithDiscovery: Set gives the views
	given      chan struct{} // closed when Set has given one
	give       sync.Once     // closes given
	warm       atomic.Bool   // set when Ready has returned nil
	log        *slog.Logger
}

// NewHTTPPool makes a pool for this process, whose base URL, as all its peers write it, is
// self: "http://10.0.0.1:8001", the address at which they reach it, not one that it only
// listens on, such as 0.0.0.0. There is one way to spell it, see Set. Until Set is called
// the process is its own only peer. Serve the pool at that address: as the handler of an
// HTTP server, or on a mux under BasePath. Give the server a ReadHeaderTimeout and a
// MaxHeaderBytes of 64 KiB, or of more than three times the longest key with
// WithGroupcacheCompat: the pool sees a request only after all its headers have come. It
// limits bodies and answers itself, see WithRequestMemory, WithAnswerMemory and
// WithRequestTimeout.
func NewHTTPPool(self string, opts ...PoolOption) (*HTTPPool, error) {
	p := &HTTPPool{
		self:        self,
		serving:     semaphore.NewWeighted(math.MaxInt64),
		streams:     true,
		maxPeers:    DefaultMaxPeers,
		largeAtOnce: DefaultMaxLargeRequests,
		servers:     make(map[*stream.Server]struct{}),
		given:       make(chan struct{}),
		absent:      make(map[string]*absentee),
		former:      make(map[string]*formerPeer),
		changes:     viewChanges{perSecond: DefaultViewChangeRate},
		unproven:    semaphore.NewWeighted(DefaultMaxUnproven),
		asks:        semaphore.NewWeighted(questionsAtOnce),
		takeOvers:   semaphore.NewWeighted(offersAtOnce),
		sinces:      make(chan struct{}, sincesAtOnce),
		questions:   make(map[string]*question),
		asked:       make(map[string]Instant),
		logs:        newChangeLogs(),
		problems:    newProblems(),
		log:         slog.New(slog.DiscardHandler),
	}
	crand.Read(p.secret[:])
	p.consent.process, p.consent.latest = max(1, rand.Uint32()), make(map[string]fact)
	p.consent.tokens = make(map[string]token)
	p.life, p.end = context.WithCancel(context.Background())
	p.pace.rate = DefaultReconnectRate
	p.handover.bytes, p.handover.time = DefaultHandoverBytes, DefaultHandoverTime
	p.requests.most, p.answers.most, p.requestTimeout = DefaultRequestMemory, DefaultAnswerMemory, DefaultRequestTimeout
	p.groups.Store(&map[string]*Group{})
	p.groupsID.Store(groupsID(nil))
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peercache: option %d is nil", i)
		}
		if err := opt(p); err != nil {
			return nil, fmt.Errorf("peercache: %w", err)
		}
	}
	if err := p.checkOptions(); err != nil {
		return nil, fmt.Errorf("peercache: %w", err)
	}
	if p.transport == nil {
		p.transport = DefaultTransport()
	}
	p.limitStreams()
	p.upgrades, p.signs = withoutHTTP2(p.transport), forSigns(p.transport)
	p.identity = p.identityHeader()
	p.own, p.watch, p.problems.log = newOwnAddress(p), newConfigWatch(p), p.log
	p.problems.self = self
	if err := p.setPeers([]string{self}, false); err != nil {
		return nil, err
	}
	if u, err := url.Parse(self); err == nil {
		p.hosts = append(p.hosts, hostName(u.Host))
	}
	p.warnOfTransport()
	return p, nil
}

// BasePath returns the path under which the pool answers, for a mux:
//
//	mux.Handle(pool.BasePath(), pool)
func (p *HTTPPool) BasePath() string { return p.basePath }

// Set replaces the view: peers are the base URLs of all processes of the
// cluster, this one among them, spelled the same everywhere, in any order. Keys
// whose owner does not change stay where they are. After an error the view is what it
// was; after Shutdown the error is ErrClosed. A pool with a WithDiscovery gets its views from
// there, by Join, and refuses those of Set.
//
// A base URL is scheme, host and port alone. Peers are told apart by its text, so Set takes
// just one spelling, and its error says which: lower case, no slash or dot at the end, no
// port where it is that of the scheme (http://a.example, not http://a.example:80), IP
// addresses in their shortest form ([::1], and 10.0.0.1, not [::ffff:10.0.0.1]). There are
// at most as many peers as WithMaxPeers says. If only one of this process and a peer has
// a loopback address, the logger of WithPoolLogger gets a warning: from two machines they
// cannot reach each other.
//
// A process should take no requests of users before its first Set: until then it
// is alone, loads every key by itself, and hears of no Remove. When the first list with
// other peers comes, it drops what it has cached.
func (p *HTTPPool) Set(peers ...string) error {
	if p == nil || p.view.Load() == nil {
		return errors.New("peercache: Set on a pool that NewHTTPPool did not make: want its error looked at")
	}
	if p.membership != nil {
		return errors.New("peercache: Set on a pool that has a WithDiscovery: its views come from there, see Join")
	}
	if err := p.setPeers(peers, false); err != nil {
		return err
	}
	p.own.lookAgain()
	p.give.Do(func() { close(p.given) })
	return nil
}

// Register implements PeerPicker. A pool has one group of a name.
func (p *HTTPPool) Register(g *Group) error {
	if p == nil || p.view.Load() == nil {
		return errors.New("a pool that NewHTTPPool did not make")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.accepts(g); err != nil {
		return err
	}
	groups := maps.Clone(*p.groups.Load())
	groups[g.name], g.pool = g, p
	p.groups.Store(&groups)
	p.groupsID.Store(groupsID(groups))
	p.watch.begin()
	return nil
}

// accepts returns an error if g cannot be beside the groups that there are.
func (p *HTTPPool) accepts(g *Group) error {
	for name, other := range *p.groups.Load() {
		if name == g.name {
			return errors.New("the pool has a group of that name already: want another name, or another pool")
		}
		if g.snapshot != nil && other.snapshot != nil && g.snapshot.path == other.snapshot.path {
			return fmt.Errorf("WithSnapshot: %s is the file of the group %q: want one for each group", g.snapshot.path, name)
		}
	}
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
