package peercache

import (
	"context"
	"fmt"

	"github.com/peercache/peercache/peer"
)

// A Getter loads the value of a key that is cached nowhere.
//
// Get is called from many goroutines, but in the whole cluster for one key at a
// time (P1), unless a Remove or the load timeout came between. Its ctx ends after the
// group's load timeout; Get must return soon after that. The value is copied: it stays
// the getter's.
//
// The ctx carries the values of the context of the first Get that asked for the key, if
// that was in the same process. If another process owns the key, the getter runs there and
// sees none of them: WithContextCodec says what travels. A getter without it must not need
// such values. It never sees the contexts of those who ask later.
//
// Get may Get other keys, of any group, but not its own. It must pass its ctx on to them,
// so that no load waits for another one that waits for it (WithMaxLoads).
//
// An error goes to everybody who waits for the key, on every peer, and is not cached, but
// for ErrNotFound if WithNegativeTTL says so. A Getter returns ErrNotFound, or an error
// that wraps it, if the origin has no such key. A panic is turned into an error.
type Getter interface {
	Get(ctx context.Context, key string) (Item, error)
}

// Item is a loaded value.
type Item = peer.Item

// GetterFunc makes a Getter of a function that returns bytes. Its values have
// no TTL of their own.
type GetterFunc func(ctx context.Context, key string) ([]byte, error)

// Get calls f.
func (f GetterFunc) Get(ctx context.Context, key string) (Item, error) {
	b, err := f(ctx, key)
	return Item{Value: b}, err
}

// ItemFunc makes a Getter of a function that returns an Item, and so can say
// how long each value lives.
type ItemFunc func(ctx context.Context, key string) (Item, error)

// Get calls f.
func (f ItemFunc) Get(ctx context.Context, key string) (Item, error) { return f(ctx, key) }

// A BatchGetter is a Getter that can load many keys at once. A group whose getter
// is one calls GetBatch for keys that one GetMulti asked for and that are cached
// nowhere, up to 1,000 in a call, and Get for single keys.
//
// GetBatch returns one Item for each key, in the same order. If it returns an
// error, all the keys have failed with it, unless the error is, or wraps, a
// BatchError: then each key has its own, and the Items of the others count. To
// return another number of Items is an error for all the keys. Everything else is
// as with Get.
type BatchGetter interface {
	Getter
	GetBatch(ctx context.Context, keys []string) ([]Item, error)
}

// BatchError is how GetBatch says which keys have failed: it has one error for
// each key, in the same order, and nil for those that were loaded.
type BatchError []error

func (e BatchError) Error() string {
	failed := 0
	var first error
	for _, err := range e {
		if err != nil {
			if failed == 0 {
				first = err
			}
			failed++
		}
	}
	return fmt.Sprintf("%d of %d keys failed, the first: %v", failed, len(e), first)
}

// isNil reports whether g cannot be called.
func isNil(g Getter) bool {
	switch f := g.(type) {
	case nil:
		return true
	case GetterFunc:
		return f == nil
	case ItemFunc:
		return f == nil
	}
	return false
}

// mostAtOnce is how many keys of one GetMulti are loaded here, or asked of one
// peer that takes them one by one, at the same time.
const mostAtOnce = 32
