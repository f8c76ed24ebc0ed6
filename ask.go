package peercache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/singleflight"
)

// fetcher asks other peers.
type fetcher struct {
	// fetches are the questions to other peers that are in progress.
	fetches singleflight.Group[fetched]
	// questions has those that are in no use. They are kept by the group, because a channel that
	// was made in a bubble of synctest must not leave it.
	questions sync.Pool

	answerTime  time.Duration // for how long callers wait for a peer that gives signs of life
	peerTimeout time.Duration // of the pool, see WithPeerTimeout; may be zero

	counts  fetchCounts
	journal *journal
}

// fetchCounts are the counts of the fetcher.
type fetchCounts struct{ renewals, peerLoads, peerErrors atomic.Int64 }

// makeFetcher sets what follows from the options.
func (f *fetcher) makeFetcher(lease, loadTimeout time.Duration, j *journal) {
	f.journal = j
	f.answerTime = clock.Sum(loadTimeout, answerMargin)
	f.fetches.JoinFor, f.fetches.Clock = lease, clock.SinceStart
}

// answerMargin is how much longer than a load callers wait for a peer that gives signs of
// life: its loads end within the load timeout, and it answers then. By the plain way a
// request has ended before.
const answerMargin = 2 * time.Second

// fetched is a peer's answer for a key.
type fetched struct {
	Entry
	// unshared says that the peer has not recorded a lease. It will not tell of a change of
	// the key, so the answer is not for callers who came when the question was on its way.
	unshared bool
	// loaded says that this process has loaded the value itself: the entry is as in the main cache,
	// whose Expires includes the time for which it may be served stale. That of an answer does not.
	loaded bool
}

// fetchFlight is what the callers of a key share who wait for a peer.
type fetchFlight = singleflight.Flight[fetched]

// unreached is the error of a fetch that reached no peer of the key's preference list. Its
// callers load the key themselves, past the cache, and share runs after that turn.
type unreached struct{ turn uint64 }

func (unreached) Error() string { return "no peer that could have the key can be reached" }

// query returns what a peer is asked. A zero lease means that the answer is for one caller. have
// is the copy of key that is there, if any.
func (g *Group) query(ctx context.Context, key string, lease time.Duration, have Entry) Query {
	return Query{
		Group: g.name, Key: key, Lease: lease, Digest: digestOf(have),
		Nested: nestingOf(ctx), Context: g.contexts.carried(ctx), Trace: g.tracing.inject(ctx), MaxBytes: g.maxValue, Timeout: g.answerTime,
	}
}

// digestOf returns the digest of a copy, or nothing if there is none.
func digestOf(have Entry) string {
	if have.Lease == 0 {
		return ""
	}
	return digest(have.View)
}

// digest is what tells one value from another: no two are known that have the same.
func digest(v ByteView) string {
	sum := sha256.Sum256(v.bytes())
	return string(sum[:digestBytes])
}

const digestBytes = 16

// askInTurn gets key from its owner or, where that cannot be reached, from the
// next peer on the ring, which stands in for it. All processes try the same peers in
// the same order, so that the key is still loaded by one of them. A zero lease means that
// nobody else gets the answer. If keep is not nil, a copy is kept unless keep is tainted.
func (g *Group) askInTurn(ctx context.Context, key string, lease time.Duration, keep *fetchFlight, have Entry) (fetched, error) {
	for n := range cluster.Candidates {
		from := g.pick(key, n)
		if from == nil && !g.hearsOfChanges([]string{key}) {
			break // what it loads past the cache is not for those who join the fetch later
		}
		if from == nil {
			e, err := g.load(ctx, key)
			return fetched{Entry: e, loaded: true}, err
		}
		e, err := g.askOne(ctx, from, from.Get, key, lease, keep, have)
		if !peer.Unreachable(err) {
			return e, err
		}
		if ctx.Err() != nil { // the caller's end counts, and not the peer's failure just before it (P3)
			return fetched{}, ctx.Err()
		}
	}
	return fetched{}, unreached{g.past.Turn()}
}

// askOne asks one peer for key, as askInTurn does.
func (g *Group) askOne(ctx context.Context, from Peer, get func(context.Context, Query) (Answer, error), key string, lease time.Duration, keep *fetchFlight, have Entry) (e fetched, err error) {
	inner, span := g.tracing.startFetch(ctx, from, key)
	returned := false
	defer func() { span.over(returned, err) }()
	asked := clock.Now()
	limited, cancel := context.WithTimeout(inner, g.answerTime)
	defer cancel()
	ans, err := get(limited, g.query(inner, key, lease, have))
	returned = true
	if err != nil && limited.Err() != nil && ctx.Err() == nil && !peer.Unreachable(err) {
		err = &peer.UnansweredError{Peer: from.Name(), Within: g.answerTime}
	}
	e, err = g.answered(from, key, have, asked, ans, err)
	if keep != nil && (err == nil || e.Missing) {
		g.keepCopy(key, e, asked, have, keep)
	}
	return e, err
}

