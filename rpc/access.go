package rpc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/peercache/peercache/internal/quote"
)

// Right is something that a client may do with a group.
type Right uint8

const (
	RightGet    Right = 1 << iota // Get, BatchGet
	RightChange                   // Set, Remove
	RightClear                    // Clear
	RightWatch                    // Watch
)

var rightNames = map[Right]string{RightGet: "get", RightChange: "change", RightClear: "clear", RightWatch: "watch"}

// String returns the right in lower case, such as "get".
func (r Right) String() string {
	if name := rightNames[r]; name != "" {
		return name
	}
	return fmt.Sprintf("Right(%d)", uint8(r))
}

// Rights are what a token allows.
type Rights struct {
	// May is what may be done, combined by |.
	May Right
	// Groups are the names of the groups with which. None means all.
	Groups []string
}

// All are the rights to do everything with all groups.
var All = Rights{May: RightGet | RightChange | RightClear | RightWatch}

func (r *Rights) allow(group string, right Right) bool {
	return r.May&right != 0 && (len(r.Groups) == 0 || slices.Contains(r.Groups, group))
}

// Access is what a client asks for, for the func of a WithAuthorizer.
type Access struct {
	Group string
	Right Right
}

// leastToken is the least that a token has, in bytes.
const leastToken = 16

// WithTokens lets in only clients that send one of these tokens, in the metadata
// "authorization: Bearer TOKEN", and lets each do what its Rights say. Whoever has none may ask for
// the health alone. A token has at least 16 bytes, best 32 random ones, as from
// "openssl rand -base64 32". Without WithTLS, tokens are sent as they are.
func WithTokens(tokens map[string]Rights) Option {
	return func(o *options) error {
		if len(tokens) == 0 {
			return errors.New("WithTokens without tokens, which would let in nobody: want one, or leave the option out")
		}
		o.tokens = make(map[[32]byte]Rights, len(tokens))
		for token, rights := range tokens {
			switch {
			case len(token) < leastToken:
				return fmt.Errorf("WithTokens: a token of %d bytes: want at least %d; is the variable set that it comes from?", len(token), leastToken)
			case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
				return errors.New("WithTokens: a token with other than printable ASCII characters, or with spaces: want none")
			case rights.May == 0 || rights.May&^All.May != 0:
				return fmt.Errorf("WithTokens: a token with the rights %#x: want a combination of RightGet, RightChange, RightClear and RightWatch", uint8(rights.May))
			}
			rights.Groups = slices.Clone(rights.Groups)
			o.tokens[sha256.Sum256([]byte(token))] = rights
		}
		return nil
	}
}

// WithAuthorizer makes allow decide what a client may do, in addition to WithTokens: an error refuses
// it. It is logged, and not sent, unless it is a status of gRPC. The context is that of the call, from
// which package metadata has what the client has sent, and package peer its address and certificate.
// allow is called concurrently. A panic refuses.
func WithAuthorizer(allow func(ctx context.Context, a Access) error) Option {
	return func(o *options) error {
		if allow == nil {
			return errors.New("WithAuthorizer(nil): want a func")
		}
		o.authorize = allow
		return nil
	}
}

// rightsKey is the key of the Rights in the context of a call.
type rightsKey struct{}

var (
	errNoToken      = status.Error(codes.Unauthenticated, "want the metadata \"authorization: Bearer TOKEN\"")
	errTooManyCalls = status.Error(codes.ResourceExhausted, "too many calls are in progress")

	errBadToken = status.Error(codes.Unauthenticated, "the token is not known here")
)

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
	var token string
	if values := info.Header.Get("authorization"); len(values) == 1 {
		scheme, rest, _ := strings.Cut(values[0], " ")
		if strings.EqualFold(scheme, "bearer") {
			token = strings.TrimSpace(rest)
		}
	}
	if token == "" {
		return nil, errNoToken
	}
	rights, ok := s.opts.tokens[sha256.Sum256([]byte(token))]
	if !ok {
		return nil, errBadToken
	}
	return context.WithValue(ctx, rightsKey{}, &rights), nil
}

// may returns an error if the client may not do that. The error is a status.
func (s *Server) may(ctx context.Context, group string, right Right) error {
	if s.opts.tokens != nil {
		rights, _ := ctx.Value(rightsKey{}).(*Rights)
		if rights == nil || !rights.allow(group, right) {
			return status.Errorf(codes.PermissionDenied, "the token does not allow to %s in the group %s", right, quote.Key(group))
		}
	}
	if s.opts.authorize == nil {
		return nil
	}
	err := s.authorized(ctx, Access{Group: group, Right: right})
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	s.refused(ctx, "a call was refused", slog.String("group", quote.Key(group)), slog.String("right", right.String()), slog.Any("err", err))
	return status.Errorf(codes.PermissionDenied, "not allowed to %s in the group %s", right, quote.Key(group))
}

// authorized calls the user's func.
func (s *Server) authorized(ctx context.Context, a Access) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the func of WithAuthorizer panicked: %v", p)
		}
	}()
	return s.opts.authorize(ctx, a)
}
