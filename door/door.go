// Package door has what the front doors of a node have in common. A front door serves groups to
// those who do not embed them: packages api (HTTP), resp (Redis clients) and rpc (gRPC).
package door

import (
	"context"
	"time"

	"github.com/peercache/peercache"
)

// Cache is what a front door serves under a name: a *peercache.Group, or what a gateway puts in its
// place. The methods do what those of a Group do.
type Cache interface {
	Name() string
	Get(ctx context.Context, key string) (peercache.ByteView, error)
	GetWithTTL(ctx context.Context, key string) (view peercache.ByteView, ttl time.Duration, err error)
	GetMulti(ctx context.Context, keys []string) []peercache.Result
	Set(ctx context.Context, key string, item peercache.Item) error
	Remove(ctx context.Context, keys ...string) error
	Clear(ctx context.Context) error
	Watch(f func(peercache.Invalidation)) peercache.Watch
}

var _ Cache = (*peercache.Group)(nil)
