package peercache

import (
	"context"
	"errors"
	"fmt"

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
	{errUnknownGroup, pb.Error_KIND_UNKNOWN_GROUP},
	{ErrClosed, pb.Error_KIND_SHUTTING_DOWN},
	{context.DeadlineExceeded, pb.Error_KIND_TIMEOUT},
	{context.Canceled, pb.Error_KIND_CANCELED},
}

// errUnknownGroup says that a peer has no group of the name that was asked for.
var errUnknownGroup = errors.New("no such group")

// encodeError puts an error into the form it has on the wire.
func encodeError(err error) *pb.Error {
	e := &pb.Error{Message: []byte(err.Error())}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			e.Kind = k.kind
			break
		}
	}
	return e
}

// decodeError returns the error that a peer sent. A peer that has no such group,
// or is about to leave, has not answered: another may.
func decodeError(peer string, e *pb.Error) error {
	remote := &RemoteError{Peer: peer, Message: string(e.GetMessage())}
	for _, k := range errorKinds {
		if e.GetKind() == k.kind {
			remote.kind = k.err
		}
	}
	switch remote.kind {
	case errUnknownGroup, ErrClosed:
		return &PeerError{Peer: peer, Err: fmt.Errorf("%w: %s", remote.kind, remote.Message)}
	}
	return remote
}
