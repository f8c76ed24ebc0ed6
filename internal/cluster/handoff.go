package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// A change of the view makes other peers the owners of some keys that are cached here; of all,
// if this process is leaving. Then this process offers the keys to the new owners, and these
// ask for the values, as a process asks a previous owner on a miss. So a peer is warm before it
// is asked, and the values of a process that leaves are not lost. The values that are worth
// most come first.
//
// A newcomer is not ready before its peers have offered all (peer.State.Offering): endOffers
// tells it when this process has.

const (
	// keysInOffer and bytesInOffer bound what one offer names: keys, and bytes of their values.
	keysInOffer  = 512
	bytesInOffer = 4 << 20
	// mostOffered is how many keys of one offer are taken over. The others are ignored.
	mostOffered = 8 * keysInOffer
	// takeOverAtOnce is how many values of one offer are asked for at the same time, and
	// offersAtOnce is how many offers are taken over at the same time.
	takeOverAtOnce = 64
	offersAtOnce   = 16
	// retryFor is how long a peer that cannot be reached is told again. A process that leaves
	// should not wait longer for one that is gone.
	retryFor = 2 * time.Second
)

// errUnconfirmed says that a peer could not confirm the state of this process.
var errUnconfirmed = errors.New("it could not ask back at this process's address")

// Moved is a cached value whose key this process does not own any more.
type Moved struct {
	Key   string
	Owner peer.Peer // the new one
	Bytes int64
	Worth uint32 // higher for a value that is more likely to be asked for
}

// offeredValue is a Moved value of a group.
type offeredValue struct {
	Moved
	group Group
	owner *Member
}

// handOver offers the values whose keys have moved with a view to their new owners. Then it
// closes v.handedOver.
func (c *Cluster) handOver(v *view) {
	defer c.endOffers(v)
	defer close(v.handedOver)
	var all []offeredValue
	for _, g := range *c.groups.Load() {
		for _, m := range g.ViewChanged(v.since, v.moved == v.since) {
			if owner, ok := m.Owner.(*Member); ok {
				all = append(all, offeredValue{m, g, owner})
			}
		}
	}
	if !c.stateless && !v.first && len(all) > 0 {
		ctx, cancel := context.WithTimeout(c.life, c.handover.time)
		defer cancel()
		c.Agree(ctx) // a peer with another view would not take them
		offered, untold := c.offerAll(ctx, all)
		switch attrs := []any{"values", len(all), "offered", offered}; {
		case len(untold) > 0:
			peers := slices.Sorted(maps.Keys(untold))
			c.log.Warn("not all values could be handed over to their new owners, which load the others",
				append(attrs, "peers", quote.Some(peers), "err", untold[peers[0]])...)
		case offered > 0:
			c.log.Info("values were handed over to their new owners", attrs...)
		}
	}
	if v.previous != nil {
		<-v.previous
	}
}

// offerAll offers values, those first that are worth most, up to the bytes that WithHandover
// allows. It returns how many it offered. untold are the owners, still in the view, that could
// not be told of all their values, and why.
func (c *Cluster) offerAll(ctx context.Context, all []offeredValue) (offered int, untold map[string]error) {
	slices.SortStableFunc(all, func(a, b offeredValue) int { return cmp.Compare(b.Worth, a.Worth) })
	type recipient struct {
		group Group
		owner *Member
	}
	offers := make(map[recipient][]offeredValue)
	left := c.handover.bytes
	for _, v := range all {
		if v.Bytes <= left {
			left -= v.Bytes
			to := recipient{v.group, v.owner}
			offers[to] = append(offers[to], v)
		}
	}
	untold = make(map[string]error)
	var mu sync.Mutex // guards offered and untold
	forEach(maps.Keys(offers), announceAtOnce, func(to recipient) {
		told, err := c.offerTo(ctx, to.owner, to.group, offers[to])
		mu.Lock()
		defer mu.Unlock()
		offered += told
		if err != nil && to.owner.inView() {
			untold[to.owner.name] = err
		}
	})
	return offered, untold
}

// offerTo offers values to their new owner, and returns how many it has offered when it ends.
func (c *Cluster) offerTo(ctx context.Context, owner *Member, g Group, values []offeredValue) (offered int, err error) {
	for len(values) > 0 {
		if err := ctx.Err(); err != nil {
			return offered, err
		}
		n := nextOffer(values)
		if err := retry(ctx, func() error { return owner.offer(ctx, g, values[:n]) }); err != nil {
			return offered, err
		}
		offered += n
		values = values[n:]
	}
	return offered, nil
}

// nextOffer returns how many of the values the next offer names. Their keys fit into one
// request.
func nextOffer(values []offeredValue) (n int) {
	for bytes, keys := int64(0), 0; n < min(len(values), keysInOffer); n++ {
		bytes += values[n].Bytes
		keys += len(values[n].Key)
		if n > 0 && (bytes > bytesInOffer || keys > peer.MaxChangeBytes) {
			break
		}
	}
	return n
}

// offer offers those of the values that the peer still owns, and returns when it has taken them
// over.
func (m *Member) offer(ctx context.Context, g Group, values []offeredValue) error {
	change := peer.Change{Group: g.Name()}
	for _, v := range values {
		if g.Pick(v.Key, 0) == peer.Peer(m) {
			change.Offered = append(change.Offered, v.Key)
		}
	}
	if len(change.Offered) == 0 {
		return nil
	}
	_, err := m.send(ctx, change)
	return err
}

// endOffers tells the heirs of a view that this process offers nothing more.
func (c *Cluster) endOffers(v *view) {
	ctx, cancel := context.WithTimeout(c.life, c.handover.time)
	defer cancel()
	forEach(maps.Values(v.heirs), announceAtOnce, func(m *Member) {
		retry(ctx, func() error {
			if c.stateless || c.view.Load().id != v.id {
				return nil
			}
			_, err := m.Change(ctx, peer.Change{})
			if err == nil && c.isUnconfirmed(m.name) {
				err = &peer.PeerError{Peer: m.name, Err: errUnconfirmed}
			}
			return err
		})
	})
}

// retry calls tell until it reaches the peer, for retryFor at most: a process that has just
// started may not listen yet.
func retry(ctx context.Context, tell func() error) error {
	for until := clock.Now().Plus(retryFor); ; {
		err := tell()
		if !peer.Unreachable(err) || clock.Now() >= until || ctx.Err() != nil {
			return err
		}
		clock.Pause(ctx, clock.Jitter(clock.RetryAfter))
	}
}

// mayOffer reports whether this process may still offer values to a peer.
func (v *view) mayOffer(name string) bool {
	if v.heirs[name] == nil {
		return false
	}
	select {
	case <-v.handedOver:
		return false
	default:
		return true
	}
}

// takeOver asks a peer for the values that it offers. A process that is not a peer, and was
// none lately, is ignored.
func (c *Cluster) takeOver(ctx context.Context, g Group, from string, keys []string) {
	m, left := c.findPeer(from)
	if m == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.handover.time)
	defer cancel()
	c.Agree(ctx) // before that, values of keys that are new here are not cached
	if c.Settled(ctx) != nil || c.takeOverSlots.Acquire(ctx, 1) != nil {
		return
	}
	defer c.takeOverSlots.Release(1)
	forEach(slices.Values(keys[:min(len(keys), mostOffered)]), takeOverAtOnce, func(key string) {
		if ctx.Err() == nil {
			g.TakeOver(ctx, key, m, left)
		}
	})
}
