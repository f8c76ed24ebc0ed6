package rpc

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	peerspb "github.com/peercache/peercache/rpc/proto/peercache/peers/v1"
)

// call is one side of a call of peercache.peers.v1.Peers.Connect.
type call interface {
	Send(*peerspb.Bytes) error
	Recv() (*peerspb.Bytes, error)
}

// mostBytes is how many bytes are sent in one message.
const mostBytes = 32 << 10

// callConn is a net.Conn whose bytes are the messages of a call.
type callConn struct {
	call          call
	local, remote net.Addr
	// hangUp ends the call. It is called once, by Close, when no Write is in progress, or by the end
	// of a deadline or by Close while one is: then it must end that Write.
	hangUp func(writing bool)
	end    sync.Once
	ended  chan struct{} // closed when the conn is

	received chan []byte   // from pump to Read
	over     chan struct{} // closed when there is nothing more to receive
	why      error         // why; written before over is closed

	reading sync.Mutex // held by Read
	rest    []byte     // guarded by reading; of the last message

	readBy deadline

	writing sync.Mutex  // held by Write
	inWrite atomic.Bool // a Write is in progress: the end of writeBy ends the conn
	writeBy deadline
}

// newCallConn returns a conn. It takes the messages of the call until that ends.
func newCallConn(c call, local, remote net.Addr, hangUp func(writing bool)) *callConn {
	conn := &callConn{call: c, local: local, remote: remote, hangUp: hangUp, ended: make(chan struct{}), received: make(chan []byte), over: make(chan struct{})}
	conn.readBy.init()
	conn.writeBy.init()
	conn.writeBy.onPass = func() {
		if conn.inWrite.Load() {
			conn.close(true)
		}
	}
	go conn.pump()
	return conn
}

// pump hands each message to Read. It takes the next one when that is read, so that what is on its
// way is bounded by the window of the call.
func (c *callConn) pump() {
	defer close(c.over)
	for {
		m, err := c.call.Recv()
		if err != nil {
			c.why = readError(err)
			return
		}
		if len(m.GetData()) == 0 {
			continue
		}
		select {
		case c.received <- m.GetData():
		case <-c.ended: // nobody reads any more, and the other side ends the call
		}
	}
}

// readError returns what Read returns for the end of a call.
func readError(err error) error {
	if err == io.EOF || status.Code(err) == codes.Canceled {
		return io.EOF
	}
	return err
}

// Read implements net.Conn.
func (c *callConn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if isClosed(c.ended) {
		return 0, net.ErrClosed
	}
	if len(c.rest) == 0 {
		if isClosed(c.readBy.passed()) {
			return 0, os.ErrDeadlineExceeded
		}
		select {
		case c.rest = <-c.received:
		case <-c.over:
			return 0, c.why
		case <-c.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case <-c.ended:
			return 0, net.ErrClosed
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements net.Conn. A Write that its deadline ends, ends the connection: how much of it
// was sent is not known.
func (c *callConn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.inWrite.Store(true) // before the look at the deadline
	defer c.inWrite.Store(false)
	if isClosed(c.writeBy.passed()) {
		return 0, os.ErrDeadlineExceeded
	}
	for n < len(b) {
		if isClosed(c.ended) {
			break
		}
		part := b[n:min(len(b), n+mostBytes)]
		if err := c.call.Send(&peerspb.Bytes{Data: part}); err != nil {
			return n, c.writeError(err)
		}
		n += len(part)
	}
	if n < len(b) {
		return n, c.writeError(net.ErrClosed)
	}
	return n, nil
}

// writeError returns what Write returns for an error.
func (c *callConn) writeError(err error) error {
	switch {
	case isClosed(c.writeBy.passed()):
		return os.ErrDeadlineExceeded
	case isClosed(c.ended):
		return net.ErrClosed
	case errors.Is(err, io.EOF): // Recv has the reason
		return io.ErrClosedPipe
	}
	return err
}

// Close implements net.Conn.
func (c *callConn) Close() error {
	writing := !c.writing.TryLock()
	if !writing {
		defer c.writing.Unlock()
	}
	c.close(writing)
	return nil
}

func (c *callConn) close(writing bool) {
	c.end.Do(func() {
		close(c.ended)
		c.hangUp(writing)
	})
}

// LocalAddr and RemoteAddr implement net.Conn.
func (c *callConn) LocalAddr() net.Addr  { return c.local }
func (c *callConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *callConn) SetDeadline(t time.Time) error {
	c.readBy.change(t)
	c.writeBy.change(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *callConn) SetReadDeadline(t time.Time) error {
	c.readBy.change(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *callConn) SetWriteDeadline(t time.Time) error {
	c.writeBy.change(t)
	return nil
}

// deadline is a time that may be changed.
type deadline struct {
	onPass func() // called when the time has passed; may be nil

	mu    sync.Mutex
	timer *time.Timer   // guarded by mu; closes end; nil: there is none
	end   chan struct{} // guarded by mu; closed when the time has passed
}

func (d *deadline) init() { d.end = make(chan struct{}) }

// passed returns what is closed when the time has passed. A change back makes another one.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.end
}

// change sets the time, or none if t is zero.
func (d *deadline) change(t time.Time) {
	left := time.Until(t)
	if !t.IsZero() && left <= 0 && d.onPass != nil {
		defer d.onPass()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.end // the timer closes it, or has
	}
	d.timer = nil
	if isClosed(d.end) {
		d.end = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	end := d.end
	if left > 0 {
		d.timer = time.AfterFunc(left, func() {
			close(end)
			if d.onPass != nil {
				d.onPass()
			}
		})
	} else {
		close(end)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
