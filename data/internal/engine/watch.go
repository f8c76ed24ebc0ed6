package engine

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/data/internal/dict"
)

// Watch is keys of which one wants to know whether they have changed.
type Watch struct {
	keys    map[string]bool // whether it was there
	set     shardSet
	changed atomic.Bool
}

// Watch begins to watch keys, in addition to those of w, which may be nil. It has to be ended by Unwatch.
func (e *Engine) Watch(w *Watch, keys ...string) *Watch {
	if w == nil {
		w = &Watch{keys: make(map[string]bool)}
	}
	set := setOf(keys...) | w.set
	held := e.lock(set, true)
	defer e.unlock(held, true)
	w.set = set
	now := e.cfg.Now()
	for _, key := range keys {
		if _, ok := w.keys[key]; ok {
			continue
		}
		key = strings.Clone(key)
		hash := dict.Hash(key)
		s := &e.shards[shardOf(hash)]
		n := s.keys.Load().GetHashed(key, hash)
		w.keys[key] = n != nil && !n.Value.expired(now)
		if s.watched == nil {
			s.watched = make(map[string][]*Watch)
		}
		s.watched[key] = append(s.watched[key], w)
	}
	return w
}

// Unwatch ends w, which may be nil.
func (e *Engine) Unwatch(w *Watch) {
	if w == nil {
		return
	}
	held := e.lock(w.set, true)
	defer e.unlock(held, true)
	for key := range w.keys {
		s := &e.shards[shardOf(dict.Hash(key))]
		if list := slices.DeleteFunc(s.watched[key], func(o *Watch) bool { return o == w }); len(list) > 0 {
			s.watched[key] = list
		} else {
			delete(s.watched, key)
		}
	}
	w.keys, w.set = nil, 0
}

// dirty says that a key has changed. If it only expired, that counts for who has seen it.
func (s *shard) dirty(key string, expired bool) {
	for _, w := range s.watched[key] {
		if !expired || w.keys[key] {
			w.changed.Store(true)
		}
	}
}

// broken reports whether something has changed that w watches. The caller has its shards locked.
func (w *Watch) broken(e *Engine) bool {
	now := e.cfg.Now()
	for key, was := range w.keys {
		hash := dict.Hash(key)
		if n := e.shards[shardOf(hash)].keys.Load().GetHashed(key, hash); was && (n == nil || n.Value.expired(now)) {
			return true
		}
	}
	return w.changed.Load()
}
