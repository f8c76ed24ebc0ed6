package peercache

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/doorkeeper"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/store"
	"github.com/peercache/peercache/internal/stripe"
	"github.com/peercache/peercache/peer"
)

// caches hold what a group has in this process, and know how long that may be served. Looking
// has no side effects: own and copied return a verdict, and the Group acts on it.
type caches struct {
	// main holds the values that were loaded here: those of the keys this
	// process owns, and of keys whose owner could not be reached. It is all
	// that a peer's request is answered from.
	main Cache
	// hot holds copies of values that other peers own, so that a popular key
	// does not make its owner a bottleneck. It is nil where there are no peers
	// or copies are not wanted.
	hot Cache
	// stored is the store behind main, if main is what NewStore makes: a hit calls it without an
	// interface, and passes no Entry on.
	stored *store.Store
	// door decides which values are worth a copy. It is nil where there are no peers.
	door *doorkeeper.Door
	// holders are the peers that may have copies of what is in main. It is nil
	// where there are no peers.
	holders *lease.Table

	times    lifetimes
	maxKey   int
	maxValue int

	newCache NewCache
	hotShare float64
	// mainBytes and hotBytes are what main and hot may take.
	mainBytes, hotBytes int64
	onEvict             func(key string, view ByteView, reason Reason) // nil if nobody wants to know

	hits    stripe.Counters
	counts  cacheCounts
	planted failpoint.Bug
}

// cacheCounts are the counts of the caches, but for hits.
type cacheCounts struct {
	misses       atomic.Int64 // Gets that no cache here answered
	servedMisses atomic.Int64 // peers' requests that the main cache did not answer
	staleHits    atomic.Int64
	handovers    atomic.Int64
	handedOver   atomic.Int64 // see Stats.HandoversGiven
	restored     atomic.Int64
}

// makeCaches divides the group's bytes. evicted calls onEvict.
func (c *caches) makeCaches(bytes int64, peers bool, evicted func(key string, e Entry, r Reason)) (err error) {
	if c.onEvict == nil {
		evicted = nil
	}
	mainBytes := bytes
	if peers {
		forHolders, forHot := int64(float64(bytes)*lease.Share), int64(float64(bytes)*c.hotShare)
		forDoor := int64(float64(max(forHot, bytes/8)) * doorkeeper.Share) // without copies, it still says what callers share
		c.holders = lease.New(forHolders, c.times.lease)
		var look func() doorkeeper.Figures
		if forHot > 0 {
			c.hotBytes = forHot
			if c.hot, err = c.newCache(forHot, evicted); err != nil {
				return err
			}
			look = func() doorkeeper.Figures { return c.hotFigures(forHot) }
		}
		c.door = doorkeeper.New(forDoor, look)
		mainBytes -= forHolders + forHot + forDoor
	}
	c.mainBytes = mainBytes
	c.main, err = c.newCache(mainBytes, evicted)
	if s, ok := c.main.(storeCache); ok {
		c.stored = s.Store
	}
	return err
}

// hotFigures returns what the door wants to know of the hot cache, which may take so many bytes.
func (c *caches) hotFigures(most int64) doorkeeper.Figures {
	s := c.hot.Stats()
	return doorkeeper.Figures{Room: s.Bytes < most-most/8, Items: s.Items, Evictions: s.Evictions}
}

// verdict says what a look into a cache has found.
type verdict uint8

const (
	miss    verdict = iota // nothing that may be served
	fresh                  // what may be served
	refresh                // what may be served, and is to be loaded again, or its lease renewed
	stale                  // the same, but it has expired
)

// own returns the entry that the main cache has for key, if it may be served now.
func (c *caches) own(key string) (Entry, verdict) {
	e, ok := c.main.Get(key)
	if !ok {
		return e, miss
	}
	v := c.judge(&e)
	if v == miss {
		return Entry{}, miss
	}
	return e, v
}

