package peercache

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
	{errNotCached, pb.Error_KIND_NOT_CACHED},
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

// encodeError puts the error of a load into the form it has on the wire.
func encodeError(err error) *pb.Error {
	// Not err.Error(): that of a nil pointer may panic, and fmt knows.
	text := fmt.Sprint(err)
	e := &pb.Error{Message: []byte(text[:min(len(text), mostErrorText)])}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			e.Kind = k.kind
			break
		}
	}
	return e
}

// encodeRefusal says that the request is not answered.
func encodeRefusal(kind pb.Error_Kind, text string) *pb.Error {
	return &pb.Error{Kind: kind, Message: []byte(text)}
}

// unknownGroup is the refusal of a request for a group that is not here.
func unknownGroup(name string) *pb.Error {
	return encodeRefusal(pb.Error_KIND_UNKNOWN_GROUP, fmt.Sprintf("%.*q", longestGroupName, name))
}

// decodeError returns the error that a peer sent.
func decodeError(peer string, e *pb.Error) error {
	text := string(e.GetMessage()[:min(len(e.GetMessage()), mostErrorText)])
	if refusal := refusals[e.GetKind()]; refusal != nil {
		return &PeerError{Peer: peer, Err: fmt.Errorf("%w: %s", refusal, quote.Text(text))}
	}
	remote := &RemoteError{Peer: peer, Message: text}
	for _, k := range errorKinds {
		if e.GetKind() == k.kind {
			remote.kind = k.err
		}
	}
	return remote
}
