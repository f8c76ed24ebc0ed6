package peercache

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/singleflight"
)

// A Tracer records spans of what a group does: see WithTracer. The module tracing/otel has one for
// OpenTelemetry. Its methods are called concurrently, some of them where the answers of peers are
// read: they must not block.
type Tracer interface {
	// Start begins a span, which is inside of the one that ctx has. It returns ctx with the new
	// span, and what ends that. The latter is called once, by any goroutine. It may be nil, if
	// nothing is recorded.
	Start(ctx context.Context, s Span) (context.Context, func(SpanEnd))
	// Inject returns the span that ctx has as W3C Trace Context writes it, or nothing.
	Inject(ctx context.Context) (traceparent, tracestate string)
	// Extract returns ctx with the span that another process has injected. traceparent is a valid
	// one of version 00. tracestate, which may be empty, has at most 512 bytes of printable ASCII.
	Extract(ctx context.Context, traceparent, tracestate string) context.Context
}

// SpanKind says what a span is about.
type SpanKind string

// The kinds of spans. There is none for a hit.
const (
	SpanMiss   SpanKind = "miss"   // a Get or a GetMulti, of what is not cached here
	SpanFetch  SpanKind = "fetch"  // a question to a peer, until it answers
	SpanServe  SpanKind = "serve"  // at that peer: what it does to answer, if it has not cached the key
	SpanLoad   SpanKind = "load"   // a run of the getter
	SpanChange SpanKind = "change" // a Remove, a Set or a Clear
	SpanTell   SpanKind = "tell"   // telling one peer of a change
	SpanApply  SpanKind = "apply"  // at that peer: what it does then
)

// Span is what is known when a span begins.
type Span struct {
	Kind   SpanKind
	Group  string
	Key    string // if it is about one key
	Keys   int    // how many keys it is about; of a Clear, and what comes of it, 0
	Change string // "remove", "set" or "clear", if it is about a change
	Peer   string // who is asked or told, or, of SpanServe and SpanApply, who asks; may be empty
	// Background says that nobody waits: a value is loaded again, or a lease is renewed, because
	// of a hit. The context has the span in which that was, which may have ended.
	Background bool
}

// SpanEnd is what is known when a span ends.
type SpanEnd struct {
	Err error // of several keys the first; ErrNotFound is one only of a single key
	// Shared says that another caller had begun what the caller waited for, at least for one of
	// the keys. The spans of that are inside of the other one's.
	Shared bool
}

// WithTracer makes the group record spans of misses, fetches, loads and changes: SpanKind lists
// them. The getter's context has the span of the load, also with a WithContextCodec. Spans of other
// processes join one trace, if their groups have a Tracer too. A span that a process begins for a
// peer trusts what the peer says of the trace, such as whether it is sampled.
//
// If t panics, there is no span, and Stats.Panics counts it. By default, and with nil, nothing is
// recorded or sent.
func WithTracer(t Tracer) GroupOption {
	return func(g *Group) error {
		g.tracing = nil
		if t != nil {
			g.tracing = &tracing{tracer: t, journal: &g.journal}
		}
		return nil
	}
}

// tracing begins the spans of a group. A nil tracing begins none.
type tracing struct {
	tracer  Tracer
	journal *journal
}

// traced is a part of a group that begins spans.
type traced struct {
	tracing *tracing // nil without a WithTracer
}

// span is a span in progress, and the context that has it. A nil span is none.
type span struct {
	context.Context
	of     *tracing
	end    func(SpanEnd)         // may be nil
	shared atomic.Bool           // see SpanEnd
	failed atomic.Pointer[error] // the first error of several keys; nil: none
	open   atomic.Int64          // keys of which it waits for the end; see expect
}

// spanKey is that of the innermost span, in a context.
type spanKey struct{}

