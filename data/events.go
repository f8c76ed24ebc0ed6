package data

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/glob"
)

// EventKind is what has happened to a key. Kinds of a filter are joined by |.
type EventKind uint8

// The kinds of events.
const (
	EventWritten EventKind = 1 << iota // a key was made, or its value or its expiry changed
	EventExpired                       // a key's time to live is over; up to a quarter of a second late
	EventEvicted                       // a key was removed because there was no room; see WithEviction
	EventRemoved                       // a key was deleted or renamed, or its last element was taken

	allEvents = EventWritten | EventExpired | EventEvicted | EventRemoved
)

var eventNames = map[EventKind]string{EventWritten: "written", EventExpired: "expired", EventEvicted: "evicted", EventRemoved: "removed"}

func (k EventKind) String() string {
	if name, ok := eventNames[k]; ok {
		return name
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// ParseEventKind returns the EventKind of which a text is the String.
func ParseEventKind(text string) (EventKind, error) {
	for kind, name := range eventNames {
		if name == text {
			return kind, nil
		}
	}
	return 0, fmt.Errorf("data: there is no kind of events %q: want written, expired, evicted or removed", text)
}

// Event is something that has happened to a key.
type Event struct {
	Kind EventKind
	// Name is Redis' name of the event: set, lpush, expire, del, …; or flushdb, which is about all keys, and has none.
	Name string
	Key  string
}

// EventFilter says of which events one wants to hear. The zero EventFilter is all.
type EventFilter struct {
	// Keys is a pattern as KEYS has it: user:*. "" is all keys. An event about all keys fits each pattern.
	Keys string
	// Kinds is the kinds of events. 0 is all.
	Kinds EventKind
	// Buffer is how many events may wait to be received, 1024 if it is 0.
	Buffer int
}

const defaultEventBuffer = 1024

// Subscription gets events. It is made by Memory.Subscribe.
type Subscription struct {
	filter  EventFilter
	dropped atomic.Int64

	mu     sync.Mutex
	c      chan Event
	ended  bool        // c is closed
	forget func() bool // ends the wait for the end of the context
}

// C is where the events come from, in the order in which they happened. It is closed when the context of Subscribe ends, or the
// Memory is closed; events that wait can be received still.
func (s *Subscription) C() <-chan Event { return s.c }

// Dropped returns how many events were dropped so far because the buffer was full.
func (s *Subscription) Dropped() int64 { return s.dropped.Load() }

// offer gives s an event if there is room.
func (s *Subscription) offer(ev Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	select {
	case s.c <- ev:
	default:
		s.dropped.Add(1)
	}
}

func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.c)
		if s.forget != nil {
			s.forget()
		}
	}
}

func (f *EventFilter) fits(ev *Event) bool {
	return f.Kinds&ev.Kind != 0 && (f.Keys == "" || ev.Name == flushed || glob.Match(f.Keys, ev.Key))
}

// Subscribe returns what happens to keys from now on, until ctx ends. No command ever waits for who is told: if a buffer is full,
// events are dropped and counted. What a transaction has done is told when it has happened, and what was undone is not.
func (m *Memory) Subscribe(ctx context.Context, filter EventFilter) *Subscription {
	if filter.Kinds == 0 {
		filter.Kinds = allEvents
	}
	if filter.Buffer <= 0 {
		filter.Buffer = defaultEventBuffer
	}
	s := &Subscription{filter: filter, c: make(chan Event, filter.Buffer)}
	if !m.subscribers.add(m.engine, s) {
		s.end()
		return s
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.forget = context.AfterFunc(ctx, func() {
			m.subscribers.remove(m.engine, s)
			s.end()
		})
	}
	return s
}

// subscribers are those of a Memory.
type subscribers struct {
	mu     sync.Mutex
	list   []*Subscription // never changed in its place
	closed bool
}

func (l *subscribers) add(e *engine.Engine, s *Subscription) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.set(e, append(slices.Clip(l.list), s))
	return true
}

func (l *subscribers) remove(e *engine.Engine, s *Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(e, slices.DeleteFunc(slices.Clone(l.list), func(o *Subscription) bool { return o == s }))
}

// close ends all.
func (l *subscribers) close(e *engine.Engine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.list {
		s.end()
	}
	l.closed = true
	l.set(e, nil)
}

// set has an engine tell those of a list. While there are none, events cost nothing.
func (l *subscribers) set(e *engine.Engine, list []*Subscription) {
	l.list = list
	if len(list) == 0 {
		e.OnEvent(0, nil)
		return
	}
	e.OnEvent(^engine.EventNew, func(class engine.Class, name, key string) {
		ev := Event{Kind: kindOf(class, name), Name: name, Key: key}
		for _, s := range list {
			if s.filter.fits(&ev) {
				s.offer(ev)
			}
		}
	})
}

const flushed = "flushdb"

// kindOf returns the kind of an event of the engine. Redis tells of a key that was made besides what has made it.
func kindOf(class engine.Class, name string) EventKind {
	switch {
	case class == engine.EventExpired:
		return EventExpired
	case class == engine.EventEvicted:
		return EventEvicted
	case class == engine.EventFlushed, class == engine.EventGeneric && (name == "del" || name == "rename_from"):
		return EventRemoved
	}
	return EventWritten
}
