package httppeer

import (
	"sync"
	"time"

	"github.com/peercache/peercache/internal/stream"
)

// plainCalls counts what a peer is asked by the plain way.
type plainCalls struct {
	mu  sync.Mutex
	sum stream.Stats // guarded by mu
}

// begin counts a request of some bytes for a path below the base path.
func (c *plainCalls) begin(path string, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Requests++
	c.sum.InFlight++
	c.sum.BytesOut += int64(bytes)
	if path == changePath {
		c.sum.Changes++
	} else {
		c.sum.Keys++
	}
}

// end counts the end of a request, with as many bytes of an answer.
func (c *plainCalls) end(bytes int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.InFlight--
	c.sum.BytesIn += int64(bytes)
	c.sum.Latency.Observe(took)
}

func (c *plainCalls) stats() stream.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sum
}
