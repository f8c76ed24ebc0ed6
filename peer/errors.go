package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
)

// errors.Is finds these in the errors of peers and of groups.
var (
	// ErrNotFound says that the origin has no such key. A getter returns it or wraps it.
	// errors.Is finds it in the error of every Get that asked for the key, whichever peer's
	// getter returned it.
	ErrNotFound = errors.New("not found")
	// ErrKeySize says that a key is empty, or longer than the group allows
	// (peercache.WithMaxKeyBytes).
	ErrKeySize = errors.New("bad key size")
	// ErrValueSize says that a value is larger than the group allows
	// (peercache.WithMaxValueBytes).
	ErrValueSize = errors.New("value too large")
	// ErrClosed says that a pool was shut down.
	ErrClosed = errors.New("the pool is shut down")
)

// PeerError says that a peer could not be reached, did not speak the protocol, or refused to
// answer. It says nothing about the key: the caller may ask another peer.
type PeerError struct {
	Peer string // its name: with HTTP, its base URL
	Err  error
}

func (e *PeerError) Error() string { return fmt.Sprintf("peer %s: %v", e.Peer, e.Err) }

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// RemoteError is an error of the getter of another peer. It is that peer's answer (P6). DecodeError
// makes it.
type RemoteError struct {
	Peer    string // the name of the peer whose getter it was
	Message string // the text of the getter's error, as far as the peer tells it: see peercache.WithErrorText

	kind error // what the error is: see Unwrap
}

// Error quotes the Message, which comes from the other peer and may have any bytes, and shortens it
// if it is long.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("peer %s answered: %s", e.Peer, quote.Text(e.Message))
}

// Unwrap returns what the error was at the other peer: ErrNotFound, ErrKeySize, ErrValueSize,
// ErrNotCached, context.DeadlineExceeded or context.Canceled, or nil if it was none of them.
func (e *RemoteError) Unwrap() error { return e.kind }

// UnansweredError says that a peer gives signs of life, but has not answered in the time that a
// load may take. It is not a failure to reach the peer, which may be loading the key: so no other
// peer loads it (P1). Groups make it. A transport need not.
type UnansweredError struct {
	Peer   string
	Within time.Duration
}

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("peer %s is there, but gave no answer within %v", e.Peer, e.Within)
}

// Unwrap returns context.DeadlineExceeded.
func (e *UnansweredError) Unwrap() error { return context.DeadlineExceeded }

// IsUnanswered reports whether err is or wraps an *UnansweredError.
func IsUnanswered(err error) bool {
	_, ok := errors.AsType[*UnansweredError](err)
	return ok
}

// Unreachable reports whether err is a failure to reach a peer (a *PeerError), and not the peer's
// answer. Only then may the caller ask another peer.
func Unreachable(err error) bool {
	_, ok := errors.AsType[*PeerError](err)
	return ok
}

// ErrNotCached says that a key is not cached: as the error of Handler.Hit, and as the answer to a
// Query that is CachedOnly.
var ErrNotCached = errors.New("not cached")

// Misconfigured reports whether err comes from a wrong configuration, and not from a failure.
func Misconfigured(err error) bool {
	return errors.Is(err, ErrWrongPeer) || errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrNotAPeer) && !errors.Is(err, ErrGateway)
}

// Silent reports whether err says that a peer, or something on the way to it, hangs. Such a peer
// may still have the request, and may answer at any time. If nothing listens at its address, or
// something else does, it is not silent.
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

// Gone reports whether err says that the peer does not listen at its address: nothing does, or
// something else.
func Gone(err error) bool {
	return errors.Is(err, ErrRefused) || Misconfigured(err) && !errors.Is(err, ErrUnauthenticated) && !errors.Is(err, ErrUnauthorized)
}

// ErrWrongPeer says that another process answers at the address of a peer.
var ErrWrongPeer = errors.New("not the peer that was asked for")

// ErrUnauthenticated says that a peer does not accept the credentials of this process, or this
// process not those of what answers at the peer's address.
var ErrUnauthenticated = errors.New("not authenticated")

// ErrUnauthorized says that a peer knows who this process is, and does not let it do what it asks
// for: as a rule because this process is not on the peer's list. See peercache.WithAccess.
var ErrUnauthorized = errors.New("not authorized")

// IsUnauthorized reports whether the error of a Handler is one of RefuseUnauthorized.
func IsUnauthorized(err error) bool {
	r, ok := err.(*Refusal) // not one that a getter wraps
	return ok && r.kind == pb.Error_KIND_UNAUTHORIZED
}

// ErrSilent says that nothing came from a peer for the detection time (peercache.WithDetectionTime)
// while a request waited for it.
var ErrSilent = errors.New("the peer does not answer")

var (
	// ErrNotAPeer says that something which is no peer answers at the address.
	ErrNotAPeer = errors.New("the response is not a peer's")
	// ErrGateway says that a gateway answers in place of the peer. That may pass by itself.
	ErrGateway = errors.New("a gateway answers")
)

// ErrLarge says that a value needs a request of its own, because other answers would wait behind
// it. A Starter gives it to a Waiter, and the caller then uses Starter.GetLarge.
var ErrLarge = errors.New("the value takes a request of its own")
