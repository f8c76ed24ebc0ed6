package stream

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/peercache/peercache/peer"
)

// The defaults of Config.
const (
	DefaultLargeValue      = 256 << 10
	DefaultMaxRequests     = 16 << 10
	DefaultMaxRequestBytes = 4 << 20
	DefaultMaxKeys         = 4096
	DefaultMaxQueuedBytes  = 1 << 20
	DefaultMaxHeldBytes    = 16 << 20
	DefaultMaxLoads        = 1024
	DefaultMaxChanges      = 256
	DefaultDetect          = 500 * time.Millisecond
	DefaultIdleTimeout     = 150 * time.Second
	DefaultHelloTimeout    = 5 * time.Second
	DefaultFrameTimeout    = 10 * time.Second
)

// Config is how a stream behaves. A field that is zero has its default. The two
// sides need not have the same.
type Config struct {
	// LargeValue is the size in bytes from which on a value is too large for the
	// stream, because it would hold up the answers behind it. The asking side
	// takes no larger one: it gets peer.ErrLarge.
	LargeValue int
	// MaxRequests bounds the requests in flight. A batch is one request.
	MaxRequests int
	// MaxRequestBytes bounds the longest request, and what the frames of the
	// requests in flight have together: another may be sent while they have less.
	MaxRequestBytes int
	// MaxKeys bounds the keys of one batch.
	MaxKeys int

	// MaxQueuedBytes bounds the answers that wait to be written, on the answering
	// side. At the bound it reads no more requests, and loads wait to hand over
	// their answers.
	MaxQueuedBytes int
	// MaxHeldBytes bounds the values of the loads that wait to hand over their answers.
	// An answer beyond it becomes peer.ErrLarge.
	MaxHeldBytes int
	// MaxLoads bounds the loads of one Server. A batch counts as one for each key, up to
	// 32, or as one for each 32 keys if that is more. Requests beyond it wait for one of
	// them, and are refused if none gets on for 1.5 to 2 s: they may be waiting for what
	// waits here. What is asked inside of a load is not counted with these. There may be
	// four times as much of it, it waits for no place, and one beyond it is refused at once.
	MaxLoads int
	// MaxChanges bounds the changes of one Server that wait for other peers. Others
	// beyond it wait for one of them.
	MaxChanges int
	// Shared has the bounds for all streams of a process together. Nil is one that
	// no other stream shares, with the defaults of Limits.
	Shared *Shared
	// Stranger says that the peer is none that is known.
	Stranger bool

	// Detect is for how long nothing may come from the peer, while something is
	// awaited from it, before the Link fails. The peer is pinged in that time, so
	// a load that takes long is no failure.
	Detect time.Duration
	// IdleTimeout is after how long without a byte, or stuck in one write, a
	// Server closes its connection. The peer is told, and pings in time.
	IdleTimeout time.Duration
	// HelloTimeout bounds the time in which a Server gets the peer's first frame, and
	// FrameTimeout that from when a frame begins to arrive until it is whole.
	HelloTimeout, FrameTimeout time.Duration
}

func (c Config) withDefaults() Config {
	c.LargeValue = cmp.Or(c.LargeValue, DefaultLargeValue)
	c.MaxRequests = min(cmp.Or(c.MaxRequests, DefaultMaxRequests), mostRequests)
	c.MaxRequestBytes = cmp.Or(c.MaxRequestBytes, DefaultMaxRequestBytes)
	c.MaxKeys = cmp.Or(c.MaxKeys, DefaultMaxKeys)
	c.MaxQueuedBytes = cmp.Or(c.MaxQueuedBytes, DefaultMaxQueuedBytes)
	c.MaxHeldBytes = cmp.Or(c.MaxHeldBytes, DefaultMaxHeldBytes)
	c.MaxLoads = cmp.Or(c.MaxLoads, DefaultMaxLoads)
	c.MaxChanges = cmp.Or(c.MaxChanges, DefaultMaxChanges)
	c.Detect = cmp.Or(c.Detect, DefaultDetect)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	c.HelloTimeout = cmp.Or(c.HelloTimeout, DefaultHelloTimeout)
	c.FrameTimeout = cmp.Or(c.FrameTimeout, DefaultFrameTimeout)
	return c
}

const (
	// mostRequests keeps the place of a request in the lower part of its id.
	mostRequests = 1 << slotBits
	slotBits     = 20

	// besideValue is what a frame may have beyond its value: the fields around it,
	// the text of an error, fields of later versions.
	besideValue = 4 << 10
	// longestMessage is how much of an error's text is sent, in bytes.
	longestMessage = 2 << 10
	// longestHello bounds the first frame, before the sides know their limits.
	longestHello = 1 << 10
)

var (
	// ErrFull says that as much is in flight as the peer takes. Wait for Room.
	ErrFull = errors.New("stream: too much in flight")
	// ErrTooLarge says that the peer never takes a request of this size. It can
	// be asked by the plain way.
	ErrTooLarge = errors.New("stream: request too large")
	// ErrInvalid says that a request cannot be written down: its group is no text.
	ErrInvalid = errors.New("stream: invalid request")
	// ErrClosed says that this side closed the connection.
	ErrClosed = errors.New("stream: closed")
	// ErrGoAway says that the peer takes no more requests on this connection.
	ErrGoAway = errors.New("stream: the peer is leaving")
	// ErrSilent says that nothing came from the peer for the detection time, not
	// even an answer to a ping.
	ErrSilent = peer.ErrSilent
	// ErrHungUp says that the peer closed the connection without a word.
	ErrHungUp = errors.New("stream: the peer closed the connection")
	// ErrProtocol says that the peer sent what is not the protocol.
	ErrProtocol = errors.New("stream: protocol error")
)

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)
}