// ownView returns what a hit needs of what own returns: the view, the verdict, and whether the view
// says that the origin has no such key.
func (c *caches) ownView(key string) (view ByteView, v verdict, missing bool) {
	if c.stored == nil {
		e, v := c.own(key)
		return e.View, v, e.Missing
	}
	stored, ok := c.stored.Get(key)
	if !ok {
		return ByteView{}, miss, false
	}
	if uint64(stored.Expires)|stored.Meta == 0 {
		return ByteView{stored.Value}, fresh, false
	}
	e := entryOf(stored)
	return e.View, c.judge(&e), e.Missing
}

// judge returns whether an entry of the main cache may be served now.
func (c *caches) judge(e *Entry) verdict {
	if e.Expires|e.Lease == 0 {
		return fresh
	}
	now := clock.Now()
	if e.Lease != 0 && now >= e.Lease {
		return miss
	}
	if e.Expires == 0 {
		return fresh
	}
	switch left := c.times.fresh(*e, now); {
	case left > c.times.ahead, e.Missing && left > 0:
		return fresh
	case left > 0:
		return refresh
	case left > -c.times.revalidate && !e.Missing:
		return stale
	}
	return miss
}

// expired returns the value of key that has expired, if there is one, and it may still be
// served where there is no other.
func (c *caches) expired(key string) (Entry, bool) {
	if c.times.onError == 0 {
		return Entry{}, false
	}
	e, ok := c.main.Get(key)
	now := clock.Now()
	if !ok || e.Missing || e.Expires == 0 || e.Lease != 0 && now >= e.Lease || c.times.fresh(e, now) <= -c.times.onError {
		return Entry{}, false
	}
	return e, true
}

// serveExpired returns the value of key that has expired, if it may be served in place of an
// error, and counts it.
func (c *caches) serveExpired(key string) (Entry, bool) {
	e, ok := c.expired(key)
	if ok {
		c.countStale(stale)
	}
	return e, ok
}

// countStale counts a value that is served with a verdict.
func (c *caches) countStale(v verdict) {
	if v == stale {
		c.counts.staleHits.Add(1)
	}
}

// copied returns the entry that the hot cache has for key, if it may be served now.
func (c *caches) copied(key string) (Entry, verdict) {
	if c.hot == nil {
		return Entry{}, miss
	}
	e, ok := c.hot.Get(key)
	if !ok {
		return Entry{}, miss
	}
	now := clock.Now()
	if now >= e.Lease || e.Expires != 0 && now >= e.Expires {
		return Entry{}, miss
	}
	// Early, so that nobody waits for a copy in use; and not so often that it costs more
	// than it gains.
	if c.leaseOf(e, now)-e.Lease > clock.Instant(c.times.lease/2) {
		return e, refresh
	}
	return e, fresh
}

// unleased returns the copy of key whose lease is over, but which has not expired.
func (c *caches) unleased(key string) (Entry, bool) {
	if c.hot == nil {
		return Entry{}, false
	}
	e, ok := c.hot.Get(key)
	if !ok || e.Missing || e.Expires != 0 && clock.Now() >= e.Expires {
		return Entry{}, false
	}
	return e, true
}

// leaseOf returns the lease of a copy that was asked for at an instant. It ends early
// enough for the owner to hear, before the value expires there, that it is in use.
func (c *caches) leaseOf(e Entry, asked clock.Instant) clock.Instant {
	lease := asked.Plus(c.times.lease)
	if e.Expires != 0 {
		lease = min(lease, e.Expires.Plus(-c.times.ahead))
	}
	return lease
}

// loaded makes an entry of what the getter returned. Its value is in the getter's own memory.
func (c *caches) loaded(item Item) (Entry, error) {
	if len(item.Value) > c.maxValue {
		return Entry{}, fmt.Errorf("%w: the getter returned %d bytes, want at most %d", ErrValueSize, len(item.Value), c.maxValue)
	}
	e := Entry{View: viewOfOwn(item.Value)}
	c.times.expire(&e, item.TTL)
	return e, nil
}

