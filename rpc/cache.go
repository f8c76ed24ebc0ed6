package rpc

import (
	"context"
	"time"
	"unsafe"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// service answers the calls of peercache.v1.Cache.
type service struct {
	cachepb.UnimplementedCacheServer
	server *Server
}

// open returns a group, if there is one and the client may do that with it. The error is a status.
func (s *service) open(ctx context.Context, a door.Access) (door.Cache, error) {
	if err := s.server.may(ctx, a); err != nil {
		return nil, err
	}
	c := s.server.caches[a.Group]
	if c == nil {
		return nil, noGroup(a.Group)
	}
	return c, nil
}

// Get implements cachepb.CacheServer.
func (s *service) Get(ctx context.Context, r *cachepb.GetRequest) (*cachepb.GetResponse, error) {
	key := string(r.GetKey())
	c, err := s.open(ctx, door.Access{Group: r.GetGroup(), Key: key, Right: door.RightGet})
	if err != nil {
		return nil, err
	}
	view, ttl, err := c.GetWithTTL(ctx, key)
	if err != nil {
		return nil, s.server.failed(ctx, c.Name(), err)
	}
	return &cachepb.GetResponse{Value: bytesOf(view), TtlNs: int64(ttl)}, nil
}

// bytesOf returns the bytes of a view themselves, for a message that is encoded and changed by
// nobody.
func bytesOf(view peercache.ByteView) []byte {
	text := view.String()
	return unsafe.Slice(unsafe.StringData(text), len(text))
}

const (
	// batchKeys is how many keys of a BatchGet are asked for at a time, so that the first values
	// do not wait for the last.
	batchKeys = 256
	// batchBytes is how many bytes of values one message has, unless one value has more.
	batchBytes = 128 << 10
)

// BatchGet implements cachepb.CacheServer.
func (s *service) BatchGet(r *cachepb.BatchGetRequest, stream grpc.ServerStreamingServer[cachepb.BatchGetResponse]) error {
	ctx := stream.Context()
	c, err := s.open(ctx, door.Access{Group: r.GetGroup(), Right: door.RightGet})
	if err != nil {
		return err
	}
	keys, err := s.keysOf(r.GetKeys())
	if err != nil {
		return err
	}
	for first := 0; first < len(keys); first += batchKeys {
		results := c.GetMulti(ctx, keys[first:min(len(keys), first+batchKeys)])
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		if err := s.send(stream, c.Name(), first, results); err != nil {
			return err
		}
	}
	return nil
}

// send sends the results of keys of a group, of which the first has that place in the request.
func (s *service) send(stream grpc.ServerStreamingServer[cachepb.BatchGetResponse], group string, first int, results []peercache.Result) error {
	size := 0
	message := new(cachepb.BatchGetResponse)
	for i, r := range results {
		one := &cachepb.BatchGetResponse_Result{Index: uint32(first + i)}
		if r.Err != nil {
			code, _ := kindOf(stream.Context(), r.Err)
			one.Code, one.Message = int32(code), clean(s.server.textOf(stream.Context(), group, r.Err), mostText)
		} else {
			one.Value = bytesOf(r.View)
		}
		add := len(one.Value) + len(one.Message)
		if size > 0 && size+add > batchBytes {
			if err := stream.Send(message); err != nil {
				return err
			}
			size, message = 0, new(cachepb.BatchGetResponse)
		}
		size += add
		message.Results = append(message.Results, one)
	}
	return stream.Send(message)
}

// keysOf returns the keys of a request.
func (s *service) keysOf(keys [][]byte) ([]string, error) {
	most := s.server.opts.limits.Keys
	switch {
	case len(keys) == 0:
		return nil, status.Error(codes.InvalidArgument, "a request without keys: want at least one")
	case len(keys) > most:
		return nil, status.Errorf(codes.InvalidArgument, "a request with %d keys: want at most %d", len(keys), most)
	}
	all := make([]string, len(keys))
	for i, key := range keys {
		all[i] = string(key)
	}
	return all, nil
}

// Set implements cachepb.CacheServer.
func (s *service) Set(ctx context.Context, r *cachepb.SetRequest) (*cachepb.SetResponse, error) {
	key := string(r.GetKey())
	c, err := s.open(ctx, door.Access{Group: r.GetGroup(), Key: key, Right: door.RightChange})
	if err != nil {
		return nil, err
	}
	if r.GetTtlNs() < 0 {
		return nil, status.Errorf(codes.InvalidArgument, "ttl_ns is %d: want more than 0, or 0 for that of the group", r.GetTtlNs())
	}
	if err := c.Set(ctx, key, peercache.Item{Value: r.GetValue(), TTL: time.Duration(r.GetTtlNs())}); err != nil {
		return nil, s.server.unchanged(ctx, c.Name(), err)
	}
	return new(cachepb.SetResponse), nil
}

// Remove implements cachepb.CacheServer.
func (s *service) Remove(ctx context.Context, r *cachepb.RemoveRequest) (*cachepb.RemoveResponse, error) {
	c, err := s.open(ctx, door.Access{Group: r.GetGroup(), Right: door.RightChange})
	if err != nil {
		return nil, err
	}
	keys, err := s.keysOf(r.GetKeys())
	if err != nil {
		return nil, err
	}
	if err := c.Remove(ctx, keys...); err != nil {
		return nil, s.server.unchanged(ctx, c.Name(), err)
	}
	return new(cachepb.RemoveResponse), nil
}

// Clear implements cachepb.CacheServer.
func (s *service) Clear(ctx context.Context, r *cachepb.ClearRequest) (*cachepb.ClearResponse, error) {
	c, err := s.open(ctx, door.Access{Group: r.GetGroup(), Right: door.RightClear})
	if err != nil {
		return nil, err
	}
	if err := c.Clear(ctx); err != nil {
		return nil, s.server.unchanged(ctx, c.Name(), err)
	}
	return new(cachepb.ClearResponse), nil
}
