package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache"
)

// rules are where the promises leave a choice of how hard to look.
type rules struct {
	// views counts also what a Get sees of a load that ran outside of the view
	// of the one who called Remove, or of a Set that may be kept there. Two processes
	// whose views differ may each know a peer that the other does not.
	views bool
	// sets counts also what a Set that failed, or whose caller died, does later
	// than its call. Without it such a Set may come into force at any time, as a
	// write that a database did not confirm.
	sets bool
}

// violation is a promise that a history breaks.
type violation struct {
	promise string
	key     string
	at      moment
	text    string
}

func (v violation) String() string {
	return fmt.Sprintf("%s, key %q, at %v: %s", v.promise, v.key, v.at, v.text)
}

// checker looks at a history.
type checker struct {
	*scenario
	*history
	rules
	violations []violation
}

// check returns what h breaks, in the order in which it happened.
func check(s *scenario, h *history, r rules) []violation {
	c := &checker{scenario: s, history: h, rules: r}
	for _, r := range h.reads {
		c.checkRead(r)
	}
	for _, i := range h.invalidations {
		c.checkInvalidation(i)
	}
	c.checkOneLoad()
	if h.gatewaysKept > 0 {
		c.broken("ownership", c.keys[0], h.now(), "processes that own nothing kept or handed over %d values", h.gatewaysKept)
	}
	slices.SortStableFunc(c.violations, func(a, b violation) int { return a.at.n - b.at.n })
	return c.violations
}

func (c *checker) broken(promise, key string, at moment, format string, args ...any) {
	c.violations = append(c.violations, violation{promise, key, at, fmt.Sprintf(format, args...)})
}

func (c *checker) checkRead(r *read) {
	switch {
	case r.who.died.before(r.end):
		return // it told nobody
	case c.bound.before(r.end) && r.begin.before(c.bound):
		c.broken("P3", r.key, c.bound, "the %v has not ended, %v after the last fault", r, c.bound.at-c.heal)
		return
	case r.patience > 0 && r.end.at > r.begin.at+r.patience:
		c.broken("P3", r.key, r.end, "the %v ended %v after its context", r, r.end.at-r.begin.at-r.patience)
	}
	s := c.sourceOf(r)
	if s != nil {
		c.checkFresh(r, s)
	}
	for _, i := range c.invalidations {
		if i.concerns(r.key) && c.binds(i, r) {
			c.checkRemoved(i, r, s)
		}
	}
	newest := s != nil && s.version == c.versions[r.key] || s == nil && c.gone[r.key] && errors.Is(r.err, peercache.ErrNotFound)
	if r.final && !newest {
		c.broken("converges", r.key, r.end, "all is well again, but %v reads %s and not version %d", r.who, r.answer(), c.versions[r.key])
	}
}

// sourceOf returns where what r returned comes from: nil, if it is an error that
// does not say so. Everything that is returned must be what some source made, or
// else the end of r's own context (P6).
func (c *checker) sourceOf(r *read) *source {
	text := r.value
	if r.err != nil {
		text = r.err.Error()
	}
	id, ok := sourceIn(text)
	if !ok || id < 1 || id > len(c.sources) {
		patience := r.patience > 0 && errors.Is(r.err, context.DeadlineExceeded) && r.end.at >= r.begin.at+r.patience
		// A load may wait for peers that hang, and have no time left.
		patience = patience || errors.Is(r.err, context.DeadlineExceeded) && r.end.at >= loadTimeout && !c.calm(r.begin)
		// Nor is a peer told the text of an error by one that does not know it yet.
		remote, _ := errors.AsType[*peercache.RemoteError](r.err)
		unknown := remote != nil && strings.Contains(remote.Message, "for peers of the view") && !c.calm(r.begin)
		if !patience && !unknown && !errors.Is(r.err, peercache.ErrNotFound) {
			c.broken("P6", r.key, r.end, "the %v returned what nobody made: %s", r, r.answer())
		}
		return nil
	}
	s := c.sources[id-1]
	want := hasFound
	switch {
	case errors.Is(r.err, peercache.ErrNotFound):
		want = hasFoundNone
	case r.err != nil:
		want = hasFailed
	}
	switch {
	case s.key != r.key, !s.set && !s.end.before(r.end), s.set && r.err != nil, !s.set && s.result != want,
		r.err == nil && r.value != string(valueOf(s, c.largest)):
		c.broken("values", r.key, r.end, "the %v returned %s, which is not what %v made: %v", r, r.answer(), s, s.result)
		return nil
	}
	return s
}

