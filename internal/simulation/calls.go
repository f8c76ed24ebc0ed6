package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/peercache/peercache"
)

// call makes the call of a step at a process, and takes down what comes of it.
func (c *player) call(p *node, s step) {
	switch s.do {
	case doGet:
		c.get(p, s.keys[0], s.patience)
		return
	case doGetMulti:
		c.getMulti(p, s.keys, s.patience, false)
		return
	}
	for _, key := range s.keys {
		c.history.write(key, s.absent)
	}
	time.Sleep(s.pause)
	inv := &invalidation{what: "Remove", keys: s.keys, patience: s.patience}
	do := func(ctx context.Context) error { return p.group.Remove(ctx, s.keys...) }
	switch s.do {
	case doSet:
		inv.what = "Set"
		do = func(ctx context.Context) error { return c.set(ctx, p, s.keys[0]) }
	case doClear:
		inv.what, inv.keys = "Clear", nil
		do = p.group.Clear
	}
	c.invalidate(p, inv, do)
	if c.ctx.Err() != nil {
		return // a process that had ended waited until all was over
	}
	for _, i := range s.probes {
		c.probe(i, s.keys[0], 0)
	}
	for i := range c.hosts {
		until := inv.pending[nameOf(i)]
		if until == 0 || until > c.settled {
			continue
		}
		for _, later := range []time.Duration{1, 2 * time.Millisecond, 20 * time.Millisecond} {
			c.probe(i, s.keys[0], until+later-inv.end.at)
		}
	}
}

// probe Gets key at a host after a time, when old values are most likely to be
// found there.
func (c *player) probe(i int, key string, after time.Duration) {
	c.calls.Go(func() {
		time.Sleep(after)
		if p := c.living(i); p != nil {
			c.get(p, key, 0)
		}
	})
}

// context returns the context of a call.
func (c *player) context(patience time.Duration) (context.Context, context.CancelFunc) {
	if patience == 0 {
		return context.WithCancel(c.ctx)
	}
	return context.WithTimeout(c.ctx, patience)
}

func (c *player) get(p *node, key string, patience time.Duration) {
	ctx, cancel := c.context(patience)
	defer cancel()
	r := &read{what: "Get", key: key, who: p.process, patience: patience}
	c.history.record(func(now moment) {
		r.begin = now
		c.history.reads = append(c.history.reads, r)
	})
	view, err := p.group.Get(ctx, key)
	c.history.record(func(now moment) { r.end, r.value, r.err = now, view.String(), err })
}

func (c *player) getMulti(p *node, keys []string, patience time.Duration, final bool) {
	ctx, cancel := c.context(patience)
	defer cancel()
	reads := make([]*read, len(keys))
	c.history.record(func(now moment) {
		for i, key := range keys {
			reads[i] = &read{what: "GetMulti", key: key, who: p.process, begin: now, patience: patience, final: final}
		}
		c.history.reads = append(c.history.reads, reads...)
	})
	results := p.group.GetMulti(ctx, keys)
	c.history.record(func(now moment) {
		for i, r := range reads {
			r.end, r.value, r.err = now, results[i].View.String(), results[i].Err
		}
	})
}

// set gives the cache the value that the origin has now.
func (c *player) set(ctx context.Context, p *node, key string) error {
	s := c.history.begin(&source{key: key, who: p.process, set: true})
	c.history.record(func(now moment) {
		s.version, s.result = c.history.versions[key], hasFound
		if s.id%3 == 0 {
			s.ttl = 300 * time.Millisecond
		}
	})
	err := p.group.Set(ctx, key, peercache.Item{Value: valueOf(s, c.largest), TTL: s.ttl})
	c.history.record(func(now moment) {
		s.end = now
		if err != nil {
			s.result = hasFailed
		}
	})
	return err
}

// invalidate makes a call that changes what the cache may serve.
func (c *player) invalidate(p *node, inv *invalidation, do func(context.Context) error) {
	ctx, cancel := c.context(inv.patience)
	defer cancel()
	inv.who = p.process
	p.mu.Lock()
	first := len(p.views) - 1
	c.history.record(func(now moment) {
		inv.begin = now
		c.history.invalidations = append(c.history.invalidations, inv)
	})
	p.mu.Unlock()
	err := do(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	c.history.record(func(now moment) {
		inv.end, inv.err = now, err
		if err != nil {
			inv.pending, inv.named = pendingOf(err, c.history.start)
		}
		for _, peer := range p.views[first] {
			if !slices.ContainsFunc(p.views[first:], func(view []string) bool { return !slices.Contains(view, peer) }) {
				inv.view = append(inv.view, peer)
			}
		}
	})
}

// pendingOf returns the peers that err names, and until when each may serve an
// old value, and whether err is one that names such peers.
func pendingOf(err error, start time.Time) (pending map[string]time.Duration, named bool) {
	failure, named := errors.AsType[*peercache.InvalidationError](err)
	if !named {
		return nil, false
	}
	pending = make(map[string]time.Duration)
	for _, p := range failure.Pending {
		pending[p.Peer] = 0
		if !p.Until.IsZero() {
			pending[p.Peer] = p.Until.Sub(start)
		}
	}
	return pending, true
}
