package resp_test

import (
	"context"
	"fmt"
	"net"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/resp/codec"
)

func Example() {
	scores, err := peercache.NewGroup("scores", 1<<20, peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
		return []byte("630"), nil // from the database
	}))
	if err != nil {
		panic(err)
	}
	s, err := resp.New([]door.Cache{scores}) // with WithPassword, where others reach it
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go s.Serve(listener)
	defer s.Shutdown(context.Background())

	// Any Redis client does. This is one by hand.
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	defer client.Close()
	client.Write(codec.AppendCommand(nil, "GET", "scores:Tom"))
	reply, err := codec.NewReplies(client).Read()
	fmt.Println(reply.Text, err)
	// Output: 630 <nil>
}
