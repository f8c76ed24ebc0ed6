package peercache

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/singleflight"
)

// Result is what GetMulti found for one key.
type Result struct {
	View ByteView
	Err  error // as that of Get
}

// GetMulti returns one Result for each key, in the same order. What is cached
// here is answered at once; the rest is asked of its owners, of all of them at
// the same time, and of each in as few requests as it takes. Calls which overlap
// load each key once, as those of Get do. A key that fails does not fail the
// others. A key that is given twice is asked for once.
//
// Values of one call may share a piece of memory of at most 16 KiB, which is free
// when nobody holds any of them. Who keeps few of many should copy them
// (ByteView.ByteSlice).
func (g *Group) GetMulti(ctx context.Context, keys []string) []Result {
	m := multi{g: g, ctx: ctx, keys: keys, results: make([]Result, len(keys))}
	var twins twins
	twins.init(keys)
	misses := int64(0)
	var later due
	for i, key := range keys {
		r := &m.results[i]
		var ok bool
		if r.View, ok, r.Err = g.hit(ctx, key, &later); ok {
			continue
		}
		misses++
		if r.Err = g.checkKey(key); r.Err != nil {
			continue
		}
		if first := twins.first(i); first != i {
			m.again = append(m.again, [2]int{i, first})
			continue
		}
		owner := g.pick(key, 0)
		if g.lapsed() {
			owner = nil
		}
		m.add(i, partID{owner, owner != nil && g.worthACopy(key)})
	}
	g.caches.counts.misses.Add(misses)
	g.startDue(ctx, &later)
	if g.tracing != nil && len(m.parts) > 0 {
		m.runTraced()
	} else {
		m.run()
	}
	return m.results
}

// multi is a GetMulti, beyond what is cached here.
type multi struct {
	g       *Group
	ctx     context.Context
	keys    []string
	results []Result
	again   [][2]int // the places of keys that were given before, and where

	parts   []*part
	byOwner map[partID]*part // of parts; nil as long as there are few
	open    atomic.Int64     // parts that were asked and are not answered
	over    chan struct{}    // closed when open becomes 0
}

// part are the keys of one GetMulti that go one way.
type part struct {
	partID
	peer.Request // Keys, and what else the owner is asked
	of           *multi
	places       []int32 // of Keys, among all keys; inverted (^) once a key of a part that is alone is answered
	asked        clock.Instant
	span         *span // of a part that is alone; may be nil
	alone        bool  // it is asked without flights; written before there are answers

	// These are of a part that is alone, and guarded by mu.
	mu        sync.Mutex
	open      int     // keys that are not answered
	left      bool    // the caller waits no more: the results are its own
	shared    []int32 // places in Keys, to be asked for with flights
	gathering bool    // a goroutine is about to ask for those
}

// partID says which way a part goes: to a peer, or to the loader if that is nil.
type partID struct {
	owner Peer
	worth bool // the keys are worth copies
}

// add adds the i-th key to a part.
func (m *multi) add(i int, id partID) {
	p := m.part(id)
	p.Keys, p.places = append(p.Keys, m.keys[i]), append(p.places, int32(i))
}

// fewParts is up to how many parts are looked through for one.
const fewParts = 16

func (m *multi) part(id partID) *part {
	if m.byOwner != nil {
		if p := m.byOwner[id]; p != nil {
			return p
		}
	}
	for _, p := range m.parts[:min(len(m.parts), fewParts)] {
		if p.partID == id {
			return p
		}
	}
	size := len(m.keys) // as a rule there are few parts, and many keys
	if n := len(m.g.peers.Peers()); n > 1 {
		size = size/n + size/(2*n) + 1
	}
	p := &part{partID: id, of: m, places: make([]int32, 0, size)}
	p.Keys = make([]string, 0, size)
	if m.parts = append(m.parts, p); len(m.parts) > fewParts {
		if m.byOwner == nil {
			m.byOwner = make(map[partID]*part)
		}
		m.byOwner[id] = p
	}
	return p
}

// runTraced does what run does, inside of a span.
func (m *multi) runTraced() {
	var missed []string
	for _, p := range m.parts {
		missed = append(missed, p.Keys...)
	}
	var span *span
	m.ctx, span = m.g.tracing.start(m.ctx, spanOf(SpanMiss, missed...))
	returned := false
	defer func() { span.over(returned, m.failure()) }()
	m.run()
	returned = true
}

// failure returns the error of the span of m.
func (m *multi) failure() error {
	errs := make([]error, len(m.results))
	for i, r := range m.results {
		errs[i] = r.Err
	}
	return failure(errs)
}

// run gets what there is in the parts.
func (m *multi) run() {
	m.over = make(chan struct{})
	m.open.Store(1) // for run itself, until all parts are asked
	var slow []*part
	for _, p := range m.parts {
		if !p.ask() {
			slow = append(slow, p)
		}
	}
	var waiting sync.WaitGroup
	for i, p := range slow {
		if i == len(slow)-1 { // the last one needs no goroutine
			p.fill()
			break
		}
		waiting.Go(p.fill)
	}
	if m.open.Add(-1) > 0 {
		select {
		case <-m.over:
		case <-m.ctx.Done():
			for _, p := range m.parts {
				p.leave()
			}
		}
	}
	waiting.Wait()
	for _, twin := range m.again {
		m.results[twin[0]] = m.results[twin[1]]
	}
}

