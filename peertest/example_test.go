package peertest_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertest"
)

// A cluster of three processes in this one, for a test of code that uses a cache.
func ExampleNetwork() {
	net := peertest.New(1)
	defer net.Close()
	names := []string{"http://a", "http://b", "http://c"}
	pools, groups := make([]*peercache.Pool, len(names)), make([]*peercache.Group, len(names))
	var loads atomic.Int64
	for i, name := range names {
		pool, err := peercache.NewPool(name, net.Transport())
		if err != nil {
			panic(err)
		}
		groups[i], err = peercache.NewGroup("scores", 1<<20, peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			loads.Add(1)
			return []byte("the score of " + key), nil
		}), peercache.WithPeers(pool))
		if err != nil {
			panic(err)
		}
		net.Serve(name, pool)
		if err := pool.Set(names...); err != nil {
			panic(err)
		}
		defer pool.Shutdown(context.Background())
		pools[i] = pool
	}
	for _, pool := range pools { // until they agree on who the peers are, they may load a key more than once
		if err := pool.Ready(context.Background()); err != nil {
			panic(err)
		}
	}
	for _, g := range groups {
		view, err := g.Get(context.Background(), "Tom")
		fmt.Println(view, err)
	}
	fmt.Println(loads.Load(), "load")
	// Output:
	// the score of Tom <nil>
	// the score of Tom <nil>
	// the score of Tom <nil>
	// 1 load
}

// ownTransport stands for a transport of the reader's own, with its server.
type ownTransport struct{ *peertest.Network }

func (o ownTransport) listen(address string, p peer.Process) (close func()) {
	o.Serve(address, p)
	return func() { o.Stop(address) }
}

// testOwnTransport is what a reader would call TestOwnTransport.
func testOwnTransport(t *testing.T) {
	own, port := ownTransport{peertest.New(1)}, 0
	t.Cleanup(own.Close)
	peertest.TestTransport(t, peertest.Harness{
		Address: func(testing.TB) string {
			port++
			return "own://127.0.0.1:" + strconv.Itoa(port)
		},
		Transport: func(_ testing.TB, self string) peer.Transport { return own.Transport() },
		Serve: func(_ testing.TB, address string, p peer.Process) (kill func()) {
			return own.listen(address, p)
		},
	})
}

// Who writes a transport tests it so.
func ExampleTestTransport() {
	var _ func(*testing.T) = testOwnTransport
	// Output:
}
