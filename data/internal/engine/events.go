package engine

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Class is a class of events, as Redis' notify-keyspace-events has them.
type Class uint32

// The classes.
const (
	EventGeneric   Class = 1 << iota // g: DEL, EXPIRE, RENAME, …
	EventString                      // $
	EventList                        // l
	EventSet                         // s
	EventHash                        // h
	EventSortedSet                   // z
	EventExpired                     // x
	EventEvicted                     // e
	EventNew                         // n
	EventChannel                     // no class of Redis'
	EventFlushed                     // no class of Redis': all keys were removed, or others put in their place

	// These are classes of Redis that have no events here.
	eventStream // t
	eventMiss   // m
	eventModule // d

	// These are how an event is published: by its key, and by its name.
	byKey  // K
	byName // E

	// The classes of notices that are messages.
	message
	shardMessage
)

// commonEvents are what A stands for.
const commonEvents = EventGeneric | EventString | EventList | EventSet | EventHash | EventSortedSet | EventExpired | EventEvicted |
	eventStream | eventModule

// classNames are the letters of classes, in the order in which Redis writes them.
var classNames = []struct {
	letter byte
	class  Class
}{
	{'g', EventGeneric}, {'$', EventString}, {'l', EventList}, {'s', EventSet}, {'h', EventHash}, {'z', EventSortedSet},
	{'x', EventExpired}, {'e', EventEvicted}, {'t', eventStream}, {'d', eventModule}, {'n', EventNew},
	{'K', byKey}, {'E', byName}, {'m', eventMiss},
}

// events is who is told of events.
type events struct {
	mu        sync.Mutex
	classes   Class // of listener
	listener  atomic.Pointer[func(class Class, event, key string)]
	published atomic.Uint32 // the classes of events that are published
	listening atomic.Uint32 // all of those
}

// OnEvent has f be told of events of some classes, with locks held: it must not wait. Strings are valid after it has returned. nil: nobody.
func (e *Engine) OnEvent(classes Class, f func(class Class, event, key string)) {
	e.events.mu.Lock()
	defer e.events.mu.Unlock()
	e.events.classes = classes
	if f == nil {
		e.events.classes = 0
		e.events.listener.Store(nil)
	} else {
		e.events.listener.Store(&f)
	}
	e.events.update()
}

// update has commands keep what somebody is told of.
func (v *events) update() {
	listening := v.classes
	if published := Class(v.published.Load()); published&(byKey|byName) != 0 {
		listening |= published
	}
	v.listening.Store(uint32(listening))
}

// SetNotifications has events be published, of the classes that flags say, as Redis' notify-keyspace-events does. Its error has the text
// of Redis, to be put behind what failed.
func (e *Engine) SetNotifications(flags string) error {
	var classes Class
letters:
	for i := range len(flags) {
		if flags[i] == 'A' {
			classes |= commonEvents
			continue
		}
		for _, n := range classNames {
			if n.letter == flags[i] {
				classes |= n.class
				continue letters
			}
		}
		return Error("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
	}
	e.events.mu.Lock()
	defer e.events.mu.Unlock()
	e.events.published.Store(uint32(classes))
	e.events.update()
	return nil
}

// Notifications returns the flags of SetNotifications, as Redis writes them.
func (e *Engine) Notifications() string {
	classes := Class(e.events.published.Load())
	var flags strings.Builder
	if classes&commonEvents == commonEvents {
		flags.WriteByte('A')
		classes &^= commonEvents | EventNew // Redis does not tell of n then
	}
	for _, n := range classNames {
		if classes&n.class != 0 {
			flags.WriteByte(n.letter)
		}
	}
	return flags.String()
}

// Notify tells those who listen that something has happened to a key, once the command is done.
func (c *Call) Notify(class Class, event, key string) { c.t.notify(class, event, key) }

func (t *txn) notify(class Class, event, key string) {
	if Class(t.e.events.listening.Load())&class != 0 {
		t.notices = append(t.notices, notice{class, event, strings.Clone(key)})
	}
}

// Publish sends a message once the command is done, and returns how many get it.
func (c *Call) Publish(shard bool, channel, text string) int {
	class := message
	if shard {
		class = shardMessage
	}
	n := c.t.e.Messages.Receivers(shard, channel)
	if n > 0 {
		c.t.notices = append(c.t.notices, notice{class, text, channel})
	}
	return n
}

// tell tells those who watch keys, listen to events, and are subscribed to messages.
func (t *txn) tell() {
	e := t.e
	if t.flushed || len(t.keys) > 0 {
		for _, changed := range e.changed.all() {
			(*changed)(t.keys, t.flushed)
		}
	}
	for _, n := range t.notices {
		if n.class&(message|shardMessage) != 0 {
			e.Messages.Publish(n.class == shardMessage, n.key, n.event)
			continue
		}
		if published := Class(e.events.published.Load()); published&n.class != 0 {
			if published&byKey != 0 {
				e.Messages.Publish(false, "__keyspace@0__:"+n.key, n.event)
			}
			if published&byName != 0 {
				e.Messages.Publish(false, "__keyevent@0__:"+n.event, n.key)
			}
		}
		if f := e.events.listener.Load(); f != nil {
			(*f)(n.class, n.event, n.key)
		}
	}
}
