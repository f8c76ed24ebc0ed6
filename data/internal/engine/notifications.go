package engine

import (
	"fmt"
	"strings"
)

// Keyspace notifications are messages of what has happened to keys, as Redis has them.
const (
	keyspaceMessages Class = 1 << (24 + iota) // K: in __keyspace@0__:key
	keyeventMessages                          // E: in __keyevent@0__:event
	classStream                               // t: there are no streams
	classModule                               // d: there are no modules
)

// notificationFlags are the letters of Redis' notify-keyspace-events, in the order in which it shows them.
var notificationFlags = []struct {
	letter byte
	class  Class
}{
	{'g', EventGeneric}, {'$', EventString}, {'l', EventList}, {'s', EventSet}, {'h', EventHash}, {'z', EventSortedSet}, {'x', EventExpired},
	{'e', EventEvicted}, {'t', classStream}, {'d', classModule}, {'n', EventNew}, {'K', keyspaceMessages}, {'E', keyeventMessages},
}

// allNotifications is the letter A.
const allNotifications = EventGeneric | EventString | EventList | EventSet | EventHash | EventSortedSet | EventExpired | EventEvicted | classStream | classModule

// CheckNotifications returns what is wrong with flags for SetNotifications.
func CheckNotifications(flags string) error {
	_, err := notifications(flags)
	return err
}

func notifications(flags string) (classes Class, err error) {
next:
	for i := range len(flags) {
		if flags[i] == 'A' {
			classes |= allNotifications
			continue
		}
		for _, f := range notificationFlags {
			if f.letter == flags[i] {
				classes |= f.class
				continue next
			}
		}
		return 0, fmt.Errorf("Invalid event class character. Use 'Ag$lshzxeKEtdn'.")
	}
	return classes, nil
}

// SetNotifications has messages tell of what happens to keys: flags are those of Redis' notify-keyspace-events. Without K or E,
// there are none.
func (e *Engine) SetNotifications(flags string) error {
	classes, err := notifications(flags)
	if err == nil {
		e.notifications.Store(uint32(classes))
	}
	return err
}

// Notifications returns the flags of SetNotifications, as Redis shows them.
func (e *Engine) Notifications() string {
	classes := Class(e.notifications.Load())
	var b strings.Builder
	if classes&allNotifications == allNotifications {
		b.WriteByte('A')
		classes &^= allNotifications | EventNew
	}
	for _, f := range notificationFlags {
		if classes&f.class != 0 {
			b.WriteByte(f.letter)
		}
	}
	return b.String()
}

// wanted reports whether somebody wants to know of events of a class.
func (e *Engine) wanted(class Class) bool {
	if Class(e.Listening.Load())&class != 0 {
		return true
	}
	classes := Class(e.notifications.Load())
	return classes&class != 0 && classes&(keyspaceMessages|keyeventMessages) != 0
}

// notify tells of an event.
func (e *Engine) notify(n notice) {
	switch n.class {
	case message, shardMessage:
		e.Messages.Publish(n.class == shardMessage, n.key, n.event)
		return
	}
	if Class(e.Listening.Load())&n.class != 0 {
		e.cfg.Notify(n.class, n.event, n.key)
	}
	classes := Class(e.notifications.Load())
	if classes&n.class == 0 {
		return
	}
	if classes&keyspaceMessages != 0 {
		e.Messages.Publish(false, "__keyspace@0__:"+n.key, n.event)
	}
	if classes&keyeventMessages != 0 {
		e.Messages.Publish(false, "__keyevent@0__:"+n.event, n.key)
	}
}
