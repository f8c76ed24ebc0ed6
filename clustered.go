package peercache

import (
	"context"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
)

// clustered is a Group as its cluster sees it. See cluster.Group.
type clustered struct{ *Group }

func (g clustered) Name() string                                 { return g.name }
func (g clustered) Pick(key string, n int) Peer                  { return g.pick(key, n) }
func (g clustered) DropAll()                                     { g.drop(&Change{All: true}) }
func (g clustered) Consistent() bool                             { return g.registrar != nil }
func (g clustered) ViewChanged(at clock.Instant) []cluster.Moved { return g.viewChanged(at) }
func (g clustered) Drain(ctx context.Context) error              { return g.wait(ctx) }
func (g clustered) HasSnapshot() bool                            { return g.snapshot != nil }
func (g clustered) Restored() <-chan struct{}                    { return g.snapshot.restored }
func (g clustered) OutdateSnapshot() error                       { return g.outdateSnapshot() }

func (g clustered) TakeOver(ctx context.Context, key string, from Peer, left clock.Instant) {
	g.takeOver(ctx, key, from, left)
}

func (g clustered) Save(departure uint64, note func() ([]byte, error)) error {
	return g.save(departure, note)
}
