package simulation

import (
	"context"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/failpoint"
)

// level is a second level that all processes share, and reach whatever happens to their network. Each of its methods does what it does at some
// moment of the time that it takes.
type level struct {
	seed    uint64
	planted failpoint.Bug

	mu   sync.Mutex
	all  map[string]*kept // guarded by mu
	last int              // guarded by mu; the last permit
}

// kept is a key of a level: with a value, or with a permit alone.
type kept struct {
	permit  string
	value   []byte
	found   bool
	expires time.Time // zero: never
}

func newLevel(seed uint64) *level {
	return &level{seed: seed, planted: failpoint.Planted(), all: make(map[string]*kept)}
}

// slowest is how long the level takes at most before and after the moment.
const slowest = 20 * time.Millisecond

// at does something at some moment of the time that it takes.
func (l *level) at(ctx context.Context, what, key string, do func()) error {
	hash := fnv.New64a()
	hash.Write(strconv.AppendUint([]byte(what+key), l.seed, 10))
	n := hash.Sum64()
	if sleep(ctx, time.Duration(n%uint64(slowest))) {
		return ctx.Err()
	}
	l.mu.Lock()
	do()
	l.mu.Unlock()
	if sleep(ctx, time.Duration(n>>32%uint64(slowest))) {
		return ctx.Err()
	}
	return nil
}

// Get implements peercache.SecondLevel.
func (l *level) Get(ctx context.Context, keys []string) (all []peercache.Leveled, err error) {
	err = l.at(ctx, "get", keys[0], func() {
		now := time.Now()
		for _, key := range keys {
			k := l.all[key]
			if k == nil || !k.expires.IsZero() && !k.expires.After(now) {
				l.last++
				k = &kept{permit: strconv.Itoa(l.last)}
				l.all[key] = k
			}
			a := peercache.Leveled{Permit: k.permit, Found: k.found, Item: peercache.Item{Value: k.value}}
			if !k.expires.IsZero() {
				a.Item.TTL = k.expires.Sub(now)
			}
			all = append(all, a)
		}
	})
	return all, err
}

// Set implements peercache.SecondLevel.
func (l *level) Set(ctx context.Context, key string, item peercache.Item, permit string) error {
	now := time.Now()
	value := append([]byte(nil), item.Value...)
	return l.at(ctx, "set", key, func() {
		if k := l.all[key]; (k == nil || k.permit != permit) && l.planted != failpoint.PermitsForever {
			return
		}
		l.last++
		k := &kept{permit: strconv.Itoa(l.last), value: value, found: true}
		if item.TTL > 0 {
			k.expires = now.Add(item.TTL)
		}
		l.all[key] = k
	})
}

// Remove implements peercache.SecondLevel.
func (l *level) Remove(ctx context.Context, keys ...string) error {
	return l.at(ctx, "remove", keys[0], func() {
		for _, key := range keys {
			delete(l.all, key)
		}
	})
}

// Clear implements peercache.SecondLevel.
func (l *level) Clear(ctx context.Context) error {
	return l.at(ctx, "clear", "", func() { clear(l.all) })
}
