package resp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/resp/codec"
)

// bufferBytes is the size of the buffers of a client that is not idle.
const bufferBytes = 16 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferBytes); return &b }}

// Conn is a client. Functions of commands get it: its methods are for the goroutine that runs them,
// unless they say otherwise.
type Conn struct {
	s        *Server
	nc       net.Conn
	id       uint64
	since    time.Time
	ctx      context.Context // ends when the client hangs up
	cancel   context.CancelFunc
	done     chan struct{} // closed by kill
	killed   sync.Once
	killing  atomic.Bool
	quitting atomic.Bool // QUIT was answered: it is as good as gone

	// These are of the goroutine that serves the client.
	in      codec.Requests
	out     []byte // replies that are not sent
	held    int    // reserved for out
	session session
	run     []key // keys of GETs that are answered together
	leaving bool  // no more commands
	// gathering: more than zero: nothing is sent, because locks may be held.
	gathering int
	tooMuch   bool    // of what is gathered: it was dropped
	whole     int     // more than zero: a reply is written that must not be sent in part
	failed    bool    // nothing can be sent any more
	wrong     int     // wrong passwords that it has sent
	first     [1]byte // the room of a client that is idle: see fill

	// These are for sweep. They are of Server.now; zero: it is not going on.
	busy     atomic.Int64 // commands run since; see peek
	idle     atomic.Int64 // when the client last sent something
	partial  atomic.Int64 // a command has come in part since
	writing  atomic.Int64 // a write takes since
	parked   atomic.Bool  // there are no buffers: see fill
	stranger atomic.Int64 // it has not said who it is since, and must
	peeked   chan struct{}
	spare    []byte // what peek has read; of peek, until peeked is closed

	// sending is held by who writes to nc.
	sending  chan struct{}
	pushable atomic.Bool // messages that are no replies may come: replies are sent whole

	// Data is what a fallback keeps of the client.
	Data any

	command atomic.Pointer[Command]   // the last one, for CLIENT LIST
	track   atomic.Pointer[following] // nil: CLIENT TRACKING is off

	mu     sync.Mutex
	facts  facts
	pushes []byte // messages that are not sent
	later  later  // messages that nobody waits for
	gone   bool   // it gets no more of them
	// release ends a wait of Block; nil: the client does not wait.
	release context.CancelCauseFunc
	reads   []reading // keys that were read for replies that are not sent, with CLIENT TRACKING
	own     ownChange // the change that the client makes itself, with NOLOOP
	// waiting is how many wait for messages to be sent; waitSince, since when one has.
	waiting   int
	waitSince int64
}

// facts are what CLIENT LIST shows of a client, and others may read.
type facts struct {
	name, lib, libVersion, user               string
	proto, channels, patterns, shards, queued int
	invalidations                             bool // it is subscribed to the channel of invalidate.go
}

