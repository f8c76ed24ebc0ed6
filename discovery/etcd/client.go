package etcd

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// newClient makes the client of a Discovery that has its own. It outlives ctx,
// because the registration is withdrawn when that has ended.
func newClient(ctx context.Context, config clientv3.Config) (*clientv3.Client, error) {
	config.DialTimeout = cmp.Or(config.DialTimeout, 5*time.Second)
	// etcd closes connections that ping more often than every five seconds.
	config.DialKeepAliveTime = cmp.Or(config.DialKeepAliveTime, 10*time.Second)
	config.DialKeepAliveTimeout = cmp.Or(config.DialKeepAliveTimeout, 5*time.Second)
	// Without it, an answer may have 2 GiB. All keys of 65,536 peers have less than this.
	config.MaxCallRecvMsgSize = cmp.Or(config.MaxCallRecvMsgSize, 64<<20)
	if config.Logger == nil && config.LogConfig == nil {
		config.Logger = zap.NewNop() // it logs every retry
	}
	if config.Context == nil {
		config.Context = context.WithoutCancel(ctx)
	}
	lifetime, cancel := context.WithCancel(config.Context)
	config.Context = lifetime
	defer context.AfterFunc(ctx, cancel)() // from here on, etcd may be asked for a token
	return clientv3.New(config)
}

// forPeople reports whether an error is one that only people can mend: etcd is
// there, and refuses.
func forPeople(err error) bool {
	if errors.Is(err, rpctypes.ErrAuthFailed) || errors.Is(err, rpctypes.ErrUserEmpty) {
		return true
	}
	code := status.Code(err)
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = e.Code()
	}
	return code == codes.PermissionDenied || code == codes.Unauthenticated
}
