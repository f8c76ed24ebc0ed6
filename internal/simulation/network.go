package simulation

import (
	"context"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
)

// The transports that a scenario may be played over.
const (
	overMemory = "memory" // peertest.Network
	overHTTP   = "HTTP"   // HTTPPool, over internal/simnet
)

// network is what the processes of a scenario talk over, and what goes wrong there. Hosts are known
// by their numbers.
type network interface {
	// start makes the pool of the process on a host, has join make its group, and serves it. stop
	// ends what is served.
	start(host int, opts []peercache.PoolOption, join func(pool) error) (p pool, stop func(), err error)
	// crash ends the process on a host, and its peers notice.
	crash(host int)
	// powerOff ends the process on a host, and nobody is told.
	powerOff(host int)
	// disturb does to the links, or to a host, what s says.
	disturb(s step)
	// heal ends all that disturb has done.
	heal(hosts int)
	// forge has a stranger send a change to a process, in the name of another one. He gets
	// what it says of itself; nothing, if it does not answer.
	forge(ctx context.Context, to, as int, c *peer.Change) peer.State
	// close ends the network, when all processes have ended.
	close()
}

// pool is a *peercache.Pool or a *peercache.HTTPPool.
type pool interface {
	peercache.PeerPicker
	Set(peers ...string) error
	Shutdown(ctx context.Context) error
	Stats() []peercache.PeerStats
	AccessStats() peercache.AccessStats
}

// newNetwork makes the network of a scenario.
func newNetwork(s *scenario) network {
	if s.transport == overHTTP {
		return newHTTPNetwork(s)
	}
	return newMemoryNetwork(s)
}
