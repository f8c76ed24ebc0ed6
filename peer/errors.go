package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/peercache/peercache/internal/quote"
)

// These are found by errors.Is in the errors of peers and of groups.
var (
	// ErrNotFound says that the origin has no such key. A getter returns it or
	// wraps it; errors.Is finds it in the error of every Get that asked for the
	// key, whichever peer's getter it came from.
	ErrNotFound = errors.New("not found")
	// ErrKeySize says that a key is empty, or longer than the group allows
	// (WithMaxKeyBytes).
	ErrKeySize = errors.New("bad key size")
	// ErrValueSize says that a value is larger than the group allows
	// (WithMaxValueBytes).
	ErrValueSize = errors.New("value too large")
	// ErrClosed says that a pool was shut down.
	ErrClosed = errors.New("the pool is shut down")
)

// PeerError says that a peer could not be reached, or did not speak the
// protocol. It says nothing of the key: another peer may have it.
type PeerError struct {
	Peer string // its base URL
	Err  error
}

func (e *PeerError) Error() string { return fmt.Sprintf("peer %s: %v", e.Peer, e.Err) }

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// RemoteError is an error of the getter of another peer. It is that peer's
// answer (P6).
type RemoteError struct {
	Peer    string // the base URL of the peer whose getter it was
	Message string // the text of the getter's error there, as far as the peer tells it: see WithErrorText

	kind error // what the error is: see Unwrap
}

// Error quotes the text, of which it shows a part if it is long: it is the other peer's, and
// may hold anything.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("peer %s answered: %s", e.Peer, quote.Text(e.Message))
}

// Unwrap returns what kind of error it was on the other peer: ErrNotFound,
// ErrKeySize, ErrValueSize, context.DeadlineExceeded or context.Canceled; nil if
// it was none of them.
func (e *RemoteError) Unwrap() error { return e.kind }

// UnansweredError says that a peer gives signs of life, and has not answered in the time
// that a load may take. It is no failure to reach the peer: it may be loading the key, so
// nobody else is to load it (P1).
type UnansweredError struct {
	Peer   string
	Within time.Duration
}

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("peer %s is there, but gave no answer within %v", e.Peer, e.Within)
}

// Unwrap makes it a context.DeadlineExceeded.
func (e *UnansweredError) Unwrap() error { return context.DeadlineExceeded }

func IsUnanswered(err error) bool {
	_, ok := errors.AsType[*UnansweredError](err)
	return ok
}

// Unreachable reports whether err is a failure to reach a peer, as opposed to
// that peer's answer. Only then may another peer be asked.
func Unreachable(err error) bool {
	_, ok := errors.AsType[*PeerError](err)
	return ok
}

// ErrNotCached answers a Query that is for what is cached.
var ErrNotCached = errors.New("not cached")

// Misconfigured reports whether err is one that a wrong configuration has, and not a failure.
func Misconfigured(err error) bool {
	return errors.Is(err, ErrWrongPeer) || errors.Is(err, ErrNotAPeer) && !errors.Is(err, ErrGateway)
}

// Silent reports whether err says that a peer hangs, or what is on the way to it does: it may
// answer at any time. Where nothing listens, or something else does, that is an answer of a
// kind.
func Silent(err error) bool {
	var answer *RemoteError
	var timeout net.Error
	switch {
	case errors.As(err, &answer):
		return false
	case errors.Is(err, ErrSilent), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	return Unreachable(err) && errors.As(err, &timeout) && timeout.Timeout()
}

// Gone reports whether err says that the peer does not listen at its address: nobody does, or
// somebody else.
func Gone(err error) bool {
	return errors.Is(err, ErrRefused) || Misconfigured(err)
}

// ErrWrongPeer says that a process answers at the address of a peer that is another one.
var ErrWrongPeer = errors.New("not the peer that was asked for")

// ErrSilent says that nothing came from a peer by the plain way for the detection time.
var ErrSilent = errors.New("the peer does not answer")

var (
	// ErrNotAPeer says that a response is not one of the protocol's.
	ErrNotAPeer = errors.New("the response is not a peer's")
	// ErrGateway says that a gateway answered in the peer's place, which may pass by itself.
	ErrGateway = errors.New("a gateway answers")
)

// ErrLarge says that a value takes a request of its own, because it would hold up other answers. A
// Waiter gets it: ask by Starter.GetLarge.
var ErrLarge = errors.New("the value takes a request of its own")
