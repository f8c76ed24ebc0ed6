package peercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/peercache/peercache/singleflight"
)

// A Group is a named key space with its own size limit and its own getter. In
// every process of a service there is one of the same name; together they are
// one cache. Its methods may be called concurrently.
type Group struct {
	name   string
	getter Getter
	peers  PeerPicker   // nil for a local cache
	log    *slog.Logger // nil says nothing

	// main holds the values that were loaded here: those of the keys this
	// process owns, and of keys whose owner could not be reached. It is all
	// that a peer's request is answered from.
	main Cache
	// hot holds copies of values that other peers own, so that a popular key
	// does not make its owner a bottleneck. It is nil where there are no peers
	// or copies are not wanted.
	hot Cache

	// loads are the runs of the getter here. fetches are the asks to other
	// peers. They are apart, because a peer's request may wait for a load but
	// never for a fetch: else two peers that each think the other owns a key
	// would wait for each other (P2).
	loads   singleflight.Group[Entry]
	fetches singleflight.Group[Entry]

	loadTimeout time.Duration
	maxKey      int
	maxValue    int
	hotShare    float64

	stats counters
}

// NewGroup makes a group of the given name, whose cached values, keys and
// bookkeeping take at most cacheBytes in this process. The name must be the same
// on all peers; it may be any text of 1 to 255 bytes without a slash. The getter
// loads what is cached nowhere.
//
// A value that is larger than its cache (cacheBytes without WithHotShare's part,
// on the owner) is answered but not kept: each Get loads it again. CacheStats
// counts them as Rejected.
func NewGroup(name string, cacheBytes int64, getter Getter, opts ...GroupOption) (*Group, error) {
	g := &Group{
		name:        name,
		getter:      getter,
		loadTimeout: DefaultLoadTimeout,
		maxKey:      DefaultMaxKeyBytes,
		maxValue:    DefaultMaxValueBytes,
		hotShare:    DefaultHotShare,
	}
	if err := g.init(cacheBytes, opts); err != nil {
		return nil, fmt.Errorf("peercache: group %q: %w", name, err)
	}
	return g, nil
}

// longestGroupName is in bytes. The name goes into every request to a peer.
const longestGroupName = 255

func (g *Group) init(cacheBytes int64, opts []GroupOption) (err error) {
	if g.name == "" || len(g.name) > longestGroupName || !utf8.ValidString(g.name) || strings.Contains(g.name, "/") {
		return fmt.Errorf("the name: want 1 to %d bytes of text without a slash", longestGroupName)
	}
	if isNil(g.getter) {
		return errors.New("the getter is nil: want one that loads a key from the origin")
	}
	if cacheBytes <= 0 {
		return fmt.Errorf("a cache of %d bytes: want more than 0", cacheBytes)
	}
	for i, opt := range opts {
		if opt == nil {
			return fmt.Errorf("option %d is nil", i)
		}
		if err := opt(g); err != nil {
			return err
		}
	}
	g.loads.Timeout = g.loadTimeout
	if hotBytes := int64(float64(cacheBytes) * g.hotShare); g.peers != nil && hotBytes > 0 {
		if g.hot, err = newLRU(hotBytes); err != nil {
			return err
		}
		cacheBytes -= hotBytes
	}
	if g.main, err = newLRU(cacheBytes); err != nil {
		return err
	}
	if g.peers != nil {
		return g.peers.Register(g)
	}
	return nil
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
	g.stats.gets.Add(1)
	if e, ok := g.cached(key); ok {
		g.stats.hits.Add(1)
		if g.logs(slog.LevelDebug) {
			g.say(slog.LevelDebug, "hit", key)
		}
		return e.View, nil
	}
	e, err := g.fill(ctx, key)
	return e.View, err
}

// cached looks into both caches of this process.
func (g *Group) cached(key string) (Entry, bool) {
	if e, ok := g.main.Get(key); ok && !e.expired() {
		return e, true
	}
	if g.hot != nil {
		if e, ok := g.hot.Get(key); ok && !e.expired() {
			return e, true
		}
	}
	return Entry{}, false
}

// fill gets the entry of a key that is not cached here from where it belongs.
func (g *Group) fill(ctx context.Context, key string) (e Entry, err error) {
	if err := g.checkKey(key); err != nil {
		return e, err
	}
	if owner := g.pick(key, 0); owner != nil {
		e, err = g.fetch(ctx, key, owner)
	} else {
		e, err = g.load(ctx, key)
	}
	if err != nil {
		err = g.keyError(key, err)
	}
	return e, err
}

// pick returns the n-th peer for key in the ring's order, or nil if the key is
// this process's to load.
func (g *Group) pick(key string, n int) Peer {
	if g.peers == nil {
		return nil
	}
	return g.peers.Pick(key, n)
}

// mostPeersAsked is how many peers a fetch tries, one after the other, before
// the key is loaded here. Each may cost as long as it takes to see that it is
// not there, so a fetch does not try them all.
const mostPeersAsked = 3

