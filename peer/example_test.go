package peer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// request and response are what the transport of this example sends. A gRPC transport would have the
// identities in its metadata.
type (
	request struct {
		from   peer.Identity // who asks
		to     string        // who is asked
		method string
		body   []byte
	}
	response struct {
		by      peer.Identity // who answers
		refused string        // why the request was refused, or empty
		body    []byte
	}
)

// network has the servers by name, in place of connections.
type network map[string]*server

func (n network) call(ctx context.Context, r request) (response, error) {
	if s := n[r.to]; s != nil {
		return s.serve(ctx, r)
	}
	return response{}, errors.New("nothing listens there")
}

// server is the side that answers.
type server struct{ process peer.Process }

func (s *server) serve(ctx context.Context, r request) (resp response, err error) {
	resp.by = s.process.Identity()
	h, refused := s.process.Accept(r.from, r.to)
	switch {
	case r.method == "ping":
	case refused != nil:
		resp.refused = refused.Error()
	case r.method == "get":
		resp.body, err = serveGet(ctx, h, r.body)
	case r.method == "change":
		var c *peer.Change
		if c, err = peer.DecodeChange(r.body); err == nil {
			changed, answer := h.Change(ctx, c)
			resp.body, err = peer.EncodeChanged(&changed, answer)
		}
	}
	return resp, err
}

func serveGet(ctx context.Context, h peer.Handler, body []byte) ([]byte, error) {
	var req pb.GetRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	q := &peer.Query{
		Group: req.GetGroup(), Key: string(req.GetKey()), Lease: time.Duration(req.GetLeaseNs()), Digest: string(req.GetDigest()),
		CachedOnly: req.GetCachedOnly(), Nested: peer.Nesting(req.GetNested()), Context: string(req.GetContext()),
	}
	a, err := h.Hit(q)
	if err == peer.ErrNotCached {
		a, err = h.Load(ctx, q)
	}
	resp := &pb.GetResponse{Value: a.Value, TtlNs: int64(a.TTL), Noted: a.Noted, Unchanged: a.Unchanged}
	if err != nil {
		resp.Value, resp.Error = nil, peer.EncodeError(err)
	}
	return proto.Marshal(resp)
}

// transport is the side that asks. It implements peer.Transport.
type transport struct{ network network }

func (t *transport) Check(name string) error {
	if name == "" {
		return errors.New("an empty name: want that of a server")
	}
	return nil
}

func (t *transport) Dial(l peer.Local, name string) peer.Conn { return &conn{t.network, l, name} }

// conn implements peer.Conn.
type conn struct {
	network network
	local   peer.Local
	name    string
}

// call sends one request, and checks who has answered.
func (c *conn) call(ctx context.Context, method string, body []byte) ([]byte, error) {
	sent := peer.Now()
	resp, err := c.network.call(ctx, request{c.local.Identity(), c.name, method, body})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		err = c.local.Answered(resp.by, sent)
	}
	if err == nil && resp.refused != "" {
		err = errors.New(resp.refused)
	}
	if err != nil {
		return nil, &peer.PeerError{Peer: c.name, Err: err}
	}
	return resp.body, nil
}

func (c *conn) Get(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	body, err := proto.Marshal(&pb.GetRequest{
		Group: q.Group, Key: []byte(q.Key), LeaseNs: int64(q.Lease), Digest: []byte(q.Digest),
		CachedOnly: q.CachedOnly, Nested: uint32(q.Nested), Context: []byte(q.Context),
	})
	if err != nil {
		return peer.Answer{}, err
	}
	if body, err = c.call(ctx, "get", body); err != nil {
		return peer.Answer{}, err
	}
	var resp pb.GetResponse
	if err := proto.Unmarshal(body, &resp); err != nil {
		return peer.Answer{}, &peer.PeerError{Peer: c.name, Err: err}
	}
	a := peer.Answer{Item: peer.Item{Value: resp.GetValue(), TTL: time.Duration(resp.GetTtlNs())}, Noted: resp.GetNoted(), Unchanged: resp.GetUnchanged()}
	if e := resp.GetError(); e != nil {
		return a, peer.DecodeError(c.name, e)
	}
	return a, nil
}

func (c *conn) Change(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	body, err := peer.EncodeChange(ch)
	if err != nil {
		return peer.Changed{}, err
	}
	if body, err = c.call(ctx, "change", body); err != nil {
		return peer.Changed{}, err
	}
	changed, answer, err := peer.DecodeChanged(body, c.name)
	if err != nil {
		return peer.Changed{}, &peer.PeerError{Peer: c.name, Err: err}
	}
	return changed, answer
}

func (c *conn) Ping(ctx context.Context) (peer.Identity, error) {
	resp, err := c.network.call(ctx, request{c.local.Identity(), c.name, "ping", nil})
	return resp.by, err
}

// This transport has no connections to try again, to replace or to close.

func (c *conn) Wake()                 {}
func (c *conn) Replaced(uint32)       {}
func (c *conn) Close(context.Context) {}

// A transport in its smallest form, with all messages encoded. It lacks a limit for the size of
// messages, and does not detect that a peer hangs.
func Example_transport() {
	ctx := context.Background()
	net := make(network)
	var groups []*peercache.Group
	var pools []*peercache.Pool
	for _, name := range []string{"chat://anna", "chat://bert"} {
		pool, err := peercache.NewPool(name, &transport{net})
		if err != nil {
			fmt.Println(err)
			return
		}
		net[name] = &server{pool}
		getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			return []byte(key + " from " + name), nil
		})
		group, err := peercache.NewGroup("example", 1<<20, getter, peercache.WithPeers(pool))
		if err != nil {
			fmt.Println(err)
			return
		}
		pools, groups = append(pools, pool), append(groups, group)
	}
	for _, pool := range pools {
		if err := pool.Set("chat://anna", "chat://bert"); err != nil {
			fmt.Println(err)
		}
	}
	for _, key := range []string{"apple", "pear", "plum"} {
		first, err := groups[0].Get(ctx, key)
		second, err2 := groups[1].Get(ctx, key)
		if err != nil || err2 != nil {
			fmt.Println(err, err2)
		}
		fmt.Println(first.String() == second.String())
	}
	if err := groups[0].Remove(ctx, "apple"); err != nil {
		fmt.Println(err)
	}
	// Output:
	// true
	// true
	// true
}
