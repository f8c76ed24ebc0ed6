package engine

import (
	"strings"

	"github.com/peercache/peercache/data/internal/dict"
)

// Undoing reports whether the command may be undone: then it has to call Undo for each change of an object.
func (c *Call) Undoing() bool { return c.t.undo }

// Undo keeps what undoes a change, to be called after what undoes later ones. A command calls it only if
// Undoing is true.
func (c *Call) Undo(undo func()) { c.t.undos = append(c.t.undos, undo) }

// Changed says that the object of a key has changed.
func (c *Call) Changed(key string) {
	s, _ := c.t.shard(key)
	c.t.touch(s, key)
}

// touch notes a change of a key.
func (t *txn) touch(s *shard, key string) {
	t.changed++
	if len(s.watched) > 0 {
		s.dirty(key, false)
	}
	if t.e.changed.any() && (len(t.keys) == 0 || t.keys[len(t.keys)-1] != key) {
		t.keys = append(t.keys, strings.Clone(key))
	}
}

// SetString gives a key a string, whatever it had, and an expiry, which may be 0.
func (c *Call) SetString(key, value string, expire int64) {
	c.put(key, strings.Clone(value), false, nil, expire)
}

// SetOwnString is SetString with a value that belongs to the engine from now on.
func (c *Call) SetOwnString(key, value string, expire int64) {
	c.put(key, value, false, nil, expire)
}

// SetObject gives a key an object, whatever it had, and an expiry, which may be 0. The object belongs to the engine from now on.
func (c *Call) SetObject(key string, object Object, expire int64) {
	c.put(key, "", false, object, expire)
}

// SetExpire gives a key that is there another expiry; 0: none.
func (c *Call) SetExpire(n *Node, expire int64) {
	c.put(n.Key, n.Value.Str, n.Value.grown, n.Value.Object, expire)
}

// Remove removes a key, and reports whether it was there.
func (c *Call) Remove(key string) bool {
	if c.Peek(key) == nil {
		return false
	}
	c.t.remove(key)
	return true
}

// RemoveIfEmpty removes the key of an object that has no elements any more, and tells of that.
func (c *Call) RemoveIfEmpty(key string, object Object) {
	if object.Len() == 0 {
		c.t.remove(key)
		c.Notify(EventGeneric, "del", key)
	}
}

// put puts an entry into the table: a string, or an object, for which others may wait.
func (c *Call) put(key, value string, grown bool, object Object, expire int64) {
	t := c.t
	s, hash := t.shard(key)
	keys := s.keys.Load()
	old := keys.GetHashed(key, hash)
	if old != nil && t.over(old) {
		t.expire(old)
		old = nil
	}
	if old != nil {
		key = old.Key
	} else {
		key = strings.Clone(key)
	}
	n := &Node{Key: key, Value: Entry{Str: value, Object: object, Expire: expire, grown: grown}}
	n.Value.used.Store(t.e.seconds.Load())
	t.swap(s, hash, old, n)
	if t.undo {
		t.undos = append(t.undos, func() { t.swap(s, hash, n, old) })
	}
	t.touch(s, key)
	if old == nil {
		t.notify(EventNew, "new", key)
	}
	if object != nil {
		c.Ready(key)
	}
}

// remove removes a key that is there.
func (t *txn) remove(key string) {
	s, hash := t.shard(key)
	old := s.keys.Load().GetHashed(key, hash)
	t.swap(s, hash, old, nil)
	if t.undo {
		t.undos = append(t.undos, func() { t.swap(s, hash, nil, old) })
	}
	t.touch(s, old.Key)
}

// swap puts one node in the place of another one of the same key. Each may be nil.
func (t *txn) swap(s *shard, hash uint64, old, n *Node) {
	keys := s.keys.Load()
	table := keys.Bytes()
	if old != nil {
		t.before(old)
		t.delta -= bytesOf(old)
		if old.Value.Expire != 0 {
			s.volatile.Add(-1)
			s.volatileBytes -= len(old.Key)
		}
	}
	if n == nil {
		keys.DeleteHashed(old.Key, hash)
		t.delta += keys.Bytes() - table
		return
	}
	n.Value.mark = t.e.mark
	keys.PutHashed(n, hash)
	t.delta += bytesOf(n) + keys.Bytes() - table
	if at := n.Value.Expire; at != 0 {
		s.volatile.Add(1)
		s.volatileBytes += len(n.Key)
		if old == nil || old.Value.Expire == 0 || at < old.Value.Expire {
			s.expires(n.Key, at, t.e.cfg.Now)
		}
	}
}

// Flush removes all keys. The command has the flag All.
func (c *Call) Flush() {
	t := c.t
	for i := range t.e.shards {
		s := &t.e.shards[i]
		old, empty := s.keys.Load(), dict.New[Entry](shardBits)
		if old.Len() == 0 {
			continue
		}
		volatile, volatileBytes, wheel, before := s.volatile.Load(), s.volatileBytes, s.wheel, t.delta
		t.delta -= old.Bytes()
		old.All(func(n *Node) bool {
			t.delta -= bytesOf(n)
			if len(s.watched) > 0 {
				s.dirty(n.Key, t.over(n))
			}
			return true
		})
		t.e.keepForSnapshot(i)
		s.keys.Store(empty)
		s.volatile.Store(0)
		s.volatileBytes = 0
		s.wheel = nil
		if t.undo {
			freed := before - t.delta
			t.undos = append(t.undos, func() {
				s.keys.Store(old)
				s.volatile.Store(volatile)
				s.volatileBytes = volatileBytes
				s.wheel = wheel
				t.delta += freed
			})
		}
	}
	t.changed++
	t.flushed = true
	t.notify(EventFlushed, "flushdb", "")
}
