package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/peercache/peercache"
)

// notFoundMark stands before an error that is ErrNotFound, so that the node's
// user, who sees its text, can tell.
const notFoundMark = "(ErrNotFound)"

// peercacheNode is a process that has been moved over.
type peercacheNode struct {
	self    string
	pool    *peercache.HTTPPool
	group   *peercache.Group
	handler http.Handler
}

func newPeercache(c config, o *origin) (*peercacheNode, error) {
	pool, err := peercache.NewHTTPPool(c.self, peercache.WithGroupcacheCompat(), peercache.WithInsecure(),
		peercache.WithDetectionTime(10*time.Second)) // the machine may be busy
	if err != nil {
		return nil, err
	}
	load := func(ctx context.Context, key string) ([]byte, error) {
		value, err := o.load(key)
		if err == errMissing {
			err = fmt.Errorf("%w: %w", peercache.ErrNotFound, err)
		}
		return value, err
	}
	group, err := peercache.NewGroup(groupName, cacheBytes, peercache.GetterFunc(load), peercache.WithPeers(pool))
	if err != nil {
		return nil, err
	}
	n := &peercacheNode{self: c.self, pool: pool, group: group, handler: pool}
	if c.mux {
		mux := http.NewServeMux()
		mux.Handle(pool.BasePath(), pool)
		n.handler = mux
	}
	return n, pool.Set(c.peers...)
}

func (n *peercacheNode) peers() http.Handler { return n.handler }

func (n *peercacheNode) get(ctx context.Context, key string) ([]byte, error) {
	view, err := n.group.Get(ctx, key)
	if errors.Is(err, peercache.ErrNotFound) {
		err = fmt.Errorf("%s %w", notFoundMark, err)
	}
	return view.ByteSlice(), err
}

func (n *peercacheNode) remove(ctx context.Context, key string) error {
	return n.group.Remove(ctx, key)
}

func (n *peercacheNode) owner(key string) string {
	if peer := n.pool.Pick(key, 0); peer != nil {
		return peer.Name()
	}
	return n.self
}

func (n *peercacheNode) shutdown(ctx context.Context) error { return n.pool.Shutdown(ctx) }