func newConn(s *Server, nc net.Conn, id uint64) *Conn {
	c := &Conn{s: s, nc: nc, id: id, since: time.Now(), done: make(chan struct{}), sending: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.in.Limits, c.in.Reserve = s.limits.codec(), s.reserve
	c.session.reset(c)
	c.idle.Store(s.now.Load())
	c.parked.Store(true)
	return c
}

// host is what the client is told apart by in the log.
func (c *Conn) host() string {
	if host, _, err := net.SplitHostPort(c.nc.RemoteAddr().String()); err == nil {
		return host
	}
	return c.nc.RemoteAddr().String()
}

// disconnecting logs why a client is disconnected, within the limits of internal/audit. It may be called
// by others.
func (c *Conn) disconnecting(why string) {
	c.s.audits.Record(audit.Connection, slog.LevelWarn, c.host()+" "+why, "a client is disconnected",
		slog.Uint64("client", c.id), slog.String("address", c.nc.RemoteAddr().String()), slog.String("reason", why))
}

// Context ends when the client hangs up, and when the server is shut down and does not wait any more.
func (c *Conn) Context() context.Context { return c.ctx }

// ID returns the number of the client, which no other one has.
func (c *Conn) ID() uint64 { return c.id }

// serve serves the client until it leaves.
func (c *Conn) serve() {
	defer c.s.running.Done()
	defer c.end()
	for {
		err := c.commands()
		if err != nil {
			c.refuse(err)
		}
		c.Flush()
		c.replied()
		c.calm()
		if err != nil || c.leaving || c.failed || c.killing.Load() || !c.fill() {
			return
		}
	}
}

// commands runs the commands that have come.
func (c *Conn) commands() error {
	c.replying()
	for n := int64(0); ; n++ {
		args, err := c.in.Next()
		if args == nil || err != nil {
			c.endRun()
			c.s.counts.commands.Add(n)
			return err
		}
		if c.joinRun(args) {
			continue
		}
		c.endRun()
		if c.failed || c.leaving {
			return nil
		}
		c.execute(args)
		if len(c.out) > sendBytes && c.whole == 0 {
			c.Flush()
		}
	}
}

// refuse answers what is no command.
func (c *Conn) refuse(err error) {
	c.session.muted = false
	c.Error(err.Error())
	c.s.log.Debug("a client does not speak the protocol", "client", c.id, "address", c.nc.RemoteAddr().String(), "error", err)
}

// fill waits for more from the client. It returns false if there will be none.
//
// A client that is idle has no buffers: sweep wakes it after a second (wake), and it then waits with
// room for one byte.
func (c *Conn) fill() bool {
	if c.in.Pending() == 0 {
		c.partial.Store(0)
	} else if c.partial.Load() == 0 {
		c.partial.Store(c.s.now.Load())
	}
	for {
		if c.s.draining.Load() {
			return false
		}
		if len(c.spare) > 0 {
			return c.feed()
		}
		space := c.first[:]
		if !c.parked.Load() {
			var err error
			if space, err = c.in.Space(); err != nil {
				c.refuse(err)
				c.Flush()
				return false
			}
		}
		// A client that waits for its replies has sent nothing yet. While others are served its next commands come, and this
		// goroutine need not be parked, and woken by the poller, which costs the system more time than a short command.
		runtime.Gosched()
		n, err := c.nc.Read(space)
		if n > 0 {
			if c.parked.Load() {
				c.unpark()
				space, _ = c.in.Space()
				space[0] = c.first[0]
				c.in.Fed(1)
				continue
			}
			c.in.Fed(n)
			c.awake()
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		c.nc.SetReadDeadline(time.Time{})
		c.park()
	}
}

// feed takes what peek has read. Space may be too small for it.
func (c *Conn) feed() bool {
	c.unpark()
	space, err := c.in.Space()
	if err != nil {
		c.refuse(err)
		c.Flush()
		return false
	}
	n := copy(space, c.spare)
	c.in.Fed(n)
	if c.spare = c.spare[n:]; len(c.spare) == 0 {
		c.spare = nil
	}
	c.awake()
	return true
}

// awake says that something has come.
func (c *Conn) awake() {
	now := c.s.now.Load()
	c.idle.Store(now)
	c.busy.Store(now)
}

// park gives the buffers away, unless they are in use.
func (c *Conn) park() {
	if c.parked.Load() || c.killing.Load() {
		return
	}
	buf := c.in.Take()
	if buf == nil && c.in.Size() > 0 {
		return
	}
	if len(buf) == bufferBytes {
		buffers.Put(&buf)
	}
	if cap(c.out) == bufferBytes {
		out := c.out[:bufferBytes]
		buffers.Put(&out)
	}
	c.out, c.run = nil, nil
	c.parked.Store(true)
}

func (c *Conn) unpark() {
	if !c.parked.Load() {
		return
	}
	c.in.Give(*buffers.Get().(*[]byte))
	c.out = (*buffers.Get().(*[]byte))[:0]
	c.parked.Store(false)
}

// wake ends a wait for what the client sends. It may be called by others.
func (c *Conn) wake() { c.nc.SetReadDeadline(longAgo) }

var longAgo = time.Unix(1, 0)

// kill disconnects the client. It may be called by others.
func (c *Conn) kill() {
	c.killed.Do(func() {
		c.killing.Store(true)
		c.cancel()
		close(c.done)
		c.nc.Close()
	})
}

// end forgets the client.
func (c *Conn) end() {
	c.kill()
	c.s.mu.Lock()
	delete(c.s.conns, c.id)
	c.s.mu.Unlock()
	c.session.end(c)
	c.in.Drop()
	c.releaseReplies()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.reserve(-len(c.pushes) - len(c.later.bytes))
	c.pushes, c.later.bytes, c.gone = nil, nil, true
}
