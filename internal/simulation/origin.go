package simulation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/peercache/peercache"
)

// origin is the getter of one process. All read the same origin, which is the
// history's versions.
type origin struct {
	*scenario
	history *history
	who     *process
}

// batchOrigin is one that loads many keys at once.
type batchOrigin struct{ origin }

// Get implements peercache.Getter.
func (o origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	items, errs := o.load(ctx, []string{key})
	return items[0], errs[0]
}

// GetBatch implements peercache.BatchGetter.
func (o batchOrigin) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	items, errs := o.load(ctx, keys)
	if errors.Join(errs...) != nil {
		return items, peercache.BatchError(errs)
	}
	return items, nil
}

// load reads keys at some moment of the time that it takes.
func (o origin) load(ctx context.Context, keys []string) ([]peercache.Item, []error) {
	items, errs := make([]peercache.Item, len(keys)), make([]error, len(keys))
	loads := make([]*source, len(keys))
	for i, key := range keys {
		loads[i] = o.history.begin(&source{key: key, who: o.who})
	}
	r := rand.New(rand.NewPCG(o.seed, o.nth(keys[0])))
	gone := sleep(ctx, time.Duration(r.Int64N(int64(longestLoad/2))))
	o.history.record(func(moment) {
		for i, s := range loads {
			s.version = o.history.versions[keys[i]]
			s.result = hasFound
			if o.history.gone[keys[i]] {
				s.result = hasFoundNone
			}
		}
	})
	gone = sleep(ctx, time.Duration(r.Int64N(int64(longestLoad/2)))) || gone
	o.history.record(func(now moment) {
		for i, s := range loads {
			s.end = now
			if gone || r.Float64() < o.failing && now.at < o.settled {
				s.result = hasFailed
			}
			items[i], errs[i] = o.answer(ctx, s, r)
		}
	})
	return items, errs
}

// nth returns a number for a load of key. It depends on how many there were
// before, and not on those of other keys, which may run at the same time.
func (o origin) nth(key string) uint64 {
	o.history.mu.Lock()
	defer o.history.mu.Unlock()
	hash := fnv.New64a()
	hash.Write([]byte(key))
	n := hash.Sum64()
	for _, s := range o.history.sources {
		if s.key == key {
			n++
		}
	}
	return n
}

// answer makes what a load returns.
func (o origin) answer(ctx context.Context, s *source, r *rand.Rand) (peercache.Item, error) {
	switch {
	case s.result == hasFoundNone:
		return peercache.Item{}, fmt.Errorf("source %d: %w", s.id, peercache.ErrNotFound)
	case s.result == hasFailed && ctx.Err() != nil:
		return peercache.Item{}, fmt.Errorf("source %d: %w", s.id, ctx.Err())
	case s.result == hasFailed:
		return peercache.Item{}, fmt.Errorf("source %d: the origin is out of order", s.id)
	}
	if r.Float64() >= o.lasting {
		s.ttl = time.Millisecond + time.Duration(r.Int64N(int64(time.Second)))
	}
	return peercache.Item{Value: valueOf(s, o.largest), TTL: s.ttl}, nil
}

// sleep reports whether ctx has ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return false
	case <-ctx.Done():
		return true
	}
}

// valueOf returns the value of a source, up to about so many bytes. It names the
// source, and every byte of it follows from that.
func valueOf(s *source, largest int) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(s.id))
	r := rand.NewChaCha8(seed)
	b := fmt.Appendf(nil, "%s, version %d, source %d|", s.key, s.version, s.id)
	rest := make([]byte, r.Uint64()%uint64(largest))
	r.Read(rest)
	return append(b, rest...)
}

// sourceIn returns the number of the source that a value or an error's text names.
func sourceIn(text string) (id int, ok bool) {
	text, _, _ = strings.Cut(text, "|")
	_, text, ok = strings.Cut(text, "source ")
	if !ok {
		return 0, false
	}
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	id, err := strconv.Atoi(text[:digits])
	return id, err == nil
}
