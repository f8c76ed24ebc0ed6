package rpc

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

const (
	// mostText bounds the text of a status, in bytes, and mostUnreached the peers in its details.
	// Both travel in headers, which proxies bound, often at 8 KiB.
	mostText      = 1 << 10
	mostUnreached = 16
	mostReason    = 128
)

// errClosing ends a call because of Shutdown.
var errClosing = statusOf(codes.Unavailable, "the node is shutting down", cachepb.Reason_KIND_SHUTTING_DOWN)

// statusOf returns an error with a reason in its details, and more of them.
func statusOf(code codes.Code, text string, reason cachepb.Reason_Kind, more ...protoadapt.MessageV1) error {
	st := status.New(code, clean(text, mostText))
	var details []protoadapt.MessageV1
	if reason != cachepb.Reason_KIND_UNSPECIFIED {
		details = append(details, protoadapt.MessageV1Of(&cachepb.Reason{Kind: reason}))
	}
	if details = append(details, more...); len(details) == 0 {
		return st.Err()
	}
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}

// clean returns a text as a status may have it.
func clean(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func noGroup(name string) error {
	return statusOf(codes.NotFound, "there is no group "+quote.Key(name), cachepb.Reason_KIND_GROUP_NOT_FOUND)
}

// getError returns the status for the error of a Get. ctx is that of the call.
func getError(ctx context.Context, err error) error {
	code, reason := kindOf(ctx, err)
	return statusOf(code, err.Error(), reason)
}

// kindOf returns what the error of a Get is.
func kindOf(ctx context.Context, err error) (codes.Code, cachepb.Reason_Kind) {
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return status.FromContextError(ctx.Err()).Code(), cachepb.Reason_KIND_UNSPECIFIED
	case errors.Is(err, peercache.ErrNotFound):
		return codes.NotFound, cachepb.Reason_KIND_KEY_NOT_FOUND
	case errors.Is(err, peercache.ErrKeySize):
		return codes.InvalidArgument, cachepb.Reason_KIND_KEY_SIZE
	case errors.Is(err, peercache.ErrValueSize): // the origin's, not the client's
		return codes.FailedPrecondition, cachepb.Reason_KIND_VALUE_SIZE
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded, cachepb.Reason_KIND_UNSPECIFIED
	case errors.Is(err, context.Canceled): // not by the client
		return codes.Aborted, cachepb.Reason_KIND_UNSPECIFIED
	case errors.Is(err, peercache.ErrClosed), peer.Unreachable(err):
		return codes.Unavailable, cachepb.Reason_KIND_UNSPECIFIED
	}
	return codes.Unknown, cachepb.Reason_KIND_UNSPECIFIED
}

// changeError returns the status for the error of a Set, Remove or Clear. ctx is that of the call.
func changeError(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*peercache.InvalidationError](err); ok {
		code := codes.Unavailable
		if _, wrong := errors.AsType[*peercache.ConfigError](err); wrong {
			code = codes.FailedPrecondition
		}
		if ctx.Err() != nil {
			code = status.FromContextError(ctx.Err()).Code()
		}
		return statusOf(code, err.Error(), cachepb.Reason_KIND_UNREACHED, protoadapt.MessageV1Of(unreached(e)))
	}
	switch {
	case errors.Is(err, peercache.ErrValueSize):
		return statusOf(codes.InvalidArgument, err.Error(), cachepb.Reason_KIND_VALUE_SIZE)
	case errors.Is(err, peercache.ErrLapsed):
		return statusOf(codes.Unavailable, err.Error(), cachepb.Reason_KIND_UNREACHED)
	}
	return getError(ctx, err)
}

// unreached returns the peers that a change has not reached.
func unreached(e *peercache.InvalidationError) *cachepb.Unreached {
	u := new(cachepb.Unreached)
	for _, p := range e.Pending[:min(len(e.Pending), mostUnreached)] {
		left := int64(-1)
		if !p.Until.IsZero() {
			left = max(0, int64(time.Until(p.Until)))
		}
		reason := ""
		if p.Err != nil {
			reason = clean(p.Err.Error(), mostReason)
		}
		u.Peers = append(u.Peers, &cachepb.Unreached_Peer{Name: clean(p.Peer, mostReason), LeftNs: left, Reason: reason})
	}
	return u
}