// answered makes an entry of a peer's answer to what it was asked at that instant.
// The time that the answer was under way is part of its age: what it has left is
// counted from before it was asked for (P7).
func (g *Group) answered(from Peer, key string, have Entry, asked clock.Instant, ans Answer, err error) (fetched, error) {
	g.countAnswer(from, key, asked, err)
	e := fetched{unshared: !ans.Noted && g.planted != failpoint.UnleasedJoined}
	switch {
	case err != nil && ans.TTL > 0 && errors.Is(err, ErrNotFound):
		e.Entry = g.missing(err)
	case err != nil:
		return e, err
	case len(ans.Value) > g.maxValue:
		return fetched{}, fmt.Errorf("%w: peer %s answered %d bytes, want at most %d", ErrValueSize, from.Name(), len(ans.Value), g.maxValue)
	case ans.Unchanged:
		e.View = have.View
	default:
		e.View = viewOfOwn(ans.Value)
	}
	e.Expires = clock.Expiry(asked, ans.TTL)
	return e, err
}

// keepCopy offers what a peer answered to the hot cache.
func (g *Group) keepCopy(key string, e fetched, asked clock.Instant, have Entry, f *fetchFlight) {
	if !e.unshared && !g.misplaced() {
		g.addCopy(key, e.Entry, asked, have, f)
	}
}

// countAnswer counts and logs the result of asking a peer for a key.
func (f *fetcher) countAnswer(from Peer, key string, asked clock.Instant, err error) {
	level := slog.LevelDebug
	switch {
	case err == nil:
		f.counts.peerLoads.Add(1)
	case peer.Unreachable(err), peer.IsUnanswered(err):
		f.counts.peerErrors.Add(1)
		if !peer.Misconfigured(err) { // which is a warning of the pool
			level = f.journal.failureLevel()
		}
		if m, ok := from.(interface{ ObserveRefusal(error) }); ok && errors.Is(err, peer.ErrUnauthorized) {
			m.ObserveRefusal(err)
		}
	}
	if f.journal.logs(level) {
		what := "asked peer"
		switch {
		case level == slog.LevelDebug:
		case peer.IsUnanswered(err): // it may still load the key
			what = "a peer did not answer for a key in time; no other one is asked"
		default:
			what = "a peer did not answer for a key; it goes to the next one"
		}
		f.journal.say(level, what, key, slog.String("peer", from.Name()), took(asked), problem(err))
	}
}

// starterOf returns the Starter of a peer, which needs no goroutine for each request, or nil.
func starterOf(p Peer) peer.Starter {
	if m, ok := p.(interface{ Starter() peer.Starter }); ok {
		return m.Starter()
	}
	return nil
}

// errNotAsked says that a question was not sent. errUrged says that it was withdrawn, because a load
// with a slot waits for the caller by now: the owner must be asked for a load that takes no slot.
var (
	errNotAsked = errors.New("the owner cannot be asked on its link now")
	errUrged    = errors.New("the load must not wait for a slot")
)

// notAsked ends the span of some keys for those that were not asked for: all but the first n.
func (s *span) notAsked(n, keys int) {
	var err error
	if n == 0 {
		err = errNotAsked
	}
	s.ended(keys-n, err)
}

// fetchRequest is a request to an owner, and the flights that its answers end.
type fetchRequest struct {
	peer.Request
	of      *Group
	ctx     context.Context // of the caller who asked; its values count, not its end
	owner   Peer
	asked   clock.Instant
	have    Entry // if there is one key: the copy that is there
	worth   bool  // the keys are worth copies
	flights []*fetchFlight
	lease   time.Duration // that is asked for
	many    *many         // nil if there is one key
	span    *span         // of the keys that are asked for on the link; may be nil
}

// many is the part of a request for many keys. The owner must be asked for the keys of rest
// one by one, each by a goroutine that waits for the answer: there are mostAtOnce of them,
// however many keys there are.
type many struct {
	haves []Entry // the copies that are there of all keys, or nil

	mu      sync.Mutex
	rest    []single // guarded by mu
	workers int      // guarded by mu
}

// single is a key, by its place, that is asked for alone.
type single struct {
	i     int
	plain bool // the owner has said that the value takes the plain way
	// crowded: there is no room on the link. Where nobody waits for the key any more, it
	// does not wait for room either.
	crowded bool
}