// missing makes an entry of the error of a getter whose origin has no such key. The error may
// say that this holds for a shorter time than that of the group: see WithNegativeTTL.
func (c *caches) missing(err error) Entry {
	ttl := c.times.negative
	limit, ok := errors.AsType[interface {
		error
		NegativeTTL() time.Duration
	}](err)
	if ok && limit.NegativeTTL() != 0 {
		ttl = min(ttl, limit.NegativeTTL())
	}
	text := fmt.Sprint(err) // not err.Error(), see peer.EncodeError
	return Entry{
		View:    ViewOfString(strings.Clone(text[:min(len(text), peer.MaxErrorText)])),
		Expires: clock.Expiry(clock.Now(), cmp.Or(ttl, -1)),
		Missing: true,
	}
}

// tainter says whether a value must not be cached any more: the flight that got it, or a taintedBy.
type tainter interface{ Tainted() bool }

// taintedBy makes a tainter of a func.
type taintedBy func() bool

// Tainted implements tainter.
func (t taintedBy) Tainted() bool { return t() }

// taint returns what says whether a value of f must not be cached any more.
func (c *caches) taint(f tainter) tainter {
	if c.planted == failpoint.NoTaint {
		return taintedBy(func() bool { return false })
	}
	return f
}

// addMain puts an entry into the main cache, unless t is tainted, and reports whether it is kept.
// e.View may be of memory that a getter writes to later. The Entry that addMain returns is not,
// whether or not it is kept: a value is copied once, to where it stays.
func (c *caches) addMain(key string, e Entry, t tainter) (own Entry, kept bool) {
	c.hits.Grow()
	if s, ok := c.main.(storeCache); ok {
		return s.addCopy(key, e, t.Tainted)
	}
	e.View = ViewOf(e.View.bytes())
	return e, c.main.Add(strings.Clone(key), e, t.Tainted)
}

// addCopy offers what a peer answered to the hot cache, unless a change has tainted its flight.
// have is the copy that was there when the peer was asked.
func (c *caches) addCopy(key string, e Entry, asked clock.Instant, have Entry, flight tainter) {
	if c.hot == nil {
		return
	}
	now := clock.Now()
	if c.planted == failpoint.LeaseFromAnswer {
		asked = now
	}
	e.Lease = c.leaseOf(e, asked) &^ onTrial
	if e.Lease <= now || e.Expires != 0 && e.Expires <= now {
		return
	}
	if have.Lease != 0 && e.View.Same(have.View) {
		if c.hot.Renew(key, e) && have.Lease&onTrial != 0 {
			c.door.Pass()
		}
		return
	}
	if c.door.Trial() {
		e.Lease-- // which is onTrial
	}
	c.hits.Grow()
	if s, ok := c.hot.(storeCache); ok {
		s.addCopy(key, e, c.taint(flight).Tainted)
		return
	}
	e.View = ViewOf(e.View.bytes()) // that of a batch is part of something larger
	c.hot.Add(strings.Clone(key), e, c.taint(flight).Tainted)
}

// onTrial is set in the Lease of a copy on trial: the door is told when it is hit for the first
// time. A nanosecond of a lease does not matter.
const onTrial clock.Instant = 1

// passTrial ends the trial of a copy that was hit.
func (c *caches) passTrial(key string, e Entry) {
	e.Lease-- // never up: the owner has not said so
	if c.hot.Renew(key, e) {
		c.door.Pass()
	}
}

// dropHot drops the copies of other peers' values that a change ends.
func (c *caches) dropHot(change *Change) {
	if c.hot == nil {
		return
	}
	if change.All {
		c.hot.Clear()
	}
	for _, key := range change.Keys {
		c.hot.Remove(key)
	}
}

// recordHolder records that a peer may hold what it asks for. It comes before the look for
// the answer: see lease.Table. known reports whether a name is that of a peer.
func (c *caches) recordHolder(from, key string, lease time.Duration, known func(string) bool) bool {
	if c.holders == nil || from == "" || lease <= 0 {
		return false
	}
	return c.holders.Record(key, from, lease, known)
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

// evicted calls the user's function of WithOnEvict.
func (g *Group) evicted(key string, e Entry, r Reason) {
	if e.Missing {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			g.panicked("the function of WithOnEvict", key, p)
		}
	}()
	g.onEvict(key, e.View, r)
}
