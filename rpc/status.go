package rpc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/quote"
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

// failed returns the status for the error of a Get, and logs what clients are not told. ctx is that of
// the call.
func (s *Server) failed(ctx context.Context, group string, err error) error {
	code, reason := kindOf(ctx, err)
	return statusOf(code, s.textOf(ctx, group, err), reason)
}

// textOf returns what a client is told of the error of a group: by default nothing of the origin's own
// words, which are logged.
func (s *Server) textOf(ctx context.Context, group string, err error) string {
	failure := door.FailureOf(err)
	if ctx.Err() == nil && failure != door.NotFound && failure != door.KeySize {
		s.audits.Record(audit.Failed, slog.LevelWarn, group+" "+failure.String(), "a call failed", slog.String("group", group), slog.Any("err", err))
	}
	if s.opts.errorText != nil && (failure == door.Origin || failure == door.NotFound) {
		return s.opts.errorText(err)
	}
	return failure.String()
}

// kindOf returns what the error of a Get is.
func kindOf(ctx context.Context, err error) (codes.Code, cachepb.Reason_Kind) {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return status.FromContextError(ctx.Err()).Code(), cachepb.Reason_KIND_UNSPECIFIED
	}
	switch door.FailureOf(err) {
	case door.NotFound:
		return codes.NotFound, cachepb.Reason_KIND_KEY_NOT_FOUND
	case door.KeySize:
		return codes.InvalidArgument, cachepb.Reason_KIND_KEY_SIZE
	case door.ValueSize: // the origin's, not the client's
		return codes.FailedPrecondition, cachepb.Reason_KIND_VALUE_SIZE
	case door.Timeout:
		return codes.DeadlineExceeded, cachepb.Reason_KIND_UNSPECIFIED
	case door.Canceled: // not by the client
		return codes.Aborted, cachepb.Reason_KIND_UNSPECIFIED
	case door.Closed, door.Unreachable:
		return codes.Unavailable, cachepb.Reason_KIND_UNSPECIFIED
	}
	return codes.Unknown, cachepb.Reason_KIND_UNSPECIFIED
}

// unchanged returns the status for the error of a Set, Remove or Clear. ctx is that of the call.
func (s *Server) unchanged(ctx context.Context, group string, err error) error {
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
	switch door.FailureOf(err) {
	case door.ValueSize:
		return statusOf(codes.InvalidArgument, door.ValueSize.String(), cachepb.Reason_KIND_VALUE_SIZE)
	case door.Lapsed:
		return statusOf(codes.Unavailable, door.Lapsed.String(), cachepb.Reason_KIND_UNREACHED)
	}
	return s.failed(ctx, group, err)
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
