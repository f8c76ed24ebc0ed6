package peercache

import (
	"context"
	"runtime"

	"github.com/peercache/peercache/internal/cluster"
)

// Forget drops what a process has of a key that it owns, as if it had been evicted.
func (g *Group) Forget(key string) { g.main.Remove(key) }

// Agree waits until the peers of a pool have its view.
func (p *HTTPPool) Agree(ctx context.Context) { p.cluster.Agree(ctx) }

// Epoch counts how often peers were heard to begin to have another view.
func (p *HTTPPool) Epoch() uint64 { return p.cluster.Agreement().Epoch }

// OnForgotten has f called when nothing in memory holds a peer any more.
func OnForgotten(p Peer, f func()) {
	runtime.AddCleanup(p.(*cluster.Member), func(struct{}) { f() }, struct{}{})
}
