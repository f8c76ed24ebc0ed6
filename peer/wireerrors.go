package peer

import (
	"context"
	"errors"
	"fmt"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/pb"
)

// errorKinds pairs the errors that keep their identity on the way from one peer
// to another with their names on the wire (P6).
var errorKinds = []struct {
	err  error
	kind pb.Error_Kind
}{
	{ErrNotFound, pb.Error_KIND_NOT_FOUND},
	{ErrValueSize, pb.Error_KIND_VALUE_SIZE},
	{ErrKeySize, pb.Error_KIND_INVALID},
	{context.DeadlineExceeded, pb.Error_KIND_TIMEOUT},
	{context.Canceled, pb.Error_KIND_CANCELED},
	{ErrNotCached, pb.Error_KIND_NOT_CACHED},
}

// refusals are the errors of a peer that has not answered: another may. They are
// apart, so that a getter's error, which may come from a pool of its own, never
// reads as one.
var refusals = map[pb.Error_Kind]error{
	pb.Error_KIND_UNKNOWN_GROUP: errUnknownGroup,
	pb.Error_KIND_SHUTTING_DOWN: ErrClosed,
}

// errUnknownGroup says that a peer has no group of the name that was asked for.
var errUnknownGroup = errors.New("no such group")

// EncodeError puts the error of a Handler into the form that it has on the wire.
func EncodeError(err error) *pb.Error {
	if r, ok := err.(*Refusal); ok { // not one that a getter wraps
		return &pb.Error{Kind: r.kind, Message: []byte(r.text)}
	}
	// Not err.Error(): that of a nil pointer may panic, and fmt knows.
	text := fmt.Sprint(err)
	e := &pb.Error{Message: []byte(text[:min(len(text), MaxErrorText)])}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			e.Kind = k.kind
			break
		}
	}
	return e
}

// A Refusal is the error of a Handler that does not answer a request: another peer may.
type Refusal struct {
	kind pb.Error_Kind
	text string
}

func (r *Refusal) Error() string { return r.text }

// RefuseClosed says that the process of that name is leaving.
func RefuseClosed(name string) *Refusal { return &Refusal{pb.Error_KIND_SHUTTING_DOWN, name} }

// RefuseGroup says that there is no group of that name. Its text is the name as it is: who gets it
// quotes it.
func RefuseGroup(name string) *Refusal {
	return &Refusal{pb.Error_KIND_UNKNOWN_GROUP, name[:min(len(name), MaxGroupName)]}
}

// RefuseInvalid says that a request breaks a limit or a rule of the protocol.
func RefuseInvalid(text string) *Refusal { return &Refusal{pb.Error_KIND_INVALID, text} }

// Refuse says why a request is not obeyed.
func Refuse(text string) *Refusal { return &Refusal{pb.Error_KIND_UNKNOWN, text} }

// Told is an error of which the one who asks is told another text.
type Told struct {
	Text string
	Err  error
}

func (e *Told) Error() string { return e.Text }

// Unwrap returns the error, of which the kind is told.
func (e *Told) Unwrap() error { return e.Err }

// DecodeError returns the error that the peer of that name sent.
func DecodeError(from string, e *pb.Error) error {
	text := string(e.GetMessage()[:min(len(e.GetMessage()), MaxErrorText)])
	if refusal := refusals[e.GetKind()]; refusal != nil {
		return &PeerError{Peer: from, Err: fmt.Errorf("%w: %s", refusal, quote.Text(text))}
	}
	remote := &RemoteError{Peer: from, Message: text}
	for _, k := range errorKinds {
		if e.GetKind() == k.kind {
			remote.kind = k.err
		}
	}
	return remote
}

// Received returns what the one who asks gets of an error of a Handler of the peer of that name: what
// DecodeError makes of EncodeError.
func Received(from string, err error) error {
	if err == nil {
		return nil
	}
	return DecodeError(from, EncodeError(err))
}
