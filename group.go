package peercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/stripe"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/singleflight"
)

// A Group is a named key space with its own size limit and its own getter. In
// every process of a service there is one of the same name; together they are
// one cache. It is made by NewGroup, never as a zero value. Its methods may be called
// concurrently.
type Group struct {
	name   string
	getter Getter
	picker PeerPicker       // nil for a local cache
	peers  placement        // of picker; nil for a local cache
	home   *cluster.Cluster // that it is registered with, also where picker only stands before it; may be nil
	log    *slog.Logger     // nil says nothing
	warned atomic.Int64     // the Instant of the last failureLevel that was a warning

	// main holds the values that were loaded here: those of the keys this
	// process owns, and of keys whose owner could not be reached. It is all
	// that a peer's request is answered from.
	main Cache
	// hot holds copies of values that other peers own, so that a popular key
	// does not make its owner a bottleneck. It is nil where there are no peers
	// or copies are not wanted.
	hot Cache

	// holders are the peers that may have copies of what is in main. It is nil
	// where there are no peers.
	holders *lease.Table

	// changed is nil before the first change of a key in a view that is new.
	changed atomic.Pointer[changedKeys]

	// loads are the runs of the getter here. fetches are the asks to other
	// peers. They are apart, because a peer's request may wait for a load but
	// never for a fetch: else two peers that each think the other owns a key
	// would wait for each other (P2). past are runs of the getter whose values are
	// not kept, see loadPast.
	loads   singleflight.Group[Entry]
	fetches singleflight.Group[fetched]
	past    singleflight.Group[Entry]

	slots        slots // see WithMaxLoads
	refreshes    refreshes
	times        lifetimes
	loadTimeout  time.Duration
	peerTimeout  time.Duration // of the pool, see WithPeerTimeout; may be zero
	answerTime   time.Duration // for how long one peer is waited for that gives signs of life
	maxKey       int
	maxValue     int
	valueLimited bool // by the user
	hotShare     float64
	newCache     NewCache
	onEvict      func(key string, view ByteView, reason Reason) // nil if nobody wants to know
	contexts     *contexts                                      // nil without a WithContextCodec
	errorText    func(error) string                             // nil: what the error says

	// registrar knows whether this process may have been replaced. It is nil in a
	// group that serves on all the same, so that a hit costs one look at it.
	registrar  placement
	consistent bool // wants a registrar, see WithConsistency

	snapshot *snapshotFile // nil without a WithSnapshot

	hits  stripe.Counters
	stats counters

	planted failpoint.Bug // by tests, which show that they would see it
}

// NewGroup makes a group of the given name, whose cached values, keys and bookkeeping take
// at most cacheBytes in this process, at least 4 KiB. The name must be the same on all
// peers; it may be any text of 1 to 255 bytes without a slash. The getter loads what is
// cached nowhere.
//
// A value of more than a quarter of its cache (cacheBytes without WithHotShare's
// part, on the owner) is answered but not kept: each Get loads it again.
// CacheStats counts them as Rejected.
func NewGroup(name string, cacheBytes int64, getter Getter, opts ...GroupOption) (*Group, error) {
	g := &Group{
		name:        name,
		getter:      getter,
		loadTimeout: DefaultLoadTimeout,
		maxKey:      DefaultMaxKeyBytes,
		maxValue:    DefaultMaxValueBytes,
		hotShare:    DefaultHotShare,
		planted:     failpoint.Planted(),
		newCache:    NewStore,
		times:       lifetimes{lease: DefaultLease, standIn: DefaultStandIn},
	}
	if err := orError("a callback", func() error { return g.init(cacheBytes, opts) }); err != nil {
		return nil, fmt.Errorf("peercache: group %q: %w", name, err)
	}
	return g, nil
}

func (g *Group) init(cacheBytes int64, opts []GroupOption) (err error) {
	if g.name == "" || len(g.name) > peer.MaxGroupName || !utf8.ValidString(g.name) || strings.Contains(g.name, "/") {
		return fmt.Errorf("the name: want 1 to %d bytes of text without a slash", peer.MaxGroupName)
	}
	if isNil(g.getter) {
		return errors.New("the getter is nil: want one that loads a key from the origin")
	}
	if cacheBytes < leastCacheBytes {
		return fmt.Errorf("a cache of %d bytes: want at least %d", cacheBytes, leastCacheBytes)
	}
	g.hits.Init(cacheBytes)
	for i, opt := range opts {
		if opt == nil {
			return fmt.Errorf("option %d is nil", i)
		}
		if err := opt(g); err != nil {
			return err
		}
	}
	if err := g.times.check(); err != nil {
		return err
	}
	g.peers = placementOf(g.picker)
	if err := g.checkSnapshot(); err != nil {
		return err
	}
	g.loads.Timeout, g.past.Timeout = g.loadTimeout, g.loadTimeout
	g.answerTime = clock.Sum(g.loadTimeout, answerMargin)
	if g.loadTimeout > g.times.standIn {
		// Nobody may join a load that began before a change, when the change has
		// waited for this process as a stand-in.
		g.loads.JoinFor = g.times.standIn
	}
	g.fetches.JoinFor = g.times.lease
	g.loads.Clock, g.fetches.Clock = clock.SinceStart, clock.SinceStart
	if err := g.makeCaches(cacheBytes); err != nil {
		return err
	}
	if g.consistent {
		g.registrar = g.peers
	}
	if g.snapshot != nil {
		if err := g.take(); err != nil {
			return err
		}
	}
	if g.picker != nil {
		if err := g.picker.Register(g); err != nil {
			return err
		}
	}
	if g.snapshot != nil {
		g.warm()
	}
	g.warnOfOptions(cacheBytes)
	return nil
}