// checkFresh is P7: a Get gets nothing whose time was over before it began. The
// time counts from the end of the load, wherever the value has been since.
func (c *checker) checkFresh(r *read, s *source) {
	ttl, stale := s.ttl, c.freshness.staleWhileRevalidate
	if ttl == 0 {
		ttl = c.freshness.ttl
	}
	switch {
	case s.result == hasFoundNone:
		ttl, stale = c.freshness.negativeTTL, 0
	case s.result == hasFound && c.failedSince(s, r):
		stale = max(stale, c.freshness.staleIfError)
	}
	if ttl == 0 || s.end.n == 0 || s.result == hasFailed {
		return
	}
	if s.set && s.who.died.before(s.end) {
		return // a process that has left waits for nobody: the owner may get the value later, and keeps it from then on
	}
	over := s.end.at + time.Duration(float64(ttl)*(1+c.freshness.jitter)) + stale
	// What a flight finds is for all who joined it until it was over. With a value a
	// peer says how old it is; that there is none is on its way as long as it takes, and
	// the keys of a batch are there when the last of them is.
	if s.result == hasFoundNone {
		over += longestLoad
	}
	if c.batches {
		over += 2 * longestLoad
	}
	if r.begin.at > over {
		c.broken("P7", r.key, r.end, "the %v returned a value that was over %v before, of %v, ttl %v, stale %v",
			r, r.begin.at-over, s, ttl, stale)
	}
}

// failedSince reports whether a load of s's key failed between s and the end of r.
func (c *checker) failedSince(s *source, r *read) bool {
	return slices.ContainsFunc(c.sources, func(f *source) bool {
		return f.key == s.key && f.result == hasFailed && s.end.before(f.end) && f.begin.before(r.end)
	})
}

// binds reports whether r must see what i has done.
//
// It need not at a process that has no list yet. Such a one is alone: it is in no view but its
// own, knows nobody whom it could tell, and hears of no change. The scenario starts one on a
// host that the newest list lacks. A list that is older has its address, from the process
// before it, and so has i.view, but not the process: who has that list cannot know of it
// before they have spoken, and a change goes to the candidates of its keys alone. A user
// should not ask such a process (HTTPPool.Set), and what it changes nobody hears of either. What it
// loaded counts all the same where others get it, and when it has a list.
func (c *checker) binds(i *invalidation, r *read) bool {
	if !i.end.before(r.begin) || i.who.died.before(i.end) || !slices.Contains(i.view, r.who.url) {
		return false
	}
	if !i.who.listed.before(i.begin) || !r.who.listed.before(r.begin) {
		return false
	}
	if i.err != nil && !i.named {
		return false // see checkInvalidation
	}
	for _, until := range i.pending {
		if until == 0 || r.begin.at <= until {
			return false // the peer may serve the old value, to its peers as well
		}
	}
	return true
}

// checkRemoved is P8: r must see a load that began after the call of i, or what a
// Set that had not ended by then has set.
func (c *checker) checkRemoved(i *invalidation, r *read, s *source) {
	switch {
	case s == nil && errors.Is(r.err, peercache.ErrNotFound):
		if remote, ok := errors.AsType[*peercache.RemoteError](r.err); ok && !c.views && !slices.Contains(i.view, remote.Peer) {
			return // the one who said so ran outside of the view, as below
		}
		if !slices.ContainsFunc(c.sources, func(s *source) bool {
			return s.key == r.key && s.result == hasFoundNone && i.begin.before(s.begin) && s.end.before(r.end)
		}) {
			c.broken("P8", r.key, r.end, "the %v was told that there is no such key, but no load said so since the %v", r, i)
		}
	case s == nil: // its own context
	case s.set && (i.begin.before(s.end) || !c.sets && (s.result == hasFailed || s.who.died.before(s.end))):
	case !s.set && i.begin.before(s.begin):
	case !c.views && !slices.Contains(i.view, s.who.url):
	case !c.views && (s.set || c.leveled()) && c.outsider(i):
	case !s.set && r.begin.before(s.end) && c.announcing(s):
	default:
		what := "which returned nil"
		if i.err != nil {
			what = fmt.Sprintf("whose error named %v", i.pending)
		}
		c.broken("P8", r.key, r.end, "the %v returned %s, of %v; but it began after the %v, %s", r, r.answer(), s, i, what)
	}
}

