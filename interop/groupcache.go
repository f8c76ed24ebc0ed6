package main

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/golang/groupcache"
)

// groupcacheNode is a process that has not been moved over yet. There is one at
// most in a process: groupcache's registry is global.
type groupcacheNode struct {
	self    string
	pool    *groupcache.HTTPPool
	group   *groupcache.Group
	handler http.Handler
}

func newGroupcache(c config, o *origin) (*groupcacheNode, error) {
	n := &groupcacheNode{self: c.self}
	if c.mux {
		n.pool = groupcache.NewHTTPPool(c.self) // puts itself on the default mux
		n.handler = http.DefaultServeMux
	} else {
		n.pool = groupcache.NewHTTPPoolOpts(c.self, nil)
		n.handler = n.pool
	}
	load := func(ctx context.Context, key string, dest groupcache.Sink) error {
		value, err := o.load(key)
		if err != nil {
			return err
		}
		return dest.SetBytes(value)
	}
	n.group = groupcache.NewGroup(groupName, cacheBytes, groupcache.GetterFunc(load))
	n.pool.Set(c.peers...)
	return n, nil
}

func (n *groupcacheNode) peers() http.Handler { return n.handler }

func (n *groupcacheNode) get(ctx context.Context, key string) (value []byte, err error) {
	err = n.group.Get(ctx, key, groupcache.AllocatingByteSliceSink(&value))
	return value, err
}

func (n *groupcacheNode) remove(context.Context, string) error {
	return errors.New("groupcache cannot remove a key")
}

// owner asks the pool itself. Whom it picked is in a private field.
func (n *groupcacheNode) owner(key string) string {
	peer, ok := n.pool.PickPeer(key)
	if !ok {
		return n.self
	}
	return strings.TrimSuffix(reflect.ValueOf(peer).Elem().FieldByName("baseURL").String(), basePath)
}

func (n *groupcacheNode) shutdown(context.Context) error { return nil } // it knows no such thing