// fetch gets key from its owner or, where that cannot be reached, from the next
// peer on the ring. All processes try the same peers in the same order, so that
// the key is still loaded by one of them.
func (g *Group) fetch(ctx context.Context, key string, peer Peer) (Entry, error) {
	return g.fetches.Do(ctx, key, func(ctx context.Context, f *singleflight.Flight[Entry]) (Entry, error) {
		if e, ok := g.cached(key); ok { // see load
			return e, nil
		}
		for n := 1; peer != nil && n <= mostPeersAsked; n++ {
			e, err := g.ask(ctx, peer, key)
			if err == nil {
				if g.hot != nil && !e.expired() {
					f.Commit(func() { g.hot.Add(strings.Clone(key), e) })
				}
				return e, nil
			}
			if !unreachable(err) || ctx.Err() != nil {
				return Entry{}, err
			}
			peer = g.peers.Pick(key, n)
		}
		return g.load(ctx, key)
	})
}

// ask gets key from one peer.
func (g *Group) ask(ctx context.Context, peer Peer, key string) (Entry, error) {
	// The time that the answer is under way is part of its age: what it has
	// left is counted from before it was asked for (P7).
	asked := Now()
	item, err := peer.Get(ctx, g.name, key)
	level := slog.LevelDebug
	switch {
	case err == nil:
		g.stats.peerLoads.Add(1)
	case unreachable(err):
		g.stats.peerErrors.Add(1)
		level = slog.LevelWarn
	}
	if g.logs(level) {
		g.say(level, "asked peer", key, slog.String("peer", peer.Name()), took(asked), problem(err))
	}
	if err != nil {
		return Entry{}, err
	}
	return Entry{View: viewOfOwn(item.Value), Expires: expiry(asked, item.TTL)}, nil
}

// load runs the getter for key, or joins the run that is in progress.
func (g *Group) load(ctx context.Context, key string) (Entry, error) {
	return g.loads.Do(ctx, key, func(ctx context.Context, f *singleflight.Flight[Entry]) (Entry, error) {
		// Look into the cache again. Of two callers that both missed, the
		// second may come here when the first one's flight is over:
		//
		//	1: miss
		//	2: miss
		//	1: flight starts, loads, keeps the value, ends
		//	2: flight starts
		//
		// Without this look the key would be loaded twice.
		if e, ok := g.main.Get(key); ok && !e.expired() {
			return e, nil
		}
		e, err := g.runGetter(ctx, key)
		if err == nil && !e.expired() {
			f.Commit(func() { g.main.Add(strings.Clone(key), e) })
		}
		return e, err
	})
}

// runGetter calls the user's getter and checks what it returns.
func (g *Group) runGetter(ctx context.Context, key string) (e Entry, err error) {
	start, returned := Now(), false
	g.stats.loads.Add(1)
	defer func() {
		if !returned || err != nil {
			g.stats.loadErrors.Add(1)
		}
		switch {
		case !returned && g.logs(slog.LevelError): // the flight makes an error of it
			g.say(slog.LevelError, "the getter panicked", key, slog.String("stack", string(debug.Stack())))
		case returned && g.logs(slog.LevelDebug):
			g.say(slog.LevelDebug, "load", key, took(start), problem(err))
		}
	}()
	item, err := g.getter.Get(ctx, key)
	returned = true
	if err == nil && len(item.Value) > g.maxValue {
		err = fmt.Errorf("%w: the getter returned %d bytes, want at most %d", ErrValueSize, len(item.Value), g.maxValue)
	}
	if err != nil {
		return Entry{}, err
	}
	return Entry{View: ViewOf(item.Value), Expires: expiry(Now(), item.TTL)}, nil
}

// ServeGet answers a peer's request for key, for the transport behind a
// PeerPicker. It asks no other peer (P2): what is not cached is loaded here. The
// returned duration is how long the value may be served, as Item.TTL says.
func (g *Group) ServeGet(ctx context.Context, key string) (ByteView, time.Duration, error) {
	g.stats.gets.Add(1)
	g.stats.serverRequests.Add(1)
	if e, ok := g.main.Get(key); ok && !e.expired() {
		g.stats.hits.Add(1)
		if g.logs(slog.LevelDebug) {
			g.say(slog.LevelDebug, "hit for a peer", key)
		}
		return e.View, e.ttl(), nil
	}
	if err := g.checkKey(key); err != nil {
		return ByteView{}, 0, err
	}
	e, err := g.load(ctx, key)
	return e.View, e.ttl(), err
}

// wait returns when no load and no fetch is in progress, or ctx has ended.
func (g *Group) wait(ctx context.Context) error {
	if err := g.fetches.Drain(ctx); err != nil {
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
	return fmt.Errorf("peercache: group %q, key %s: %w", g.name, quote(key), err)
}