// start makes the flights end. It asks the owner on its link and, where that is not possible,
// in goroutines.
func (r *fetchRequest) start() {
	n, crowded := 0, false
	p := starterOf(r.owner)
	switch {
	case p == nil || len(r.Keys) == 0:
	case !r.of.tracing.mayStart(p):
		crowded = p.Full()
	default:
		n, crowded = r.send(p)
	}
	for i := n; i < len(r.Keys); i++ {
		r.goOn(single{i: i, crowded: crowded})
	}
}

// send asks the owner on its link for the first n keys, as many as it can now.
func (r *fetchRequest) send(p peer.Starter) (n int, crowded bool) {
	ctx, span := r.of.tracing.startFetch(r.ctx, r.owner, r.Keys...)
	span.expect(len(r.Keys))
	r.span = span
	r.Query, r.Waiter, r.asked = r.of.query(ctx, "", r.lease, r.have), r, clock.Now()
	if r.many != nil {
		for _, have := range r.many.haves {
			r.Digests = append(r.Digests, digestOf(have))
		}
	}
	keys := len(r.Keys)
	n, sent, crowded := p.Start(&r.Request)
	span.notAsked(n, keys)
	if n == 1 && keys == 1 && r.of.fetches.CancelAbandoned {
		r.of.fetches.OnAbandon(r.flights[0], func() {
			if sent.Cancel() {
				span.ended(1, context.Canceled)
				r.of.fetches.End(r.flights[0], fetched{}, context.Canceled)
			}
		})
	}
	return n, crowded
}

// Answer implements peer.Waiter.
func (r *fetchRequest) Answer(i int, ans Answer, err error) {
	if err == peer.ErrLarge {
		r.span.ended(1, nil)
		r.goOn(single{i: i, plain: true})
		return
	}
	e, err := r.of.answered(r.owner, r.Keys[i], r.haveOf(i), r.asked, ans, err)
	r.span.ended(1, err)
	switch {
	case peer.Unreachable(err):
		r.goOn(single{i: i})
	case err == nil && r.of.onEvict != nil:
		// The user's function may take its time with a value that leaves: it must not
		// run on the goroutine that reads the link.
		go r.end(i, e, nil)
	default:
		r.end(i, e, err)
	}
}

// haveOf returns the copy that is there of the i-th key.
func (r *fetchRequest) haveOf(i int) Entry {
	if r.many != nil && r.many.haves != nil {
		return r.many.haves[i]
	}
	return r.have
}

func (r *fetchRequest) end(i int, e fetched, err error) {
	// The flight ends last, and also if a Cache of the user's panics: that must neither end
	// the goroutine that reads the link nor keep callers waiting.
	defer func() {
		if p := recover(); p != nil {
			r.of.panicked("the cache", r.Keys[i], p)
		}
		r.of.fetches.End(r.flights[i], e, err)
	}()
	if (err == nil || e.Missing) && r.worth {
		r.of.keepCopy(r.Keys[i], e, r.asked, r.haveOf(i), r.flights[i])
	}
}

// goOn asks for a key alone, in a goroutine.
func (r *fetchRequest) goOn(s single) {
	if r.many == nil {
		go r.one(s)
		return
	}
	r.many.mu.Lock()
	defer r.many.mu.Unlock()
	r.many.rest = append(r.many.rest, s)
	if r.many.workers < mostAtOnce {
		r.many.workers++
		go r.work()
	}
}

// work asks for the keys of the rest, one after the other.
func (r *fetchRequest) work() {
	over := false
	defer func() {
		if !over { // a Peer has ended the goroutine: another goes on
			go r.work()
		}
	}()
	for {
		r.many.mu.Lock()
		if over = len(r.many.rest) == 0; over {
			r.many.workers--
			r.many.mu.Unlock()
			return
		}
		s := r.many.rest[0]
		r.many.rest = r.many.rest[1:]
		r.many.mu.Unlock()
		r.one(s)
	}
}

// one asks for a key alone, and ends its flight with the result.
func (r *fetchRequest) one(s single) {
	g, key := r.of, r.Keys[s.i]
	g.fetches.Run(r.ctx, r.flights[s.i], s.crowded || g.fetches.CancelAbandoned, func(ctx context.Context, keep *fetchFlight) (fetched, error) {
		if !r.worth {
			keep = nil
		}
		if p := starterOf(r.owner); p != nil && s.plain {
			get := func(ctx context.Context, q Query) (Answer, error) { return p.GetLarge(ctx, &q) }
			if e, err := g.askOne(ctx, r.owner, get, key, r.lease, keep, r.haveOf(s.i)); !peer.Unreachable(err) {
				return e, err
			}
			if ctx.Err() != nil {
				return fetched{}, ctx.Err()
			}
		}
		return g.askInTurn(ctx, key, r.lease, keep, r.haveOf(s.i))
	})
}
