package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// A change of the view makes other peers the owners of some of the keys that are cached
// here: of all, if this process is leaving. It offers them to their new owners, which ask
// for the values as they would if somebody asked them (handedOver). So a peer that comes is
// warm before it is asked, and what one that leaves has had is not lost.

// Moved is a value that this process has of a key which it does not own any more.
type Moved struct {
	Key   string
	Owner peer.Peer // the new one
	Bytes int64
	Worth uint32 // a higher number for what is more likely to be asked for
}

// moved is one of a group.
type offeredValue struct {
	Moved
	group Group
	owner *Member
}

// handOver offers what the view has moved to its new owners, those values first that are
// worth most.
func (c *Cluster) handOver(v *view) {
	defer c.endOffers(v)
	defer close(v.handedOver)
	var all []offeredValue
	for _, g := range *c.groups.Load() {
		for _, m := range g.ViewChanged(v.since) {
			if owner, ok := m.Owner.(*Member); ok {
				all = append(all, offeredValue{m, g, owner})
			}
		}
	}
	if !c.stateless && !v.first && len(all) > 0 {
		ctx, cancel := context.WithTimeout(c.life, c.handover.time)
		defer cancel()
		c.Agree(ctx) // who has another view would not take them
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
	if v.before != nil {
		<-v.before.handedOver
	}
}

// offerAll offers the first of all, in the order of their worth, up to what WithHandover
// allows. It returns how many it offered, and which owners could not be told of all, and why,
// though they are still in the view.
func (c *Cluster) offerAll(ctx context.Context, all []offeredValue) (offered int, untold map[string]error) {
	slices.SortStableFunc(all, func(a, b offeredValue) int { return cmp.Compare(b.Worth, a.Worth) })
	type part struct {
		group Group
		owner *Member
	}
	parts := make(map[part][]offeredValue)
	left := c.handover.bytes
	for _, m := range all {
		if m.Bytes <= left {
			left -= m.Bytes
			to := part{m.group, m.owner}
			parts[to] = append(parts[to], m)
		}
	}
	untold = make(map[string]error)
	var mu sync.Mutex // guards offered and untold
	var offers errgroup.Group
	offers.SetLimit(announceAtOnce)
	for to, values := range parts {
		offers.Go(func() error {
			told, err := c.offerTo(ctx, to.owner, to.group, values)
			mu.Lock()
			defer mu.Unlock()
			offered += told
			if err != nil && c.view.Load().member(to.owner.name) == to.owner {
				untold[to.owner.name] = err
			}
			return nil
		})
	}
	offers.Wait()
	return offered, untold
}

// offerTo offers values to their new owner, and returns how many it could. The owner loads the
// others.
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

// What one offer names: so many keys, of values that have so many bytes. Of one that names
// more than mostOffered keys the others are left out.
const (
	keysInOffer  = 512
	bytesInOffer = 4 << 20
	mostOffered  = 8 * keysInOffer
)

// oneOffer returns how many of the values the next offer is for. Their keys have to fit into
// one request.
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

// offer tells the peer of values that it may ask for, as far as it owns them still, and
// waits until it has.
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

// offeredAll tells the newcomers that nothing more will be offered.
func (c *Cluster) endOffers(v *view) {
	ctx, cancel := context.WithTimeout(c.life, c.handover.time)
	defer cancel()
	var all errgroup.Group
	all.SetLimit(announceAtOnce)
	for _, newcomer := range v.newcomers {
		all.Go(func() error {
			return retry(ctx, func() error {
				if c.stateless || c.view.Load().id != v.id {
					return nil
				}
				_, err := newcomer.Change(ctx, peer.Change{})
				if err == nil && c.isUnconfirmed(newcomer.name) {
					err = &peer.PeerError{Peer: newcomer.name, Err: errUnconfirmed}
				}
				return err
			})
		})
	}
	all.Wait()
}

// errUnheard says that a peer has not believed what this process said of itself.
var errUnconfirmed = errors.New("it could not ask back at this process's address")

// insist tells a peer something, and goes on for a while if that cannot be reached: one that
// has just come may not listen yet.
func retry(ctx context.Context, tell func() error) error {
	for until := clock.Now().Plus(retryFor); ; {
		err := tell()
		if !peer.Unreachable(err) || clock.Now() >= until || ctx.Err() != nil {
			return err
		}
		clock.Pause(ctx, clock.Jitter(clock.RetryAfter))
	}
}

// insistFor is how long that is. A process that leaves should not wait longer for one that
// is gone.
const retryFor = 2 * time.Second

// offering reports whether this process may still offer values to a peer.
func (v *view) mayOffer(name string) bool {
	if v.newcomers[name] == nil {
		return false
	}
	select {
	case <-v.handedOver:
		return false
	default:
		return true
	}
}

// takeOver asks a peer for the values that it offers.
func (c *Cluster) takeOver(ctx context.Context, g Group, from string, keys []string) {
	other, left := c.findPeer(from)
	if other == nil {
		return // it has no part in the view, and had none
	}
	ctx, cancel := context.WithTimeout(ctx, c.handover.time)
	defer cancel()
	c.Agree(ctx) // before, values of keys that are new here are not kept
	if c.Settled(ctx) != nil || c.takeOverSlots.Acquire(ctx, 1) != nil {
		return
	}
	defer c.takeOverSlots.Release(1)
	var asks errgroup.Group
	asks.SetLimit(takeOverAtOnce)
	for _, key := range keys[:min(len(keys), mostOffered)] {
		asks.Go(func() error {
			if ctx.Err() == nil {
				g.TakeOver(ctx, key, other, left)
			}
			return nil
		})
	}
	asks.Wait()
}

const (
	// takeOverAtOnce is how many values of one offer are asked for at the same time.
	takeOverAtOnce = 64
	// offersAtOnce is of how many offers.
	offersAtOnce = 16
)
