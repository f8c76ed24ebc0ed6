package peercache

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// These are found by errors.Is in the errors that peercache returns, which say
// besides what was asked for.
var (
	// ErrNotFound says that the origin has no such key. A getter returns it or
	// wraps it; errors.Is finds it in the error of every Get that asked for the
	// key, whichever peer's getter it came from.
	ErrNotFound = peer.ErrNotFound
	// ErrKeySize says that a key is empty, or longer than the group allows
	// (WithMaxKeyBytes).
	ErrKeySize = peer.ErrKeySize
	// ErrValueSize says that a value is larger than the group allows
	// (WithMaxValueBytes).
	ErrValueSize = peer.ErrValueSize
	// ErrClosed says that a pool was shut down.
	ErrClosed = peer.ErrClosed
	// ErrUnauthorized says that a peer does not let this process do what it asks for: see
	// WithAccess. It is the cause of a PeerError.
	ErrUnauthorized = peer.ErrUnauthorized
	// ErrDecode says that a Typed group's codec could not make a value of the
	// cached bytes.
	ErrDecode = errors.New("the cached value cannot be decoded")
	// ErrLapsed says that a Remove, a Set or a Clear has reached the peers of the
	// view that this process has, but that there may be a newer one: it may have been
	// replaced. See WithConsistency. The call may be repeated, until the process is back.
	ErrLapsed = errors.New("the registration of this process has run out, or may have: it may have been replaced")
)

type (
	// PeerError says that a peer could not be reached, or did not speak the
	// protocol. It says nothing of the key: another peer may have it.
	PeerError = peer.PeerError
	// RemoteError is an error of the getter of another peer. It is that peer's
	// answer (P6).
	RemoteError = peer.RemoteError
	// ConfigError says what is wrong with the configuration of this process or of a peer.
	// errors.As finds it in the error of HTTPPool.Ready, and in that of a Remove, Set or
	// Clear that fails because of it.
	ConfigError = peer.ConfigError
	// ConfigProblem is a kind of wrong configuration. See ConfigError.
	ConfigProblem = peer.ConfigProblem
)

// The kinds of wrong configuration.
const (
	// WrongProcess: another process than the named one answers at an address. Meanwhile a
	// Remove of this process fails.
	WrongProcess = peer.WrongProcess
	// NotAPeer: what answers at an address is no peer. The pool may not be mounted there,
	// or under another base path, or something on the way answers in its place.
	NotAPeer = peer.NotAPeer
	// NotListening: connections to the address of this process itself are refused, and no
	// peer has reached it.
	NotListening = peer.NotListening
	// DifferentLists: a peer has had another list of peers for some time. Meanwhile a Remove
	// of this process fails.
	DifferentLists = peer.DifferentLists
	// MissingGroup: a peer lacks a group that this process has. The group's keys that the
	// peer owns go to the next peer.
	MissingGroup = peer.MissingGroup
	// Unauthenticated: a peer does not accept the certificate of this process, or this
	// process not that of what answers at the peer's address.
	Unauthenticated = peer.Unauthenticated
	// Unauthorized: a peer does not let this process do what it asks for, for some time: this
	// process is not on the peer's list, or its WithAccess says so.
	Unauthorized = peer.Unauthorized
)

// InvalidationError says that a Remove, a Set or a Clear has not reached everybody.
type InvalidationError struct {
	Group   string
	Pending []Pending // in the order of their names
}

// Pending is a peer that may still serve what was to be dropped.
type Pending struct {
	Peer  string    // its base URL
	Until time.Time // zero: no end is known
	Err   error     // why
}

// Error names the first of the peers, and counts the others: Pending has them all.
func (e *InvalidationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "peercache: group %q: the old values may still be served", e.Group)
	for i, p := range e.Pending {
		if i == quote.MostNamed {
			fmt.Fprintf(&b, "; and by %d more", len(e.Pending)-quote.MostNamed)
			break
		}
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(" by " + p.Peer)
		if !p.Until.IsZero() {
			fmt.Fprintf(&b, " until %s", p.Until.Format(time.RFC3339))
		}
		fmt.Fprintf(&b, ": %v", p.Err)
	}
	return b.String()
}

// Unwrap returns the errors of the peers.
func (e *InvalidationError) Unwrap() []error {
	errs := make([]error, len(e.Pending))
	for i, p := range e.Pending {
		errs[i] = p.Err
	}
	return errs
}

// because returns err with its cause, which may be nil.
func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
