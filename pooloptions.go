package peercache

import (
	"fmt"
	"strings"
	"time"

	"github.com/peercache/peercache/peer"
)

// A PoolOption changes what NewHTTPPool makes. NewHTTPPool returns its error.
type PoolOption func(*poolOptions) error

// WithBasePath sets the path under which peers ask each other, the same on all
// of them. It begins and ends with a slash, and has only letters, digits, '-',
// '_', '.' and '~' in between. The default is DefaultBasePath, or that of
// WithGroupcacheCompat.
func WithBasePath(path string) PoolOption {
	return func(o *poolOptions) error {
		if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
			return fmt.Errorf("WithBasePath(%q): want a path that begins and ends with one slash, such as %q", path, DefaultBasePath)
		}
		for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
			if segment != "" && !plainSegment(segment) {
				return fmt.Errorf("WithBasePath(%q): want only letters, digits, '-', '_', '.' and '~' between the slashes", path)
			}
		}
		o.basePath = path
		return nil
	}
}

// plainSegment reports whether s, as a segment of a URL's path, stands for
// itself everywhere.
func plainSegment(s string) bool {
	if s == "." || s == ".." {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~") == ""
}

// WithGroupcacheCompat makes the pool a good peer of golang/groupcache's
// HTTPPool with its default options: the base path is /_groupcache/, unless there is a
// WithBasePath, and the ring is groupcache's, 50 replicas and CRC-32. So a fleet may be
// changed over one process at a time. Base URLs may have the port of their scheme, or other
// spellings of the host, as they stand on the ring of the others. It excludes WithHandover.
func WithGroupcacheCompat() PoolOption {
	return func(o *poolOptions) error {
		o.compat = true
		return nil
	}
}

// WithPeerTimeout bounds one request to a peer by the plain way. It has to leave
// the peer the time for a load, else a slow origin looks like a peer that is gone,
// and its keys are loaded twice. The default is the group's load timeout and a
// second; math.MaxInt64 is no bound. A peer that is silent is not waited for so long,
// see WithDetectionTime; on a stream, where nothing else has to be bounded, it has no
// effect. It is at least the detection time.
func WithPeerTimeout(d time.Duration) PoolOption {
	return func(o *poolOptions) error {
		if d <= 0 {
			return fmt.Errorf("WithPeerTimeout(%v): want more than 0", d)
		}
		o.peerTimeout = d
		return nil
	}
}

// WithDetectionTime sets for how long nothing may come from a peer that owes an
// answer, not even a sign of life that it is asked for, until it is taken for dead and
// its keys go to the next peer. A slow load is no silence. It is 1 ms to 1 hour; the
// default is 500 ms. Three tenths of it pass before the sign is asked for, by the plain
// way maybe on a new connection: the rest has to be enough for that.
func WithDetectionTime(d time.Duration) PoolOption {
	return func(o *poolOptions) error {
		if d < time.Millisecond || d > mostDetection {
			return fmt.Errorf("WithDetectionTime(%v): want 1ms to %v", d, mostDetection)
		}
		o.stream.Detect = d
		return nil
	}
}

// mostDetection leaves room for its multiples: 1 hour is longer than any peer is silent
// that is alive.
const mostDetection = time.Hour

// WithHandover bounds what one change of the view has this process hand over to other
// peers: values of so many bytes, those worth most first, and for so long. It counts for
// Shutdown, which hands over all there is, and for peers that come. With 0 bytes nothing
// is offered, though a new owner still asks for what it is asked for itself. The
// default is DefaultHandoverBytes and DefaultHandoverTime; math.MaxInt64 is no bound, of
// either.
func WithHandover(maxBytes int64, maxTime time.Duration) PoolOption {
	return func(o *poolOptions) error {
		if maxBytes < 0 || maxTime <= 0 {
			return fmt.Errorf("WithHandover(%d, %v): want at least 0 bytes, and a time of more than 0", maxBytes, maxTime)
		}
		o.cluster.HandoverBytes, o.cluster.HandoverTime, o.handoverGiven = maxBytes, maxTime, true
		return nil
	}
}

// WithViewChangeRate bounds how many times a second the view changes because peers say that
// they leave or are back. So many changes may come at once; more wait, and take effect
// together. The default is DefaultViewChangeRate. It does not bound Set and a discovery.
func WithViewChangeRate(perSecond int) PoolOption {
	return func(o *poolOptions) error {
		if perSecond < 1 {
			return fmt.Errorf("WithViewChangeRate(%d): want at least 1", perSecond)
		}
		o.cluster.ViewChangeRate = perSecond
		return nil
	}
}

// WithMaxUnproven bounds how many requests for changes may wait for other processes at the same
// time although their senders have not proven to be the peers that they name: for that peer to
// confirm it, for holders of copies, or for offered values. Further ones are answered without
// waiting, and drop values in this process alone. Only new processes and earlier versions send
// such requests as a rule. The default is DefaultMaxUnproven.
func WithMaxUnproven(n int) PoolOption {
	return func(o *poolOptions) error {
		if n < 1 {
			return fmt.Errorf("WithMaxUnproven(%d): want at least 1", n)
		}
		o.cluster.MaxUnproven = n
		return nil
	}
}

// WithLargeValue sets from which size on, in bytes, a value takes the plain way:
// a request and a connection of its own, where it holds up no other answers. The
// default is 256 KiB. It excludes WithoutStream.
func WithLargeValue(n int) PoolOption {
	return func(o *poolOptions) error {
		if n < 1 || n > peer.MaxValueBytes {
			return fmt.Errorf("WithLargeValue(%d): want 1 to %d", n, peer.MaxValueBytes)
		}
		o.stream.LargeValue = n
		return nil
	}
}

// DefaultMaxLargeRequests is the default of WithMaxLargeRequests.
const DefaultMaxLargeRequests = 32

// WithMaxLargeRequests bounds how many large values (WithLargeValue) this process asks one
// peer for at the same time, each on a connection of its own and in memory as a whole.
// Further requests wait, except those that a load waits for. It has no effect on a pool
// WithoutStream, where all values take the plain way. The default is
// DefaultMaxLargeRequests.
func WithMaxLargeRequests(n int) PoolOption {
	return func(o *poolOptions) error {
		if n < 1 {
			return fmt.Errorf("WithMaxLargeRequests(%d): want at least 1", n)
		}
		o.largeRequests = n
		return nil
	}
}

// WithoutStream makes the pool ask, and answer, by one HTTP request a key alone,
// for networks in which nothing else gets through.
func WithoutStream() PoolOption {
	return func(o *poolOptions) error {
		o.streams = false
		return nil
	}
}