// fill gets the keys with a flight for each.
func (p *part) fill() {
	g, ctx := p.of.g, p.of.ctx
	got := func(i int, e Entry, err error) { p.of.results[p.places[i]] = g.result(p.Keys[i], e, err) }
	if p.owner == nil {
		g.loadAll(ctx, p.Keys, got)
	} else {
		g.fetchAll(ctx, p.owner, p.Keys, p.worth, got)
	}
}

// result is what GetMulti returns of a key.
func (g *Group) result(key string, e Entry, err error) Result {
	if err != nil {
		return Result{Err: g.keyError(key, err)}
	}
	return Result{View: e.View}
}

// ask asks the owner for keys that are not worth copies, on its link and for no lease, and reports
// whether it did. It does not wait.
//
// What the owner answers is for this caller alone: see askAlone. A load may have to be told that
// somebody waits for it who must not (see within): it asks with flights.
func (p *part) ask() bool {
	m := p.of
	if p.owner == nil || p.worth || within(m.ctx) != nil || m.g.planted == failpoint.UnleasedJoined {
		return false
	}
	starter := starterOf(p.owner)
	if starter == nil || m.ctx.Err() != nil || !m.g.tracing.mayStart(starter) {
		return false
	}
	ctx, span := m.g.tracing.startFetch(m.ctx, p.owner, p.Keys...)
	span.expect(len(p.Keys))
	p.span = span
	p.Query, p.Waiter, p.asked = m.g.query(ctx, "", 0, Entry{}), p, clock.Now()
	p.alone, p.open = true, len(p.Keys)
	m.open.Add(1)
	n, _, _ := starter.Start(&p.Request)
	span.notAsked(n, len(p.Keys))
	if n == 0 {
		m.open.Add(-1)
		p.alone = false
		return false
	}
	if n < len(p.Keys) {
		p.mu.Lock()
		for i := n; i < len(p.Keys); i++ {
			p.share(i)
		}
		p.mu.Unlock()
	}
	return true
}

// Answer implements peer.Waiter.
func (p *part) Answer(i int, ans Answer, err error) {
	var e fetched
	if err != peer.ErrLarge {
		e, err = p.of.g.answered(p.owner, p.Keys[i], Entry{}, p.asked, ans, err)
	}
	p.span.ended(1, err)
	p.mu.Lock()
	if err == peer.ErrLarge || peer.Unreachable(err) {
		p.share(i)
		p.mu.Unlock()
		return
	}
	p.set(i, e.Entry, err)
}

// set sets the result of a key that has none, and unlocks p.mu. The caller holds it.
func (p *part) set(i int, e Entry, err error) {
	m := p.of
	if !p.left {
		m.results[p.places[i]] = m.g.result(p.Keys[i], e, err)
	}
	p.places[i] = ^p.places[i] // answered
	p.open--
	last := p.open == 0
	p.mu.Unlock()
	if last && m.open.Add(-1) == 0 {
		close(m.over)
	}
}

// share asks for a key with a flight. The caller holds p.mu.
func (p *part) share(i int) {
	p.shared = append(p.shared, int32(i))
	if !p.gathering {
		p.gathering = true
		go p.work()
	}
}

// work asks for the keys that have to be asked for with flights: if one has, others follow. It does
// not wait for those of an earlier work. Another caller's flights for these keys could end meanwhile,
// and the values would be asked for twice.
func (p *part) work() {
	runtime.Gosched()
	p.mu.Lock()
	places := p.shared
	p.shared, p.gathering = nil, false
	p.mu.Unlock()
	keys := make([]string, len(places))
	for i, place := range places {
		keys[i] = p.Keys[place]
	}
	p.of.g.fetchAll(p.of.ctx, p.owner, keys, false, func(i int, e Entry, err error) {
		p.mu.Lock()
		p.set(int(places[i]), e, err)
	})
	for _, place := range places { // that a Peer did not return for
		if p.mu.Lock(); p.places[place] >= 0 {
			p.set(int(place), Entry{}, singleflight.ErrGoexit)
			continue
		}
		p.mu.Unlock()
	}
}

// leave gives those keys an error that are not answered, because the context has ended. From then on
// nothing is written to the results.
func (p *part) leave() {
	if !p.alone {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left = true; p.open == 0 {
		return
	}
	for i, place := range p.places {
		if place >= 0 {
			p.of.results[place] = p.of.g.result(p.Keys[i], Entry{}, p.of.ctx.Err())
		}
	}
}

// twins finds the keys of one call that were given before. The zero value is not ready: see init.
type twins struct {
	keys  []string
	slots []int32 // by hash, places in keys plus one; 0 is free
	few   [32]int32
}

var twinSeed = maphash.MakeSeed()

func (t *twins) init(keys []string) {
	size := len(t.few)
	for size < 2*len(keys) {
		size *= 2
	}
	t.keys = keys
	if t.slots = t.few[:]; size > len(t.few) {
		t.slots = make([]int32, size)
	}
}

// first returns the place at which it was asked for the i-th key first, which may be i.
func (t *twins) first(i int) int {
	for at := maphash.String(twinSeed, t.keys[i]); ; at++ {
		slot := &t.slots[at&uint64(len(t.slots)-1)]
		switch {
		case *slot == 0:
			*slot = int32(i) + 1
			return i
		case t.keys[*slot-1] == t.keys[i]:
			return int(*slot) - 1
		}
	}
}
