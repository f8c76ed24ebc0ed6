package rpc_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/rpc"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

func load(_ context.Context, key string) ([]byte, error) { return []byte("the score of " + key), nil }

// A node whose groups are served by gRPC, and a client.
func ExampleServer() {
	scores, err := peercache.NewGroup("scores", 1<<20, peercache.GetterFunc(load), peercache.WithTTL(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := rpc.New([]door.Cache{scores})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(listener)
	defer server.Shutdown(context.Background())

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	client := cachepb.NewCacheClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := client.Get(ctx, &cachepb.GetRequest{Group: "scores", Key: []byte("Tom")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, for a minute at most: %v\n", answer.GetValue(), time.Duration(answer.GetTtlNs()) <= time.Minute)
	// Output: the score of Tom, for a minute at most: true
}

// Two processes of a cluster, connected by gRPC alone.
func ExampleTunnel() {
	const secret = "one secret in all processes" // as from openssl rand -base64 32
	var listeners []net.Listener
	var names []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Println(err)
			return
		}
		listeners, names = append(listeners, l), append(names, "http://"+l.Addr().String())
	}
	var groups []*peercache.Group
	for i, self := range names {
		pool, err := peercache.NewHTTPPool(self, peercache.WithTransport(new(rpc.Tunnel).Transport()), peercache.WithSecrets(secret))
		if err != nil {
			fmt.Println(err)
			return
		}
		group, err := peercache.NewGroup("scores", 1<<20, peercache.GetterFunc(load), peercache.WithPeers(pool))
		if err != nil {
			fmt.Println(err)
			return
		}
		server := pool.Server()
		go server.Serve(rpc.Listen(listeners[i]))
		defer server.Close()
		defer pool.Shutdown(context.Background())
		if err := pool.Set(names...); err != nil {
			fmt.Println(err)
			return
		}
		groups = append(groups, group)
	}
	for _, group := range groups {
		view, err := group.Get(context.Background(), "Tom")
		fmt.Println(view, err)
	}
	// Output:
	// the score of Tom <nil>
	// the score of Tom <nil>
}
