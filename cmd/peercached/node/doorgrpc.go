package node

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/rpc"
)

// openGRPC makes the gRPC door, nil if there is none.
func openGRPC(n *node) (frontDoor, error) {
	c := n.cfg.GRPC
	if c == nil {
		return nil, nil
	}
	if err := n.grpcTokens.set(c.Tokens); err != nil {
		return nil, err
	}
	opts := []rpc.Option{
		rpc.WithLogger(n.log), rpc.WithReadiness(n.ready),
		rpc.WithLimits(rpc.Limits{MessageBytes: config.Int(c.MessageBytes), Connections: c.Connections, Streams: c.Streams, Calls: c.Calls, RequestBytes: int64(c.RequestBytes), Keys: c.Keys,
			Watchers: c.Watchers, WatchBytes: config.Int(c.WatchBytes), WatchSilence: c.WatchSilence}),
		rpc.WithAuthorizer(func(ctx context.Context, a rpc.Access) error {
			md, _ := metadata.FromIncomingContext(ctx)
			switch no := n.grpcTokens.check(strings.Join(md.Get("authorization"), ","), a.Right.String(), a.Group); {
			case no == nil:
				return nil
			case no.known:
				return status.Error(codes.PermissionDenied, no.text)
			default:
				return status.Error(codes.Unauthenticated, no.text)
			}
		}),
	}
	secure, err := serverTLS(c.TLS, "h2")
	if err != nil {
		return nil, fmt.Errorf("grpc.tls: %w", err)
	}
	if secure != nil {
		opts = append(opts, rpc.WithTLS(secure))
	}
	return rpc.New(n.caches, opts...)
}
