package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/quote"
)

// WithTokens lets in only clients that send one of these tokens, in the metadata
// "authorization: Bearer TOKEN", and lets each do what its rights say. Whoever has none may ask for
// the health alone. Without WithTLS, tokens are sent as they are. The tokens may be replaced while the
// server is in use: calls in progress, Watches among them, go on with the rights that they had.
func WithTokens(tokens *door.Tokens) Option {
	return func(o *options) error {
		if tokens == nil {
			return errors.New("WithTokens(nil): want tokens, or leave the option out")
		}
		o.tokens = tokens
		return nil
	}
}

// WithAuthorizer makes allow decide what a client may do, in addition to WithTokens: an error refuses
// it. It is logged, and not sent, unless it is a status of gRPC or a door.ErrUnauthenticated. The context is that of the call, from
// which package metadata has what the client has sent, and package peer its address and certificate.
// allow is called concurrently. A panic refuses.
func WithAuthorizer(allow func(ctx context.Context, a door.Access) error) Option {
	return func(o *options) error {
		if allow == nil {
			return errors.New("WithAuthorizer(nil): want a func")
		}
		o.authorize = allow
		return nil
	}
}

// rightsKey is the key of the *door.Rights in the context of a call.
type rightsKey struct{}

var errTooManyCalls = status.Error(codes.ResourceExhausted, "too many calls are in progress")

// admit refuses a call without a token, and one too many, before any of its messages is read. It is a
// tap.ServerInHandle. Health has some more room, so that a node that is busy is not taken for dead.
func (s *Server) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	most, isHealth := int64(s.opts.limits.Calls), strings.HasPrefix(info.FullMethodName, healthPrefix)
	if isHealth {
		most += most/8 + 1
	}
	switch {
	case s.flow.calls.Load() > most:
		return nil, errTooManyCalls
	case isHealth || s.opts.tokens == nil:
		return ctx, nil
	}
	header := ""
	if values := info.Header.Get("authorization"); len(values) == 1 {
		header = values[0]
	}
	rights, err := s.opts.tokens.Bearer(header)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return context.WithValue(ctx, rightsKey{}, rights), nil
}

// may returns an error if the client may not do that. The error is a status.
func (s *Server) may(ctx context.Context, a door.Access) error {
	if s.opts.tokens != nil {
		rights, _ := ctx.Value(rightsKey{}).(*door.Rights)
		if rights == nil || !rights.Allow(a) {
			return status.Errorf(codes.PermissionDenied, "the token does not allow to %s in the group %s", a.Right, quote.Key(a.Group))
		}
	}
	if s.opts.authorize == nil {
		return nil
	}
	err := s.authorized(ctx, a)
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	s.refused(ctx, "a call was refused", slog.String("group", quote.Key(a.Group)), slog.String("right", a.Right.String()), slog.Any("err", err))
	if errors.Is(err, door.ErrUnauthenticated) {
		return status.Error(codes.Unauthenticated, clean(err.Error(), mostText))
	}
	return status.Errorf(codes.PermissionDenied, "not allowed to %s in the group %s", a.Right, quote.Key(a.Group))
}

// authorized calls the user's func.
func (s *Server) authorized(ctx context.Context, a door.Access) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the func of WithAuthorizer panicked: %v", p)
		}
	}()
	return s.opts.authorize(ctx, a)
}