// announcing reports whether a load began at a process that may still have been telling its peers of
// a view. What it finds is not kept there, but who asks while it runs gets it.
func (c *checker) announcing(s *source) bool {
	return slices.ContainsFunc(s.who.viewed, func(m moment) bool {
		return m.before(s.begin) && s.begin.at < m.at+longestAnnouncing*c.detect
	})
}

// longestAnnouncing is how many detection times a process takes to tell its peers of a view.
const longestAnnouncing = 5

// outsider reports whether a process lived on outside of the view in which i was done: it
// may keep what another one has set, or has loaded and put into the second level, and bring it back.
func (c *checker) outsider(i *invalidation) bool {
	return slices.ContainsFunc(c.reads, func(r *read) bool {
		return r.begin.before(i.end) && !r.who.died.before(i.end) && !slices.Contains(i.view, r.who.url)
	})
}

// checkInvalidation looks at what a call said, not at what it did.
func (c *checker) checkInvalidation(i *invalidation) {
	key := i.firstKey(c.keys)
	switch {
	case i.who.died.before(i.end):
	case c.bound.before(i.end) && i.begin.before(c.bound):
		c.broken("P3", key, c.bound, "the %v has not ended, %v after the last fault", i, c.bound.at-c.heal)
	case i.err == nil:
	case i.final:
		c.broken("converges", key, i.end, "all is well again, but the %v failed: %v", i, i.err)
	case c.leveled() && strings.Contains(i.err.Error(), "the second level may still have old values"):
	case !i.named:
		c.broken("P8", key, i.end, "the %v failed and names no peers: %v", i, i.err)
	case c.calm(i.begin) && c.calm(i.end) && (i.patience == 0 || i.patience > time.Second):
		c.broken("P8", key, i.end, "nothing disturbed the %v, but it failed: %v", i, i.err)
	}
}

// firstKey returns one of the keys that i concerns.
func (i *invalidation) firstKey(keys []string) string {
	if i.keys != nil {
		return i.keys[0]
	}
	return keys[0]
}

// calm reports whether at that moment all peers shared a view and reached each
// other, and had for long. A network that loses segments is never calm, nor is one
// in which a connection takes about as long to make as it takes to give up a peer.
func (c *checker) calm(m moment) bool {
	return c.link.Loss == 0 && 6*c.link.MaxLatency <= c.detect && (m.at < c.storm || m.at > c.settled)
}

// checkOneLoad is P1: in calm times no load of a key begins while another one
// runs, unless an invalidation of the key came between, or may have.
func (c *checker) checkOneLoad() {
	loads := make(map[string][]*source)
	for _, s := range c.sources {
		if !s.set {
			loads[s.key] = append(loads[s.key], s)
		}
	}
	for key, loads := range loads {
		for n, second := range loads {
			for _, first := range loads[:n] {
				overlap := second.begin.before(first.end)
				if overlap && c.calm(first.begin) && c.calm(second.begin) && !c.separated(first, second) {
					c.broken("P1", key, second.begin, "%v runs, and so does %v", first, second)
				}
			}
		}
	}
}

// separated reports whether an invalidation may have done its work between the
// beginnings of two loads. One that failed may do it some time later. Before a load of the origin begins that a source
// is, it may have asked the second level already.
func (c *checker) separated(first, second *source) bool {
	return slices.ContainsFunc(c.invalidations, func(i *invalidation) bool {
		over := first.begin.before(i.end)
		if c.leveled() {
			over = first.begin.at < i.end.at+2*slowest
		}
		if i.err != nil {
			over = first.begin.at < i.end.at+settleTime
		}
		return i.concerns(first.key) && over && i.begin.before(second.begin)
	})
}
