package discovery

import (
	"context"
	"errors"
	"slices"
	"time"
)

// errNobody is of a source that names no peers. That is never the truth: this
// process, at least, is there.
var errNobody = errors.New("nobody is named")

// follow reads a list of peers now and every s.poll, and reports each that differs
// from the last, in whatever order. A read that gives nobody changes nothing. One
// may give some peers and an error, for those that are left out. Who is missing in a read
// stays for s.keep. follow returns nil when ctx ends.
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
