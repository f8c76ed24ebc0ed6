package peercache

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/peer"
)

// The defaults of a group's options.
const (
	DefaultLoadTimeout   = 10 * time.Second
	DefaultMaxKeyBytes   = 32 << 10
	DefaultMaxValueBytes = 64 << 20
	DefaultHotShare      = 1.0 / 8
)

// The defaults of the options that say how long a value may be served.
const (
	DefaultLease   = 5 * time.Second
	DefaultStandIn = 30 * time.Second
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
		g.picker = p
		return nil
	}
}

// WithLoadTimeout bounds a load, whether or not callers still wait for it. When d has passed,
// the getter's context ends and callers get an error that is a context.DeadlineExceeded. All
// peers should have the same. The default is DefaultLoadTimeout; math.MaxInt64 means no
// bound. The time that passes before the load, while up to three peers hang, does not count:
// see WithDetectionTime.
//
// Callers wait for another peer that gives signs of life but no answer for two seconds
// more than d. Then they get an error that names the peer and is a
// context.DeadlineExceeded. Nobody else loads the key: the peer may be loading it.
func WithLoadTimeout(d time.Duration) GroupOption {
	return positive("WithLoadTimeout", d, func(g *Group) { g.loadTimeout = d })
}

// WithMaxLoads bounds how many times the getter runs at the same time in this process. One run
// of a BatchGetter's GetBatch counts as one. If a getter Gets another key with the context
// that it was given, that load runs in the slot of the getter's own load, in all groups with
// this option and on other peers: otherwise the loads that have the slots could wait for each
// other. So n bounds the loads that begin outside of any other. Beyond n the group serves an expired value, if
// WithStaleIfError allows it at that age. Otherwise loads wait for a slot, callers under their
// own contexts and loads within their timeout. By default there is no bound.
func WithMaxLoads(n int) GroupOption {
	return func(g *Group) error {
		if n < 1 {
			return fmt.Errorf("WithMaxLoads(%d): want at least 1", n)
		}
		g.slots = make(slots, n)
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

// WithTTL sets how long a value may be served if its Item does not say. By default a value
// never expires. math.MaxInt64 means the same, here and in Item.TTL. In all options of a
// group, a hundred years or more mean without end.
func WithTTL(d time.Duration) GroupOption {
	return positive("WithTTL", d, func(g *Group) { g.times.ttl = d })
}

// WithTTLJitter shortens each TTL by a random part of it, up to share (0 to 1), so that
// what was loaded together does not expire together. The default is 0.
func WithTTLJitter(share float64) GroupOption {
	return func(g *Group) error {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("WithTTLJitter(%v): want 0 to 1", share)
		}
		g.times.jitter = share
		return nil
	}
}

// WithStaleWhileRevalidate serves a value at once for d after it has expired, while one load
// in the cluster gets the new one in the background. So neither a slow origin nor many values
// that expire together keep callers waiting. math.MaxInt64 means as long as the value is
// cached. By default a Get of an expired value waits for the load.
func WithStaleWhileRevalidate(d time.Duration) GroupOption {
	return positive("WithStaleWhileRevalidate", d, func(g *Group) { g.times.revalidate = min(d, clock.Endless) })
}

// WithStaleIfError serves a value that expired up to d ago if the getter fails, in place
// of its error, unless that is ErrNotFound. A getter that panics has failed. So has one
// that hangs, once the load timeout has passed: make that shorter than the deadlines of
// callers, who get the error of their own context when it ends. The owner of a key
// decides, also for the callers of other peers. By default the error is returned. Each Get
// tries the getter again. math.MaxInt64 means as long as the value is cached.
func WithStaleIfError(d time.Duration) GroupOption {
	return positive("WithStaleIfError", d, func(g *Group) { g.times.onError = min(d, clock.Endless) })
}

// WithNegativeTTL makes the group remember for d that the origin has no such key (ErrNotFound).
// By default each Get of such a key asks the origin. An error of the getter that has a method
// NegativeTTL() time.Duration shortens d: less than zero means not at all, and zero as d says.
func WithNegativeTTL(d time.Duration) GroupOption {
	return positive("WithNegativeTTL", d, func(g *Group) { g.times.negative = d })
}

// WithRefreshAhead loads a value again in the background, once in the cluster, if it is
// asked for less than d before it expires. So callers of a key in steady use never wait
// for the origin. d should be longer than a load takes and much shorter than the
// TTL, less than a hundred years; it counts for a TTL of an Item too. By default values
// are loaded when they have expired.
func WithRefreshAhead(d time.Duration) GroupOption {
	return func(g *Group) error {
		if d <= 0 || d >= clock.Endless {
			return fmt.Errorf("WithRefreshAhead(%v): want more than 0 and less than a hundred years", d)
		}
		g.times.ahead = d
		return nil
	}
}

// WithLease sets for how long a copy of another peer's value is served before its owner
// is asked again, 10 ms to 1 minute. A copy in use is renewed in the background, without
// its value if that has not changed. If the holder of a copy cannot be reached, Remove waits
// for the end of the lease. All peers should have the same. The default is
// DefaultLease.
func WithLease(d time.Duration) GroupOption {
	return func(g *Group) error {
		if d < 10*time.Millisecond || d > lease.Longest {
			return fmt.Errorf("WithLease(%v): want 10ms to %v", d, lease.Longest)
		}
		g.times.lease = d
		return nil
	}
}

// WithStandIn sets for how long a stand-in, one of the two peers that follow the owner of a key
// on the ring, keeps a value that it loaded because the owner could not be reached. If a
// stand-in cannot be reached, Remove waits for so long. After a change of the view, Remove tells
// all peers for so long, and new owners ask the previous ones. All peers must have the same,
// 1 second to 1 hour. The default is DefaultStandIn.
func WithStandIn(d time.Duration) GroupOption {
	return func(g *Group) error {
		if d < time.Second || d > time.Hour {
			return fmt.Errorf("WithStandIn(%v): want 1s to 1h", d)
		}
		g.times.standIn = d
		return nil
	}
}

// positive is an option that takes a duration of more than 0.
func positive(name string, d time.Duration, set func(*Group)) GroupOption {
	return func(g *Group) error {
		if d <= 0 {
			return fmt.Errorf("%s(%v): want more than 0", name, d)
		}
		set(g)
		return nil
	}
}

// WithHotShare sets which part of the group's bytes is for copies of other peers'
// values, 0 to 0.9. A value is copied if its key is fetched often enough, lately, that
// a copy pays; that is its second fetch while there is room. With 0 nothing is copied: every Get of
// another peer's key asks that peer. The default is DefaultHotShare. It has no effect on
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
// stays valid. A panic of f is logged at level error, and harms nothing else (Stats.Panics).
func WithOnEvict(f func(key string, view ByteView, reason Reason)) GroupOption {
	return func(g *Group) error {
		g.onEvict = f
		return nil
	}
}

// WithErrorText sets the text by which other processes learn of an error of this one's
// getter: what tell returns, in place of the error's own text, which may hold secrets such
// as a password in an address. They learn the kind of the error (P6) in any case. Callers
// in this process get the error itself.
//
// With and without this option, whoever is not a peer of the view gets the kind alone. The
// exception is a pool with WithGroupcacheCompat, whose peers do not say who they are.
func WithErrorText(tell func(err error) string) GroupOption {
	return func(g *Group) error {
		if tell == nil {
			return fmt.Errorf("WithErrorText(nil): want a function, or leave the option out to tell the text of the error")
		}
		g.errorText = tell
		return nil
	}
}

// WithMaxKeyBytes bounds the length of a key. A longer one is refused with
// ErrKeySize. All peers should have the same. It may be up to 1 MiB; the default
// is DefaultMaxKeyBytes.
func WithMaxKeyBytes(n int) GroupOption {
	return func(g *Group) error {
		if n <= 0 || n > peer.MaxKeyBytes {
			return fmt.Errorf("WithMaxKeyBytes(%d): want 1 to %d", n, peer.MaxKeyBytes)
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
		if n <= 0 || n > peer.MaxValueBytes {
			return fmt.Errorf("WithMaxValueBytes(%d): want 1 to %d", n, peer.MaxValueBytes)
		}
		g.maxValue, g.valueLimited = n, true
		return nil
	}
}

// WithContextCodec carries the values that c encodes from the context of a Get to the
// context of the getter, in this process and in that of the key's owner. The getter sees
// these values and no others. Without the option it sees the values of a caller in its own
// process, and none of a caller elsewhere. All peers should have the same codec.
//
// Callers who ask for a key at the same time share one load: the getter sees the context of
// the first, and all get its value. So whatever the value depends on belongs in the key. If
// Encode or Decode panics, nothing travels, and Stats.Panics counts it. Nothing travels to
// golang/groupcache's peers.
func WithContextCodec(c ContextCodec) GroupOption {
	return func(g *Group) error {
		if c.Encode == nil || c.Decode == nil {
			return fmt.Errorf("WithContextCodec: want both Encode and Decode")
		}
		if c.MaxBytes == 0 {
			c.MaxBytes = DefaultContextBytes
		}
		if c.MaxBytes < 0 || c.MaxBytes > mostContextBytes {
			return fmt.Errorf("WithContextCodec: MaxBytes of %d: want 1 to %d, or 0 for %d", c.MaxBytes, mostContextBytes, DefaultContextBytes)
		}
		g.contexts = &contexts{ContextCodec: c, journal: &g.journal}
		return nil
	}
}

// WithLogger makes the group log, at level
//
//   - error: the getter or another callback panicked;
//   - warn: a peer could not be reached, or a Remove, Set or Clear is incomplete, each at most once
//     a second; a snapshot is ignored; an option looks wrong; what WithContextCodec encodes is too
//     large, once;
//   - info: a snapshot was restored;
//   - debug: where each Get was answered from.
//
// It is not the logger of the pool, see WithPoolLogger. Stats.Panics counts the panics of the
// handler of l, which harm nothing else. By default, and with nil, the group logs nothing.
func WithLogger(l *slog.Logger) GroupOption {
	return func(g *Group) error {
		g.log = guard(l, &g.panics)
		return nil
	}
}

// WithConsistency makes the group choose consistency, where it cannot have availability
// as well: while the pool's discovery says that the registration of this process has
// run out, or may have (discovery.View.Lapsed), or has no such process in its view. Its
// peers may then know it no more, and their Removes do not come here.
//
// With it, the group answers from the origin, past its caches, until the process is
// back: each Get, and each request of a peer, sees a load that began after it was asked.
// WithStaleIfError and WithNegativeTTL have no effect meanwhile. Remove, Set and Clear
// do what they can, and return an ErrLapsed. When the process is back, the group begins
// with empty caches. The same holds before the pool has joined, and when its discovery
// has ended. The origin has to bear it, see WithMaxLoads: if the registry fails, all
// processes lapse.
//
// By default, the group chooses availability: it goes on serving what it has, and what
// it loads, at most as stale as its TTL.
//
// It has no effect without a WithDiscovery, nor with a PeerPicker of the user's own. All
// peers should have the same.
func WithConsistency() GroupOption {
	return func(g *Group) error {
		g.consistent = true
		return nil
	}
}

// WithSnapshot lets the next process begin with what this one has cached, with the ages
// that the values have by then. A group without peers is written to the file at path by
// SaveSnapshot, and read back by NewGroup. One with peers is written by HTTPPool.Shutdown,
// and read back when the pool has a view, for no longer than WithHandover's time: of what
// the peers know that it was not changed meanwhile, what this process owns. Ready waits
// for that.
//
// A file that is older than maxAge is ignored, and so is one that is torn, of another group
// or of a later version, as a whole and with a warning to the logger of WithLogger. No file
// is no warning.
//
// A snapshot is used once. NewGroup takes away what is at path, used or not: also if the
// pool then never gets a view. The first Remove, Set or Clear that this process makes after
// it has written the file removes it, so that no crash brings back what was removed (P8).
// Where it cannot be removed, that call returns an error.
//
// NewGroup fails if the directory of path does not exist or cannot be written, and if path is
// itself one or a symbolic link. It also fails if another user can put a file there: if the
// directory belongs to neither this process's user nor root, or if others can write it (but
// for a directory with the sticky bit, such as /tmp). A file that another user can write is
// ignored like one that is torn. See SnapshotTrustsGroup for what a group can write. On
// Windows neither is checked. A path is for one group and one process at a time: a pool
// refuses a second group of the same. Beside it stand path.tmp while it is written
// and path.taken while it is read. Only the user of this process can read the file, which
// has the values as they are. It is for the machine that wrote it, by whose wall clock its
// age is taken.
//
// What WithTTL and the getter said when a value was loaded holds for it, not what they
// would say now; the stale windows are those of the new process. WithOnEvict hears of
// values that find no room meanwhile. All peers should have the option: one that has none
// cannot answer for the time before it started. WithSnapshot excludes WithConsistency,
// WithGroupcacheCompat, and peers that are not an HTTPPool's.
func WithSnapshot(path string, maxAge time.Duration, opts ...SnapshotOption) GroupOption {
	return func(g *Group) error {
		if path == "" {
			return errors.New("WithSnapshot: an empty path: want that of a file")
		}
		if maxAge <= 0 {
			return fmt.Errorf("WithSnapshot(%q, %v): want a maxAge of more than 0", path, maxAge)
		}
		abs, err := filepath.Abs(path) // the working directory may be another one at the end
		if err != nil {
			return fmt.Errorf("WithSnapshot: %w", err)
		}
		g.snapshot = &snapshotFile{path: abs, maxAge: maxAge, restored: make(chan struct{})}
		for i, opt := range opts {
			if opt == nil {
				return fmt.Errorf("WithSnapshot: option %d is nil", i)
			}
			opt(g.snapshot)
		}
		return nil
	}
}

// A SnapshotOption changes what WithSnapshot does.
type SnapshotOption func(*snapshotFile)

// SnapshotTrustsGroup makes WithSnapshot accept a file and a directory that their group can
// write, so it trusts all members of the group. It is for volumes of Kubernetes with an
// fsGroup, which set the mode so. What all users can write is never accepted.
func SnapshotTrustsGroup() SnapshotOption {
	return func(s *snapshotFile) { s.trust.Group = true }
}
