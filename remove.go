package peercache

import (
	"context"
	"errors"
	"fmt"
)

// Remove drops the values of keys everywhere, or of none of them if one cannot be
// a key (ErrKeySize). It drops them at their owners first, then from
// the copies that all other peers may hold. Loads of the keys that are in
// progress still answer those who wait for them, but are not kept. Call it after
// the origin has changed.
//
// A peer that cannot be reached may go on serving the old value until it expires
// there or is evicted. Remove carries on with the others; its error then joins
// one error for each such peer, in which errors.As finds a *PeerError.
func (g *Group) Remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := g.checkKey(key); err != nil {
			return err
		}
	}
	if g.peers == nil {
		g.ServeRemove(keys...)
		return nil
	}

	// An owner must forget a key before the holders of copies do. Else one of
	// them could drop its copy and fetch the old value again.
	owned := make(map[Peer][]string)
	owners := make(map[string]Peer, len(keys))
	for _, key := range keys {
		owner := g.peers.Pick(key, 0) // nil: this process
		owners[key] = owner
		owned[owner] = append(owned[owner], key)
	}
	atOwners := g.removeAt(ctx, owned)

	copies := make(map[Peer][]string)
	for _, peer := range append(g.peers.Peers(), nil) {
		for _, key := range keys {
			if owners[key] != peer {
				copies[peer] = append(copies[peer], key)
			}
		}
	}
	atCopies := g.removeAt(ctx, copies)
	var all []error
	for peer, err := range atCopies {
		if atOwners[peer] == nil { // one error a peer is enough
			all = append(all, err)
		}
	}
	for _, err := range atOwners {
		all = append(all, err)
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("peercache: group %q: the old values may still be served: %w", g.name, err)
	}
	return nil
}

// removeAt makes each peer drop the keys that stand with it, all peers at once.
// The nil peer is this process. It returns the errors of those that did not.
func (g *Group) removeAt(ctx context.Context, keysOf map[Peer][]string) map[Peer]error {
	type result struct {
		peer Peer
		err  error
	}
	results := make(chan result, len(keysOf))
	for peer, keys := range keysOf {
		go func() {
			if peer == nil {
				g.ServeRemove(keys...)
				results <- result{}
			} else {
				results <- result{peer, peer.Remove(ctx, g.name, keys)}
			}
		}()
	}
	failed := make(map[Peer]error)
	for range keysOf {
		if r := <-results; r.err != nil {
			failed[r.peer] = r.err
		}
	}
	return failed
}
