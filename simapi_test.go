package peercache_test

import (
	"context"
	"time"

	"github.com/peercache/peercache"
)

// setter and clearer are groups that have these methods.
type (
	setter interface {
		Set(ctx context.Context, key string, item peercache.Item) error
	}
	clearer interface {
		Clear(ctx context.Context) error
	}
)

// freshnessOptions makes options of what a scenario asks for. While it is nil,
// groups have none of them, and a TTL is the getter's alone.
var freshnessOptions func(f freshness) []peercache.GroupOption

// plantedBugs are those that the checker must find.
var plantedBugs map[string]peercache.GroupOption

// pendingOf returns the peers that err names, and until when each may serve an
// old value, and whether err is one that names such peers. While it is nil, an
// error promises nothing.
var pendingOf func(err error, start time.Time) (pending map[string]time.Duration, named bool)
