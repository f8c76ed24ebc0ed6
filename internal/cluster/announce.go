package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A new view is announced to all peers, by a coordinator if they are many (relay.go). Their answers
// say which views they have. Until the peers that can be reached were told, this process caches
// nothing of what it loads: a peer that does not know of it would not tell it of changes.

const (
	// announceAtOnce is how many peers are told of the view at the same time.
	announceAtOnce = 64
	// longestAnnouncing is how many detection times it may take to tell them directly. Loads wait for
	// it, and for the witnesses.
	longestAnnouncing = 4
	// announceAgainEvery is the time between two announcements to a peer that could not confirm
	// the first ones.
	announceAgainEvery = 2 * time.Second
	// leastAgreeing is the least that Agree waits.
	leastAgreeing = time.Second
)

// announce tells the peers of the view, and learns which they have. Then it closes announced.
func (c *Cluster) announce(v *view, announced chan struct{}) {
	defer func() {
		c.agreement.announcing.CompareAndSwap(int64(v.since), 0)
		close(announced)
	}()
	if len(v.others) > 0 {
		c.own.lookAgain()
	}
	left := v.others
	if c.stateless {
		left = nil
	} else if c.isRelayed(v) {
		var wait func()
		left, wait = c.announceByRelay(v)
		defer wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), longestAnnouncing*c.detectionTime())
	defer cancel()
	var mu sync.Mutex
	var untold []peer.Peer // guarded by mu
	forEach(slices.Values(left), announceAtOnce, func(p peer.Peer) {
		if !c.announceTo(ctx, p) {
			mu.Lock()
			defer mu.Unlock()
			untold = append(untold, p)
		}
	})
	c.announceByWitnesses(v, untold)
	c.own.wait(ctx) // nothing is cached before it is known whose keys these are
}

// announceTo tells one peer of the view, again if the peer could not confirm it: a process that
// has just started may not listen yet. A peer that cannot be reached is told once. It reports
// whether the peer has recorded it, or has ended.
func (c *Cluster) announceTo(ctx context.Context, p peer.Peer) bool {
	for {
		once, cancel := context.WithTimeout(ctx, c.detectionTime())
		_, err := p.Change(once, peer.Change{Announced: true})
		cancel()
		if err != nil || !c.isUnconfirmed(p.Name()) {
			return err == nil || peer.Gone(err)
		}
		clock.Pause(c.life, clock.Jitter(clock.RetryAfter)) // a process that ends tells each peer once
		if ctx.Err() != nil || c.life.Err() != nil {
			return false
		}
	}
}

// announceAgain goes on telling the peers that could not confirm what this process said, as
// long as v is in place. Until they do, they count as dissenters.
func (c *Cluster) announceAgain(v *view) {
	for {
		left := slices.DeleteFunc(slices.Clone(v.others), func(p peer.Peer) bool { return !c.isUnconfirmed(p.Name()) })
		if len(left) == 0 {
			return
		}
		clock.Pause(c.life, clock.Jitter(announceAgainEvery))
		for _, p := range left {
			if c.life.Err() != nil || c.view.Load().since != v.since {
				return
			}
			ctx, cancel := context.WithTimeout(c.life, c.detectionTime())
			p.Change(ctx, peer.Change{Announced: true})
			cancel()
		}
	}
}

// isUnconfirmed reports whether a peer could not confirm what this process said last.
func (c *Cluster) isUnconfirmed(name string) bool {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	r := c.agreement.records[name]
	return r != nil && r.unconfirmed
}

// Settled returns nil when the peers that can be reached were told of the view, or ctx's error.
func (c *Cluster) Settled(ctx context.Context) error {
	return c.agreement.await(ctx, func(a *viewAgreement) <-chan struct{} { return a.announced })
}

// RingSettled returns nil when the peers that can be reached were told of the ring, or ctx's error.
// What this process loads under it may be kept from then on: a peer that knows an earlier view with
// this ring tells this process of the changes of its keys, or knows that the views differ.
func (c *Cluster) RingSettled(ctx context.Context) error {
	return c.agreement.await(ctx, func(a *viewAgreement) <-chan struct{} { return a.ringTold })
}

// await returns nil when one of the channels of a, which mu guards, is closed, or ctx's error.
func (a *viewAgreement) await(ctx context.Context, which func(a *viewAgreement) <-chan struct{}) error {
	a.mu.Lock()
	told := which(a)
	a.mu.Unlock()
	select {
	case <-told:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// IsSettled reports whether the peers that can be reached were told of the view.
func (c *Cluster) IsSettled() bool { return c.agreement.announcing.Load() == 0 }

// Agree waits until the peers that can be reached were told of the view, and none is known to
// have another one. It waits no longer than that takes as a rule, because the peers may never
// agree.
func (c *Cluster) Agree(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.agreeingTime())
	defer cancel()
	if c.Settled(ctx) != nil {
		return
	}
	for {
		now := c.Agreement()
		if now.Dissenter == "" {
			return
		}
		select {
		case <-now.Next:
		case <-ctx.Done():
			return
		}
	}
}

// agreeingTime returns how long Join and a handover wait for the peers to have the view. This
// process may take the detection time to tell all of them, and they to tell this one.
func (c *Cluster) agreeingTime() time.Duration { return max(leastAgreeing, 2*c.detectionTime()) }