// makeCaches divides the group's bytes.
func (g *Group) makeCaches(bytes int64) (err error) {
	var onLeave func(key string, e Entry, r Reason)
	if g.onEvict != nil {
		onLeave = func(key string, e Entry, r Reason) {
			if !e.Missing {
				g.tellEvicted(key, e.View, r)
			}
		}
	}
	mainBytes := bytes
	if g.peers != nil {
		forHolders, forHot := int64(float64(bytes)*lease.Share), int64(float64(bytes)*g.hotShare)
		g.holders = lease.New(forHolders, g.times.lease)
		if forHot > 0 {
			if g.hot, err = g.newCache(forHot, onLeave); err != nil {
				return err
			}
		}
		mainBytes -= forHolders + forHot
	}
	g.main, err = g.newCache(mainBytes, onLeave)
	return err
}

// Name returns the group's name.
func (g *Group) Name() string { return g.name }

// Get returns the value of key: from this process, else from the peer that owns
// it, else from the getter. Any bytes are a valid key, but none (ErrKeySize).
//
// Get returns when ctx ends, with an error that is ctx.Err, without disturbing
// others who wait for the key. Other errors are the getter's, wherever it ran;
// errors.Is finds ErrNotFound in them. Where it ran in another process, errors.As
// finds a *RemoteError; where it panicked in this one, a *singleflight.PanicError.
// ErrValueSize and context.DeadlineExceeded tell of WithMaxValueBytes and
// WithLoadTimeout. A value that is cached here is returned whether or not ctx has
// ended.
//
// A getter must not Get the key that it is to load: it would wait for itself
// until the load timeout.
func (g *Group) Get(ctx context.Context, key string) (ByteView, error) {
	if view, ok, err := g.hit(ctx, key, nil); ok {
		return view, err
	}
	g.stats.misses.Add(1)
	e, err := g.fill(ctx, key)
	return e.View, err
}

// hit looks into both caches of this process and counts what it finds. What it finds
// may be that the origin has no such key. What is to be loaded again is left to the caller
// who gives an old; else that begins.
func (g *Group) hit(ctx context.Context, key string, old *aged) (view ByteView, ok bool, err error) {
	if g.lapsed() {
		return ByteView{}, false, nil
	}
	e, v := g.own(key)
	if v != absent {
		g.hits.Mine().Main.Add(1)
		if v == aging {
			g.refresh(ctx, key, old)
		}
	} else if e, v = g.copied(key); v != absent {
		g.hits.Mine().Hot.Add(1)
		if v == aging {
			g.renew(ctx, key, e, old)
		}
	}
	ok = v != absent
	if ok && g.logs(slog.LevelDebug) {
		g.say(slog.LevelDebug, "hit", key)
	}
	if ok && e.Missing {
		return ByteView{}, true, g.keyError(key, remembered(e))
	}
	return e.View, ok, nil
}

// fill gets the entry of a key that is not cached here from where it belongs.
func (g *Group) fill(ctx context.Context, key string) (e Entry, err error) {
	if err := g.checkKey(key); err != nil {
		return e, err
	}
	if owner := g.pick(key, 0); owner != nil && !g.lapsed() {
		e, err = g.fetch(ctx, key, owner)
	} else {
		e, err = g.load(ctx, key)
	}
	if err != nil {
		return Entry{}, g.keyError(key, err)
	}
	return e, nil
}

// pick returns the n-th peer for key in the ring's order, or nil if the key is
// this process's to load.
func (g *Group) pick(key string, n int) Peer {
	if g.peers == nil {
		return nil
	}
	return g.peers.Pick(key, n)
}

// wait returns when no load and no fetch is in progress, or ctx has ended.
func (g *Group) wait(ctx context.Context) error {
	if err := g.fetches.Drain(ctx); err != nil {
		return err
	}
	if err := g.past.Drain(ctx); err != nil {
		return err
	}
	return g.loads.Drain(ctx)
}

// checkKey returns an error if key cannot be a key of the group. Only what is
// about to be loaded need be checked: nothing else is ever cached.
func (g *Group) checkKey(key string) error {
	switch {
	case key == "":
		return g.keyError(key, fmt.Errorf("%w: an empty key, want 1 to %d bytes", ErrKeySize, g.maxKey))
	case len(key) > g.maxKey:
		return g.keyError(key, fmt.Errorf("%w: want 1 to %d bytes", ErrKeySize, g.maxKey))
	}
	return nil
}

// keyError says which group and key an error is about.
func (g *Group) keyError(key string, err error) error {
	return fmt.Errorf("peercache: group %q, key %s: %w", g.name, quote.Key(key), err)
}
