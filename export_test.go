package peercache

import (
	"context"
	"runtime"
)

// WithPlanted plants a bug: see planted.go.
func WithPlanted(b bug) GroupOption {
	return func(g *Group) error {
		g.planted = b
		return nil
	}
}

// The bugs that can be planted.
const (
	PlantNoTaint         = noTaint
	PlantLeaseFromAnswer = leaseFromAnswer
	PlantCopiesFirst     = copiesFirst
	PlantOfferWins       = offerWins
	PlantLogsIgnored     = logsIgnored
	PlantAbsentForgotten = absentForgotten
)

// Forget drops what a process has of a key that it owns, as if it had been evicted.
func (g *Group) Forget(key string) { g.main.Remove(key) }

// Agree waits until the peers of a pool have its view.
func (p *HTTPPool) Agree(ctx context.Context) { p.agree(ctx) }

// Epoch counts how often peers were heard to begin to have another view.
func (p *HTTPPool) Epoch() uint64 { return p.agreement().epoch }

// OnForgotten has f called when nothing in memory holds a peer any more.
func OnForgotten(p Peer, f func()) {
	runtime.AddCleanup(p.(*httpPeer), func(struct{}) { f() }, struct{}{})
}
