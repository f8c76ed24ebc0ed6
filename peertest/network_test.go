package peertest

import (
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inMemory is the Harness of a network, with what a test does to its transport and its processes.
func inMemory(t testing.TB, opts ...TransportOption) Harness {
	n := New(1)
	t.Cleanup(n.Close)
	var names atomic.Int64
	return Harness{
		Address:   func(testing.TB) string { return fmt.Sprintf("http://process-%d", names.Add(1)) },
		Transport: func(testing.TB, string) peer.Transport { return n.Transport(opts...) },
		Serve: func(t testing.TB, address string, p peer.Process) func() {
			n.Serve(address, p)
			return func() { n.Stop(address) }
		},
	}
}

func TestNetwork(t *testing.T) {
	t.Run("Starter", func(t *testing.T) { TestTransport(t, inMemory(t)) })
	t.Run("WithoutStarter", func(t *testing.T) { TestTransport(t, inMemory(t, WithoutStarter())) })
}
