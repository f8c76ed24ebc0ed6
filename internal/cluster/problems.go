package cluster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// problems are what is wrong with the configuration at present. Each is warned of when it is
// found, and again after warnAgain if it is found again.
type problems struct {
	self  string // the name of this process
	log   *slog.Logger
	count atomic.Int64 // len(all), to be read without mu

	mu     sync.Mutex // guards the fields below
	all    map[problemKey]*peer.ConfigError
	warned map[problemKey]clock.Instant // when each was warned of last
	next   chan struct{}                // closed, and replaced, when all changes
}

type problemKey struct {
	peer string
	what string // the name of a ConfigProblem, or the text of a degradation
}

// warnAgain is the time until the same is warned of again.
const warnAgain = 10 * time.Minute

func newProblems(self string, log *slog.Logger) problems {
	return problems{
		self:   self,
		log:    log,
		all:    make(map[problemKey]*peer.ConfigError),
		warned: make(map[problemKey]clock.Instant),
		next:   make(chan struct{}),
	}
}

// found records a problem, or another error of the same problem.
func (p *problems) found(name string, kind peer.ConfigProblem, err error) {
	key := problemKey{name, kind.String()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all[key] == nil {
		defer p.changed()
	}
	p.all[key] = &peer.ConfigError{Peer: name, Problem: kind, Err: err}
	p.warn(key, "the configuration is wrong", err)
}

// degraded warns of what works, but not as it should. Ready does not wait for it.
func (p *problems) degraded(name, what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.warn(problemKey{name, what}, what, err)
}

// warn warns, unless it has warned of the same lately. The caller holds p.mu.
func (p *problems) warn(key problemKey, what string, err error) {
	now, last := clock.Now(), p.warned[key]
	if last != 0 && now < last+clock.Instant(warnAgain) {
		return // also if the text is another one: it may have the number of a port in it
	}
	p.warned[key] = now
	// In a goroutine, because a log may take long, and callers hold locks.
	go p.log.LogAttrs(context.Background(), slog.LevelWarn, what, slog.String("peer", key.peer), slog.Any("err", err))
}

// solved removes the problems of these kinds that a peer has.
func (p *problems) solved(name string, kinds ...peer.ConfigProblem) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.all)
	for _, kind := range kinds {
		delete(p.all, problemKey{name, kind.String()})
	}
	if len(p.all) < before {
		p.changed()
	}
}

// forget removes the problems of all peers but those that are kept.
func (p *problems) forget(kept func(name string) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := func(key problemKey) bool { return !kept(key.peer) }
	maps.DeleteFunc(p.all, func(key problemKey, _ *peer.ConfigError) bool { return gone(key) })
	maps.DeleteFunc(p.warned, func(key problemKey, _ clock.Instant) bool { return gone(key) })
	p.changed()
}

// changed closes next, because all has changed. The caller holds p.mu.
func (p *problems) changed() {
	p.count.Store(int64(len(p.all)))
	close(p.next)
	p.next = make(chan struct{})
}

// of returns the problem of a kind that a peer has, or nil. A kind of 0 is the first of any
// kind.
func (p *problems) of(name string, kind peer.ConfigProblem) *peer.ConfigError {
	if p.count.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if kind != 0 {
		return p.all[problemKey{name, kind.String()}]
	}
	for kind := peer.WrongProcess; kind <= peer.Unauthorized; kind++ {
		if e := p.all[problemKey{name, kind.String()}]; e != nil {
			return e
		}
	}
	return nil
}

// lasting returns all problems because of which this process is not ready, as one error; nil,
// if there is none. The channel is closed when that has changed. A missing group is no such
// problem: in a deploy that brings a group, it is missing everywhere.
func (p *problems) lasting() (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all configErrors
	for _, e := range p.all {
		if e.Problem != peer.MissingGroup {
			all = append(all, e)
		}
	}
	if own := p.all[problemKey{p.self, peer.WrongProcess.String()}]; own != nil {
		all = configErrors{own} // what it sees of others is a consequence of that
	}
	if len(all) == 0 {
		return p.next, nil
	}
	slices.SortFunc(all, func(a, b *peer.ConfigError) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Problem, b.Problem))
	})
	return p.next, all
}

// configErrors are problems as one error. Its text has the first few.
type configErrors []*peer.ConfigError

func (e configErrors) Error() string {
	var texts []string
	for _, one := range e[:min(len(e), quote.MostNamed)] {
		texts = append(texts, one.Error())
	}
	if more := len(e) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return "the configuration is wrong: " + strings.Join(texts, "; ")
}

// Unwrap returns all problems.
func (e configErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, one := range e {
		errs[i] = one
	}
	return errs
}
