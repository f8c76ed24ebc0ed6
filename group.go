package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// A Group is a named key space with its own size limit and its own getter. In
// every process of a service there is one of the same name; together they are
// one cache. It is made by NewGroup, never as a zero value. Its methods may be called
// concurrently.
type Group struct {
	journal   // its name and its log
	caches    // what is held here, and whether that is fresh
	placement // whose key is it
	loader    // values from the getter
	fetcher   // values from other peers

	refreshes refreshQueue // values that are loaded again in the background
	changes   changeCounts
	watchers  watchers    // see Watch
	level     SecondLevel // see WithSecondLevel; may be nil

	valueLimited bool               // WithMaxValueBytes was given
	errorText    func(error) string // see WithErrorText; may be nil
	snapshot     *snapshotFile      // nil without a WithSnapshot
	planted      failpoint.Bug      // tests plant it, to show that they would find it
}

// leastCacheBytes is the least that a group may have: less keeps hardly a value beside the
// tables that find it.
const leastCacheBytes = 4 << 10

// NewGroup makes a group of the given name, whose cached values, keys and bookkeeping take
// at most cacheBytes in this process, at least 4 KiB. The name must be the same on all
// peers; it may be any text of 1 to 255 bytes without a slash. The getter loads what is
// cached nowhere.
//
// A value of more than a quarter of its cache (cacheBytes without WithHotShare's
// part, on the owner) is answered but not kept: each Get loads it again.
// CacheStats counts them as Rejected.
func NewGroup(name string, cacheBytes int64, getter Getter, opts ...GroupOption) (*Group, error) {
	planted := failpoint.Planted()
	g := &Group{
		journal: journal{name: name},
		caches: caches{
			times:    lifetimes{lease: DefaultLease, standIn: DefaultStandIn},
			maxKey:   DefaultMaxKeyBytes,
			maxValue: DefaultMaxValueBytes,
			newCache: NewStore,
			hotShare: DefaultHotShare,
			planted:  planted,
		},
		placement: placement{planted: planted},
		loader:    loader{getter: getter, loadTimeout: DefaultLoadTimeout},
		planted:   planted,
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
	g.peers, g.standIn, g.pullTime = topologyOf(g.picker), g.times.standIn, min(g.loadTimeout/4, mostPull)
	if err := g.checkSnapshot(); err != nil {
		return err
	}
	if g.level != nil {
		l := leveled{level: g.level, ttl: g.times.ttl, ahead: g.times.ahead, patience: min(g.loadTimeout/4, mostLevel), warn: g.tell}
		g.getter = l.before(g.getter)
	}
	g.makeLoader(g.times.standIn, &g.journal)
	g.makeFetcher(g.times.lease, g.loadTimeout, &g.journal)
	if err := g.makeCaches(cacheBytes, !g.alone(), g.evicted); err != nil {
		return err
	}
	if g.snapshot != nil {
		if err := g.claimSnapshot(); err != nil {
			return err
		}
	}
	if !g.alone() {
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
	g.caches.counts.misses.Add(1)
	e, err := g.fill(ctx, key)
	return e.View, err
}

// GetWithTTL does what Get does, and returns for how long the value may be served as fresh from now
// on: by a cache in front of this one that hears of no changes, such as that of a browser. Zero means
// without end. Less than zero means that the value has expired: it is served while it is loaded again
// (WithStaleWhileRevalidate), or because it cannot be (WithStaleIfError), or the getter gave it a
// negative TTL. With an error, ttl says nothing.
func (g *Group) GetWithTTL(ctx context.Context, key string) (view ByteView, ttl time.Duration, err error) {
	e, ok := g.hitEntry(ctx, key)
	if ok {
		view, _, err = g.found(key, e.View, e.Missing)
		return view, g.ttlOf(&e), err
	}
	g.caches.counts.misses.Add(1)
	if e, err = g.fill(ctx, key); err != nil {
		return ByteView{}, 0, err
	}
	return e.View, g.ttlOf(&e), nil
}

// ttlOf returns for how long an entry may be served, in the form of GetWithTTL.
func (g *Group) ttlOf(e *fetched) time.Duration {
	if e.loaded {
		return g.times.remaining(e.Entry)
	}
	if e.Expires == 0 {
		return 0
	}
	return cmp.Or(max(-1, time.Duration(e.Expires-clock.Now())), -1) // the lease of a copy is for those who are told of changes
}

// hitEntry does what hit does, for a caller who needs the entry.
func (g *Group) hitEntry(ctx context.Context, key string) (e fetched, ok bool) {
	if g.lapsed() {
		return e, false
	}
	own, v := g.own(key)
	if v == miss {
		e.Entry, ok = g.hitCopy(ctx, key, nil)
		return e, ok
	}
	g.hits.Mine().Main.Add(1)
	if v != fresh {
		g.countStale(v)
		g.startRefresh(ctx, key, nil)
	}
	return fetched{Entry: own, loaded: true}, true
}

// hit looks into both caches of this process and counts what it finds, which may be that the
// origin has no such key. It starts the refresh of what must be loaded again. If later is not
// nil, it leaves that to startDue.
func (g *Group) hit(ctx context.Context, key string, later *due) (view ByteView, ok bool, err error) {
	if g.lapsed() {
		return ByteView{}, false, nil
	}
	view, v, missing := g.ownView(key)
	if v == miss {
		e, ok := g.hitCopy(ctx, key, later)
		if !ok {
			return ByteView{}, false, nil
		}
		return g.found(key, e.View, e.Missing)
	}
	g.hits.Mine().Main.Add(1)
	if v != fresh {
		g.countStale(v)
		g.startRefresh(ctx, key, later)
	}
	return g.found(key, view, missing)
}

// hitCopy does what hit does, for the hot cache, and returns the entry.
func (g *Group) hitCopy(ctx context.Context, key string, later *due) (e Entry, ok bool) {
	e, v := g.copied(key)
	if v == miss {
		return Entry{}, false
	}
	g.hits.Mine().Hot.Add(1)
	switch {
	case v != fresh:
		g.startRenewal(ctx, key, e, later)
	case e.Lease&onTrial != 0:
		g.passTrial(key, e)
	}
	return e, true
}

// found returns what hit does for a view that is there.
func (g *Group) found(key string, view ByteView, missing bool) (ByteView, bool, error) {
	if g.debugs() {
		g.say(slog.LevelDebug, "hit", key)
	}
	if missing {
		return ByteView{}, true, g.keyError(key, remembered(view))
	}
	return view, true, nil
}

// fill gets the entry of a key that is not cached here: from its owner, or from the getter.
func (g *Group) fill(ctx context.Context, key string) (e fetched, err error) {
	if err := g.checkKey(key); err != nil {
		return e, err
	}
	if g.tracing == nil {
		return g.fillFrom(ctx, key)
	}
	ctx, span := g.tracing.start(ctx, spanOf(SpanMiss, key))
	returned := false
	defer func() { span.over(returned, err) }()
	e, err = g.fillFrom(ctx, key)
	returned = true
	return e, err
}

// fillFrom does what fill does, for a key that may be one.
func (g *Group) fillFrom(ctx context.Context, key string) (e fetched, err error) {
	if owner := g.pick(key, 0); owner != nil && !g.lapsed() {
		e, err = g.fetch(ctx, key, owner)
	} else {
		e.loaded = true
		e.Entry, err = g.load(ctx, key)
	}
	if err != nil {
		return fetched{}, g.keyError(key, err)
	}
	return e, nil
}

// warnOfOptions warns of options that only look wrong, and says what would be right. Those that
// contradict each other are refused: lifetimes.check, checkSnapshot.
func (g *Group) warnOfOptions(cacheBytes int64) {
	if !g.logs(slog.LevelWarn) {
		return
	}
	warn := func(format string, args ...any) {
		g.tell(slog.LevelWarn, "an option looks wrong", slog.String("why", fmt.Sprintf(format, args...)))
	}
	if most := cacheBytes / 4; g.valueLimited && int64(g.maxValue) > most {
		warn("WithMaxValueBytes(%d) in a cache of %d bytes: a value of more than %d is answered, but not kept: want a larger cache, or a lower limit", g.maxValue, cacheBytes, most)
	}
	if g.peerTimeout > 0 && g.peerTimeout < g.loadTimeout {
		warn("WithPeerTimeout(%v) is shorter than WithLoadTimeout(%v): a slow load is taken for a peer that is gone, and the key is loaded twice: want it longer, or left out", g.peerTimeout, g.loadTimeout)
	}
}

// drain returns when no load and no fetch is in progress, or ctx has ended.
func (g *Group) drain(ctx context.Context) error {
	if err := g.fetches.Drain(ctx); err != nil {
		return err
	}
	if err := g.refreshes.drain(ctx); err != nil { // a batch without flights is in none of the others
		return err
	}
	if err := g.past.Drain(ctx); err != nil {
		return err
	}
	return g.loads.Drain(ctx)
}