// Value implements context.Context.
func (s *span) Value(key any) any {
	if key == (spanKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// innermost returns the innermost span that ctx has, or nil.
func innermost(ctx context.Context) *span {
	s, _ := ctx.Value(spanKey{}).(*span)
	return s
}

// inBackground stands for a span in the context of what nobody waits for.
var inBackground = new(span)

// errNotReturned is the error of a span whose function has panicked or ended its goroutine.
var errNotReturned error = &singleflight.PanicError{Value: "or the end of the goroutine"}

// background returns ctx for what begins because of a hit: see outside.
func (g *Group) background(ctx context.Context) context.Context {
	ctx = outside(ctx)
	if g.tracing == nil {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, inBackground)
}

// start begins a span.
func (t *tracing) start(ctx context.Context, of Span) (context.Context, *span) {
	if t == nil {
		return ctx, nil
	}
	outer := innermost(ctx)
	of.Background = of.Background || outer == inBackground
	of.Group = t.journal.name
	ctx, end := t.call(ctx, of)
	if end == nil && outer == nil {
		return ctx, nil
	}
	s := &span{Context: ctx, of: t, end: end} // also without an end, because ctx is not in outer any more
	return s, s
}

func (t *tracing) call(ctx context.Context, of Span) (started context.Context, end func(SpanEnd)) {
	defer func() {
		t.guard("Start", recover())
		if started == nil {
			started = ctx
		}
	}()
	return t.tracer.Start(ctx, of)
}

// guard counts and logs a panic of the Tracer, if r is one.
func (t *tracing) guard(method string, r any) {
	if r != nil {
		t.journal.panicked(method+" of the Tracer", "", r)
	}
}

// inject returns the span of ctx as it travels, see peer.JoinTrace.
func (t *tracing) inject(ctx context.Context) (trace string) {
	if t == nil {
		return ""
	}
	defer func() { t.guard("Inject", recover()) }()
	return peer.JoinTrace(t.tracer.Inject(ctx))
}

// extract returns ctx with a span that came with a request. Whatever is no span is ignored.
func (t *tracing) extract(ctx context.Context, trace string) (extracted context.Context) {
	if t == nil {
		return ctx
	}
	parent, state := peer.SplitTrace(strings.Clone(trace)) // its memory may be the transport's
	if parent == "" {
		return ctx
	}
	defer func() {
		t.guard("Extract", recover())
		if extracted == nil {
			extracted = ctx
		}
	}()
	return t.tracer.Extract(ctx, parent, state)
}

// joined records that a caller has joined what another one had begun, unless first is true.
func (t *tracing) joined(ctx context.Context, first bool) {
	if t == nil || first {
		return
	}
	if s := innermost(ctx); s != nil && s != inBackground {
		s.shared.Store(true)
	}
}

// done ends s with err.
func (s *span) done(err error) {
	if s == nil || s.end == nil {
		return
	}
	if first := s.failed.Load(); first != nil {
		err = *first
	}
	defer func() { s.of.guard("the end of a span", recover()) }()
	s.end(SpanEnd{Err: err, Shared: s.shared.Load()})
}

// over ends s when a function ends: with err, if it has returned. It is deferred.
func (s *span) over(returned bool, err error) {
	if !returned {
		err = errNotReturned
	}
	s.done(err)
}

// expect makes s wait for the ends of n keys.
func (s *span) expect(n int) {
	if s != nil {
		s.open.Add(int64(n))
	}
}

// ended records that n keys have ended with err. The last one ends s.
func (s *span) ended(n int, err error) {
	if s == nil || n == 0 {
		return
	}
	s.fail(err)
	if s.open.Add(-int64(n)) == 0 {
		s.done(nil)
	}
}

// fail records the error of one of several keys.
func (s *span) fail(err error) {
	if s != nil && err != nil && err != peer.ErrLarge && !errors.Is(err, ErrNotFound) {
		s.failed.CompareAndSwap(nil, &err)
	}
}

// failure returns what SpanEnd has of the errors of several keys.
func failure(errs []error) error {
	for _, err := range errs {
		if err != nil && (len(errs) == 1 || !errors.Is(err, ErrNotFound)) {
			return err
		}
	}
	return nil
}

// spanOf returns what begins about some keys.
func spanOf(kind SpanKind, keys ...string) Span {
	s := Span{Kind: kind, Keys: len(keys)}
	if len(keys) == 1 {
		s.Key = keys[0]
	}
	return s
}

// startFetch begins the span of a question to a peer.
func (t *tracing) startFetch(ctx context.Context, to Peer, keys ...string) (context.Context, *span) {
	if t == nil {
		return ctx, nil
	}
	of := spanOf(SpanFetch, keys...)
	of.Peer = to.Name()
	return t.start(ctx, of)
}

// mayStart reports whether p.Start can ask now. Without a Tracer it does not matter: Start says so
// itself. But a span must have begun before.
func (t *tracing) mayStart(p peer.Starter) bool {
	if t == nil {
		return true
	}
	l, ok := p.(interface{ Linked() bool })
	return !ok || l.Linked()
}

// startServe begins the span of answering a peer.
func (t *tracing) startServe(ctx context.Context, q *Query, keys ...string) (context.Context, *span) {
	if t == nil {
		return ctx, nil
	}
	of := spanOf(SpanServe, keys...)
	of.Peer = q.From
	return t.start(t.extract(ctx, q.Trace), of)
}

// startLoad begins the span of a run of the getter. It returns the context that the getter gets, of
// that of the load.
func (t *tracing) startLoad(load *inLoad, c *contexts, keys ...string) (context.Context, *span) {
	ctx := c.forGetter(load)
	if t == nil {
		return ctx, nil
	}
	of := spanOf(SpanLoad, keys...)
	if c != nil { // ctx has no values of load
		of.Background = innermost(load) == inBackground
		ctx = t.extract(ctx, t.inject(load))
	}
	return t.start(ctx, of)
}

// startChange begins a span about a change, and makes c carry it.
func (t *tracing) startChange(ctx context.Context, kind SpanKind, c *Change, with string) (context.Context, *span) {
	if t == nil {
		return ctx, nil
	}
	of := spanOf(kind, c.Keys...)
	of.Peer, of.Change = with, "remove"
	switch {
	case c.All:
		of.Change = "clear"
	case c.Item != nil:
		of.Change = "set"
	}
	ctx, s := t.start(ctx, of)
	c.Trace = t.inject(ctx)
	return ctx, s
}
