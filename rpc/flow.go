package rpc

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
)

// flow bounds the calls of all connections together: how many are in progress, and what their requests
// take. grpc-go bounds both for each connection only, and says nothing of a message before it is whole.
// So flow looks at the HTTP/2 frames that pass: at their kinds and lengths.
type flow struct {
	most  int64 // bytes of requests
	over  func(net.Addr)
	calls atomic.Int64
	bytes atomic.Int64

	mu    sync.Mutex
	conns map[*flowConn]struct{} // guarded by mu
}

func newFlow(most int64, over func(net.Addr)) *flow {
	return &flow{most: most, over: over, conns: make(map[*flowConn]struct{})}
}

// flowCreds puts the flow between gRPC and what comes after the handshake of a connection.
type flowCreds struct {
	credentials.TransportCredentials
	flow *flow
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *flowCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return conn, info, err
	}
	return c.flow.conn(conn), info, nil
}

// Clone implements credentials.TransportCredentials.
func (c *flowCreds) Clone() credentials.TransportCredentials {
	return &flowCreds{c.TransportCredentials.Clone(), c.flow}
}

func (f *flow) conn(nc net.Conn) *flowConn {
	c := &flowConn{Conn: nc, flow: f, calls: make(map[uint32]*flowCall), in: frames{skip: len(preface)}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[c] = struct{}{}
	return c
}

// preface is what an HTTP/2 client sends before its frames.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// flowConn is a connection of a flow. One goroutine reads it, and one writes to it.
type flowConn struct {
	net.Conn
	flow    *flow
	in, out frames

	mu     sync.Mutex
	calls  map[uint32]*flowCall // guarded by mu; in progress, by stream; nil: closed
	bytes  int64                // guarded by mu; of calls
	closed sync.Once
}

// flowCall is a call from its first frame until its answer is written.
type flowCall struct {
	bytes int64
	since time.Time
	whole bool // its request has come
}

// The kinds of frames that begin, grow and end calls (RFC 9113, 6), and a flag of theirs.
const (
	frameData, frameHeaders, frameReset = 0, 1, 3
	endStream                           = 1
)

var errRequestBytes = errors.New("the requests in progress take more than Limits.RequestBytes")

// Read implements net.Conn.
func (c *flowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.feed(b[:n], c.received)
	if c.flow.bytes.Load() > c.flow.most && !c.flow.shed(c) {
		return 0, errRequestBytes
	}
	return n, err
}

// Write implements net.Conn.
func (c *flowConn) Write(b []byte) (int, error) {
	c.out.feed(b, c.sent)
	return c.Conn.Write(b)
}

func (c *flowConn) received(kind, flags byte, stream uint32, length int) {
	if kind != frameData && kind != frameHeaders && kind != frameReset {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.calls[stream]
	switch {
	case c.calls == nil:
		return
	case kind == frameReset:
		c.end(stream)
		return
	case kind == frameHeaders && call == nil:
		call = &flowCall{since: time.Now()}
		c.calls[stream] = call
		c.flow.calls.Add(1)
	case call == nil: // it has ended: gRPC drops the rest
		return
	}
	call.bytes += int64(length)
	c.bytes += int64(length)
	c.flow.bytes.Add(int64(length))
	call.whole = call.whole || flags&endStream != 0
}

func (c *flowConn) sent(kind, flags byte, stream uint32, _ int) {
	if kind == frameReset || kind == frameHeaders && flags&endStream != 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end(stream)
	}
}

// end forgets a call. The caller holds c.mu.
func (c *flowConn) end(stream uint32) {
	if call := c.calls[stream]; call != nil {
		delete(c.calls, stream)
		c.bytes -= call.bytes
		c.flow.bytes.Add(-call.bytes)
		c.flow.calls.Add(-1)
	}
}

// Close implements net.Conn.
func (c *flowConn) Close() error {
	c.closed.Do(func() {
		c.flow.mu.Lock()
		delete(c.flow.conns, c)
		c.flow.mu.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		for stream := range c.calls {
			c.end(stream)
		}
		c.calls = nil
	})
	return c.Conn.Close()
}

// lateAfter is how long a request may take to come when there is no room left.
const lateAfter = 10 * time.Second

// shed makes room by ending connections: those first that have a request which has been coming for long,
// then those that have the most. It returns false if c is one of them.
func (f *flow) shed(c *flowConn) bool {
	for f.bytes.Load() > f.most {
		worst := f.worst()
		if worst == nil {
			return true
		}
		f.over(worst.RemoteAddr())
		worst.Close()
		if worst == c {
			return false
		}
	}
	return true
}

// worst returns the connection that shed ends next, or nil.
func (f *flow) worst() (worst *flowConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	most, late, now := int64(0), false, time.Now()
	for c := range f.conns {
		bytes, isLate := c.load(now)
		if bytes > 0 && (isLate && !late || isLate == late && bytes > most) {
			worst, most, late = c, bytes, isLate
		}
	}
	return worst
}

// load returns what the requests of a connection take, and whether one of them is late.
func (c *flowConn) load(now time.Time) (bytes int64, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.calls {
		late = late || !call.whole && now.Sub(call.since) > lateAfter
	}
	return c.bytes, late
}

// frames finds the heads of HTTP/2 frames in what is read or written.
type frames struct {
	skip int // bytes before the next head
	head [9]byte
	have int // of head
}

func (f *frames) feed(b []byte, frame func(kind, flags byte, stream uint32, length int)) {
	for len(b) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(b))
			f.skip -= n
			b = b[n:]
			continue
		}
		n := copy(f.head[f.have:], b)
		b = b[n:]
		if f.have += n; f.have == len(f.head) {
			f.have = 0
			f.skip = int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
			frame(f.head[3], f.head[4], binary.BigEndian.Uint32(f.head[5:])&(1<<31-1), f.skip)
		}
	}
}
