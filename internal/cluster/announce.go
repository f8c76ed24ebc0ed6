package cluster

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

const (
	// announceAtOnce is how many peers are told of the view at the same time.
	announceAtOnce = 64
	// longestAnnouncing is how many detection times that may take: loads wait for it.
	longestAnnouncing = 4
)

// announce tells the peers of the view, and learns which they have.
func (c *Cluster) announce(v *view, announced chan struct{}) {
	defer close(announced)
	if len(v.others) > 0 {
		c.own.lookAgain()
	}
	// Of many peers not all are connected to at the same time.
	ctx, cancel := context.WithTimeout(context.Background(), longestAnnouncing*c.detectionTime())
	defer cancel()
	var all errgroup.Group
	all.SetLimit(announceAtOnce)
	for _, other := range v.others {
		if c.stateless {
			break
		}
		all.Go(func() error {
			c.announceTo(ctx, other)
			return nil
		})
	}
	all.Wait()
	c.own.wait(ctx) // nothing is kept before it is known whose keys these are
}

// announceTo tells one peer of the view, again where that has not believed it: a process that
// has just come may not listen yet. One that cannot be reached is not asked.
func (c *Cluster) announceTo(ctx context.Context, other peer.Peer) {
	for {
		once, cancel := context.WithTimeout(ctx, c.detectionTime())
		_, err := other.Change(once, peer.Change{Announced: true})
		cancel()
		if err != nil || !c.isUnconfirmed(other.Name()) {
			return
		}
		clock.Pause(c.life, clock.Jitter(clock.RetryAfter)) // one that ends tells each once
		if ctx.Err() != nil || c.life.Err() != nil {
			return
		}
	}
}

// announceAgain goes on telling those who have not believed what this process said of v. They
// count as peers with another view until they do.
func (c *Cluster) announceAgain(v *view) {
	for {
		unheard := slices.DeleteFunc(slices.Clone(v.others), func(other peer.Peer) bool { return !c.isUnconfirmed(other.Name()) })
		if len(unheard) == 0 {
			return
		}
		clock.Pause(c.life, clock.Jitter(pollEvery))
		for _, other := range unheard {
			if c.life.Err() != nil || c.view.Load().since != v.since {
				return
			}
			ctx, cancel := context.WithTimeout(c.life, c.detectionTime())
			other.Change(ctx, peer.Change{Announced: true})
			cancel()
		}
	}
}

// isUnheard reports whether a peer has not believed what this process said last.
func (c *Cluster) isUnconfirmed(name string) bool {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	return c.agreement.unconfirmed[name]
}

// Agree waits until the peers that can be reached have heard of the view, and none is known
// to have another one; not longer than they need as a rule, because they may never agree.
func (c *Cluster) Agree(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.agreeingTime())
	defer cancel()
	if c.Settled(ctx) != nil {
		return
	}
	for {
		state := c.Agreement()
		if state.Dissenter == "" {
			return
		}
		select {
		case <-state.Next:
		case <-ctx.Done():
			return
		}
	}
}

// agreeingTime is how long Join and a handover wait for the peers to have the view. Until
// they have, the process keeps nothing of what it loads. To tell all of them may take the
// detection time, and theirs to tell this one.
func (c *Cluster) agreeingTime() time.Duration {
	return max(leastAgreeing, 2*c.detectionTime())
}

const leastAgreeing = time.Second

// Settled returns when the peers that can be reached have heard of the view, or ctx has ended.
func (c *Cluster) Settled(ctx context.Context) error {
	c.agreement.mu.Lock()
	announced := c.agreement.announced
	c.agreement.mu.Unlock()
	select {
	case <-announced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
