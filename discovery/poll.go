package discovery

import (
	"context"
	"errors"
	"slices"
	"time"
)

// errNobody says that a source names no peers. That cannot be right: this process at least is one.
var errNobody = errors.New("nobody is named")

// follow reads a list of peers now and every s.poll, and reports each list that differs from the
// last one in more than its order. A read of no peers changes nothing. A read may return some peers
// together with an error, which is about those that it left out. A peer that a read lacks stays for
// s.keep. follow returns nil when ctx ends.
func (s settings) follow(ctx context.Context, read func(context.Context) ([]string, error), report func(View)) error {
	ticks := time.NewTicker(s.poll)
	defer ticks.Stop()
	var last []string
	missing := absent{keep: s.keep, since: make(map[string]time.Time)}
	failures := 0 // since the last good read
	for {
		peers, err := read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil && len(peers) == 0 {
			err = errNobody
		}
		switch {
		case err == nil && failures > 0:
			s.log.Info("the peers can be read again", "failures", failures)
			failures = 0
		case err != nil:
			if failures++; failures == 1 { // once, not at every tick
				s.log.Warn("the peers cannot be read, or not all of them", "found", len(peers), "err", err)
			}
		}
		slices.Sort(peers)
		peers = slices.Compact(peers)
		if len(peers) > 0 {
			peers = missing.add(peers, last)
			s.warnOfParts(&missing)
		}
		if len(peers) > 0 && !slices.Equal(peers, last) {
			last = peers
			report(View{Peers: slices.Clone(peers)})
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}
