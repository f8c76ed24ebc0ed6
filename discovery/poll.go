package discovery

import (
	"context"
	"errors"
	"slices"
	"time"
)

// errNobody is of a source that names no peers. That is never the truth: this
// process, at least, is there.
var errNobody = errors.New("it names no peers")

// follow reads a list of peers now and then every s.poll, and reports each that
// differs from the last, in whatever order. After a read that fails the last view
// stands. It returns nil when ctx ends.
func (s settings) follow(ctx context.Context, read func(context.Context) ([]string, error), report func(View)) error {
	ticks := time.NewTicker(s.poll)
	defer ticks.Stop()
	var last []string
	failures := 0 // since the last good read
	for {
		peers, err := read(ctx)
		if err == nil && len(peers) == 0 {
			err = errNobody
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			// Once for a row of them, not at every tick.
			if failures++; failures == 1 {
				s.log.Warn("discovery: the peers cannot be read, the last view stands", "err", err)
			}
		default:
			if failures > 0 {
				s.log.Info("discovery: the peers can be read again", "failures", failures)
				failures = 0
			}
			slices.Sort(peers)
			if peers = slices.Compact(peers); !slices.Equal(peers, last) {
				last = peers
				report(View{Peers: slices.Clone(peers)})
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}
