package peercache

import (
	"fmt"
	"log/slog"
	"time"
)

// The defaults of a group's options.
const (
	DefaultLoadTimeout   = 10 * time.Second
	DefaultMaxKeyBytes   = 32 << 10
	DefaultMaxValueBytes = 64 << 20
	DefaultHotShare      = 1.0 / 8
)

// The most that the options of the same name allow. A request or an answer is one
// message in memory, and a protobuf message is below 2 GiB.
const (
	mostKeyBytes   = 1 << 20
	mostValueBytes = 1 << 30
)

// A GroupOption changes what NewGroup makes. NewGroup returns its error.
type GroupOption func(*Group) error

// WithPeers makes the group part of a cluster: keys are loaded by their owners.
// Without it the group is a local cache.
func WithPeers(p PeerPicker) GroupOption {
	return func(g *Group) error {
		if p == nil {
			return fmt.Errorf("WithPeers(nil): want a PeerPicker, or leave the option out for a local cache")
		}
		g.peers = p
		return nil
	}
}

// WithLoadTimeout bounds a load, whoever still waits for it. When d has passed,
// the getter's context ends and callers get an error that is a
// context.DeadlineExceeded. All peers should have the same. The default is
// DefaultLoadTimeout. It does not count the time in which up to three peers that
// hang are waited for before, see WithPeerTimeout.
func WithLoadTimeout(d time.Duration) GroupOption {
	return func(g *Group) error {
		if d <= 0 {
			return fmt.Errorf("WithLoadTimeout(%v): want more than 0", d)
		}
		g.loadTimeout = d
		return nil
	}
}

// WithCancelAbandoned cancels a load, or a fetch from a peer, when the last
// caller that waits for it has left. By default it runs on and its value is
// cached, so that callers less patient than the origin do not keep the cache
// empty.
func WithCancelAbandoned() GroupOption {
	return func(g *Group) error {
		g.loads.CancelAbandoned = true
		g.fetches.CancelAbandoned = true
		return nil
	}
}

// WithHotShare sets which part of the group's bytes copies of other peers'
// values may take, 0 to 0.9. With 0 nothing is copied: every Get of another
// peer's key asks that peer. The default is DefaultHotShare. It has no effect on
// a group without peers.
func WithHotShare(share float64) GroupOption {
	return func(g *Group) error {
		if !(share >= 0 && share <= 0.9) {
			return fmt.Errorf("WithHotShare(%v): want 0 to 0.9", share)
		}
		g.hotShare = share
		return nil
	}
}

// WithCache keeps the group's values in caches that newCache makes, such as
// NewLRU or one of the user's own. The default is NewStore.
func WithCache(newCache NewCache) GroupOption {
	return func(g *Group) error {
		if newCache == nil {
			return fmt.Errorf("WithCache(nil): want a function that makes a Cache, such as NewLRU")
		}
		g.newCache = newCache
		return nil
	}
}

// WithOnEvict makes the group call f for every value that leaves this process,
// owned or a copy, exactly once and with the reason. f runs in the goroutine that
// made the value leave, after it has left and with no lock held, so that it may
// use the group; it holds up that goroutine's Get for as long as it runs. The view
// stays valid.
func WithOnEvict(f func(key string, view ByteView, reason Reason)) GroupOption {
	return func(g *Group) error {
		g.onEvict = f
		return nil
	}
}

// WithMaxKeyBytes bounds the length of a key. A longer one is refused with
// ErrKeySize. All peers should have the same. It may be up to 1 MiB; the default
// is DefaultMaxKeyBytes.
func WithMaxKeyBytes(n int) GroupOption {
	return func(g *Group) error {
		if n <= 0 || n > mostKeyBytes {
			return fmt.Errorf("WithMaxKeyBytes(%d): want 1 to %d", n, mostKeyBytes)
		}
		g.maxKey = n
		return nil
	}
}

// WithMaxValueBytes bounds the size of a value. A getter that returns a larger
// one has failed with ErrValueSize. All peers should have the same. The default
// is DefaultMaxValueBytes, the most is 1 GiB.
func WithMaxValueBytes(n int) GroupOption {
	return func(g *Group) error {
		if n <= 0 || n > mostValueBytes {
			return fmt.Errorf("WithMaxValueBytes(%d): want 1 to %d", n, mostValueBytes)
		}
		g.maxValue = n
		return nil
	}
}

// WithLogger makes the group say what it does: at level debug where each Get
// was answered from, at level warn which peer could not be reached, at level
// error that a getter panicked. By default, and with nil, it says nothing.
func WithLogger(l *slog.Logger) GroupOption {
	return func(g *Group) error {
		g.log = l
		return nil
	}
}
