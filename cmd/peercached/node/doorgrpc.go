package node

import (
	"fmt"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/rpc"
)

// openGRPC makes the gRPC door, nil if there is none.
func openGRPC(n *node) (frontDoor, error) {
	c := n.cfg.GRPC
	if c == nil {
		return nil, nil
	}
	if err := setTokens(&n.grpcTokens, c.Tokens); err != nil {
		return nil, fmt.Errorf("grpc.tokens: %w", err)
	}
	opts := []rpc.Option{
		rpc.WithLogger(n.log), rpc.WithReadiness(n.ready),
		rpc.WithLimits(rpc.Limits{MessageBytes: config.Int(c.MessageBytes), Connections: c.Connections, Streams: c.Streams, Calls: c.Calls, RequestBytes: int64(c.RequestBytes), Keys: c.Keys,
			Watchers: c.Watchers, WatchBytes: config.Int(c.WatchBytes), WatchSilence: c.WatchSilence}),
		rpc.WithTokens(&n.grpcTokens),
		// The configuration was asked already whether strangers may come.
		rpc.WithInsecure(),
	}
	if n.data != nil {
		opts = append(opts, rpc.WithData(n.cfg.Data.Name, n.data))
	}
	if c.ShowErrors {
		opts = append(opts, rpc.WithErrorText(func(err error) string { return err.Error() }))
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
