package peercache

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// An Event is something that a pool or one of its groups has logged at level info or above: a
// breaker has opened, a Remove is incomplete, a request was refused. It is kept whether or not
// there is a logger. See Pool.Events.
type Event struct {
	Seq     uint64    // grows with each event of the pool, by one
	Time    time.Time // of the last time
	First   time.Time // of the first one; it is Time if Times is 1
	Times   int       // how often it has happened, at least 1
	Level   slog.Level
	Message string
	Attrs   []slog.Attr // of the last time; their values are text
}

const (
	mostEvents     = 100 // that a pool keeps
	mostEventAttrs = 12
	mostEventText  = 300 // bytes of a message and of the value of an attribute
	mostEventName  = 60  // bytes of the name of an attribute
)

// The same event is counted, and not kept again, if it is among the last few and is not old: while
// a peer is away, there is one a second for it.
const (
	sameAmong  = 8
	sameWithin = time.Minute
)

// varying are the names of attributes that differ each time that the same happens. "suppressed" is
// that of internal/audit.
var varying = []string{"key", "err", "took", "address", "suppressed"}

// events keeps the last events of a pool. The zero value has none.
type events struct {
	mu       sync.Mutex
	last     []Event              // guarded by mu; at most mostEvents, in the order of Seq
	seq      uint64               // guarded by mu; of the last one
	watchers map[*func(Event)]any // guarded by mu
}

// Events returns the last 100 events of the pool and its groups, in the order in which they
// happened.
//
// What happens again within a minute takes no new place, but a new Seq and Time, and is counted in
// Times. It is the same if the message is, and all attributes but "key", "err", "took", "address" and
// "suppressed".
func (p *Pool) Events() []Event { return p.events.all() }

// OnEvent has f called for each new event, until stop is called. f may be called concurrently, and
// with locks of the pool held: it must return at once, and not use the pool or its groups. Events
// that come while stop runs may still be told.
func (p *Pool) OnEvent(f func(Event)) (stop func()) { return p.events.watch(f) }

func (e *events) all() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.last)
}

func (e *events) watch(f func(Event)) (stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.watchers == nil {
		e.watchers = make(map[*func(Event)]any)
	}
	e.watchers[&f] = nil
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.watchers, &f)
	}
}

// add keeps an event, and tells the watchers of it.
func (e *events) add(event Event) {
	e.mu.Lock()
	event = e.keep(event)
	watchers := make([]func(Event), 0, len(e.watchers))
	for f := range e.watchers {
		watchers = append(watchers, *f)
	}
	e.mu.Unlock()
	for _, f := range watchers {
		_ = orError("a watcher of events", func() error { f(event); return nil }) // there is nobody to tell
	}
}

// keep adds event to last, and returns it as it stands there. The caller holds e.mu.
func (e *events) keep(event Event) Event {
	e.seq++
	event.Seq, event.First, event.Times = e.seq, event.Time, 1
	for i := len(e.last) - 1; i >= max(0, len(e.last)-sameAmong); i-- {
		if before := &e.last[i]; before.sameAs(&event) && event.Time.Sub(before.Time) < sameWithin {
			event.First, event.Times = before.First, before.Times+1
			e.last = slices.Delete(e.last, i, i+1)
			break
		}
	}
	if len(e.last) == mostEvents {
		e.last = slices.Delete(e.last, 0, 1)
	}
	e.last = append(e.last, event)
	return event
}

// sameAs reports whether the two are the same thing at different times.
func (e *Event) sameAs(o *Event) bool {
	return e.Level == o.Level && e.Message == o.Message && slices.EqualFunc(e.lasting(), o.lasting(), slog.Attr.Equal)
}

// lasting returns the attributes that are the same each time.
func (e *Event) lasting() []slog.Attr {
	return slices.DeleteFunc(slices.Clone(e.Attrs), func(a slog.Attr) bool { return slices.Contains(varying, a.Key) })
}

// logger returns a logger that passes all on to l, and keeps what is of level info or above. l may be
// nil.
func (e *events) logger(l *slog.Logger) *slog.Logger {
	var next slog.Handler = slog.DiscardHandler
	if l != nil {
		next = l.Handler()
	}
	return slog.New(&eventHandler{to: e, next: next})
}

// eventHandler is a slog.Handler that adds to events what passes through it.
type eventHandler struct {
	to     *events
	next   slog.Handler
	attrs  []slog.Attr // of WithAttrs, as those of an Event
	prefix string      // of WithGroup, before the names of further attributes
}

// Enabled implements slog.Handler.
func (h *eventHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		attrs := slices.Clone(h.attrs)
		r.Attrs(func(a slog.Attr) bool {
			attrs = appendEventAttr(attrs, h.prefix, a)
			return len(attrs) < mostEventAttrs
		})
		h.to.add(Event{Time: r.Time, Level: r.Level, Message: cut(r.Message, mostEventText), Attrs: attrs})
	}
	if h.next.Enabled(ctx, r.Level) {
		return h.next.Handle(ctx, r)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.next, with.attrs = h.next.WithAttrs(attrs), slices.Clone(h.attrs)
	for _, a := range attrs {
		with.attrs = appendEventAttr(with.attrs, h.prefix, a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.next = h.next.WithGroup(name)
	if name != "" {
		with.prefix = cut(h.prefix+name+".", mostEventName)
	}
	return &with
}

// appendEventAttr appends an attribute as an Event has it, with those of a group one by one.
func appendEventAttr(attrs []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	value := resolved(a.Value)
	switch {
	case len(attrs) >= mostEventAttrs, a.Equal(slog.Attr{}):
		return attrs
	case value.Kind() == slog.KindGroup:
		if a.Key != "" {
			prefix = cut(prefix+a.Key+".", mostEventName)
		}
		for _, inner := range value.Group() {
			attrs = appendEventAttr(attrs, prefix, inner)
		}
		return attrs
	}
	return append(attrs, slog.String(cut(prefix+a.Key, mostEventName), cut(textOf(value), mostEventText)))
}

// resolved returns what a value stands for. One whose method panics stands for a text that says so.
func resolved(v slog.Value) (is slog.Value) {
	defer func() {
		if recover() != nil {
			is = slog.StringValue("(its LogValue panicked)")
		}
	}()
	return v.Resolve()
}

// textOf returns the text of a value. Its method may be the user's, as that of an error is.
func textOf(v slog.Value) (text string) {
	defer func() {
		if recover() != nil {
			text = "(its text panicked)"
		}
	}()
	return v.String()
}

// cut returns a copy of the first bytes of text, at most so many, that are valid UTF-8, in memory of
// its own.
func cut(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(strings.Clone(text), "�")
	}
	most -= len("…")
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.ToValidUTF8(strings.Clone(text[:most]), "�") + "…"
}
