package simnet

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// addr is a host and a port, as in "10.0.0.1:8001".
type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

// conn is one end of a connection.
type conn struct {
	net           *Network
	m             *machine
	local, remote addr
	in, out       *pipe

	rd, wr           bell // of Read and of Write
	rdLimit, wrLimit instant

	closed bool // by its owner, or with its host
}

// errno is an error of the operating system as package net reports it.
func errno(call string, e syscall.Errno) error { return os.NewSyscallError(call, e) }

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// ring makes Read and Write look at everything again.
func (c *conn) ring() {
	c.rd.ring()
	c.wr.ring()
}

func (c *conn) ringAt(now, at instant) {
	c.rd.ringAt(now, at)
	c.wr.ringAt(now, at)
}

// Read implements net.Conn. Bytes that have arrived are read before the end of
// the stream or of the connection is reported.
func (c *conn) Read(b []byte) (int, error) {
	c.rd.enter()
	defer c.rd.leave()
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		now := n.now()
		if err := c.ended(now, c.rdLimit); err != nil {
			return 0, c.opError("read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		until := c.rdLimit
		if !c.m.frozen {
			if k := c.in.take(b, now); k > 0 {
				return k, nil
			}
			if c.in.fin.arrived(now) {
				return 0, io.EOF
			}
			if c.in.rst.arrived(now) {
				return 0, c.opError("read", errno("read", syscall.ECONNRESET))
			}
			until = min(until, c.in.next())
		}
		c.rd.sleep(n, now, until, nil)
	}
}

// Write implements net.Conn. It returns when the window has taken all of b.
func (c *conn) Write(b []byte) (total int, err error) {
	c.wr.enter()
	defer c.wr.leave()
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for first := true; ; first = false {
		now := n.now()
		if err := c.ended(now, c.wrLimit); err != nil {
			return total, c.opError("write", err)
		}
		if err := c.refused(now); err != nil {
			return total, c.opError("write", err)
		}
		if first && len(b) > 0 {
			c.out.link.stats.Messages++
		}
		total += c.out.send(b[total:], now)
		if total == len(b) {
			return total, nil
		}
		until := c.wrLimit
		if c.in.rst.sent {
			until = min(until, c.in.rst.at)
		}
		c.wr.sleep(n, now, until, nil)
	}
}

// ended returns why this end itself lets nothing through any more.
func (c *conn) ended(now, limit instant) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case limit <= now:
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}

// refused returns why nothing can be sent any more.
func (c *conn) refused(now instant) error {
	switch {
	case c.in.rst.arrived(now) && !c.in.fin.arrived(now):
		return errno("write", syscall.ECONNRESET)
	case c.in.rst.arrived(now), c.out.fin.sent:
		return errno("write", syscall.EPIPE)
	default:
		return nil
	}
}

// Close implements net.Conn. What was written still arrives, and the end of the
// stream after it. If bytes have come, or come later, that nobody has read, the
// other end gets a reset.
func (c *conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	now := c.net.now()
	c.out.finish(now)
	c.shut()
	c.in.bounce(now)
	c.net.emit(Closed, string(c.local), string(c.remote))
	return nil
}

// CloseWrite ends the stream to the other end, as (*net.TCPConn).CloseWrite.
func (c *conn) CloseWrite() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.finish(c.net.now())
	c.wr.ring()
	return nil
}

// shut makes all calls at this end return net.ErrClosed. The other end learns
// nothing of it.
func (c *conn) shut() {
	if c.closed {
		return
	}
	if far := c.in.src; !far.closed {
		c.out.link.stats.Open--
		c.in.link.stats.Open--
	} else {
		c.out.link.forget(c.out)
		c.in.link.forget(c.in)
	}
	c.closed = true
	c.ring()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error { return c.limit(t, &c.rdLimit, &c.wrLimit) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.limit(t, &c.rdLimit) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.limit(t, &c.wrLimit) }

func (c *conn) limit(t time.Time, limits ...*instant) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	at := never
	if !t.IsZero() {
		at = t.Sub(c.net.start)
	}
	for _, limit := range limits {
		*limit = at
	}
	c.ring()
	return nil
}
