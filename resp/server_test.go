package resp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/resp/codec"
)

// A run of GETs is one GetMulti, answered in order, though the first is the slowest.
func TestPipelineIsGotTogether(t *testing.T) {
	g := newFake("g")
	var asked sync.WaitGroup
	asked.Add(100)
	g.load = func(ctx context.Context, key string) (string, error) {
		asked.Done()
		asked.Wait() // until all are asked for: one after another would never end
		return "value of " + key, nil
	}
	_, addr := start(t, []door.Cache{g})
	c := dial(t, addr)
	var all []byte
	for i := range 100 {
		all = codec.AppendCommand(all, "GET", fmt.Sprint("g:", i))
	}
	c.send(string(all))
	for i := range 100 {
		if got, want := c.read(), fmt.Sprint("$value of ", i); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

// A client that hangs up ends what waits for it.
func TestHangUpEndsTheWait(t *testing.T) {
	g := newFake("g")
	ended := make(chan error, 1)
	loading := make(chan bool)
	g.load = func(ctx context.Context, key string) (string, error) {
		loading <- true
		<-ctx.Done()
		ended <- ctx.Err()
		return "", ctx.Err()
	}
	_, addr := start(t, []door.Cache{g})
	c := dial(t, addr)
	c.send("GET g:a\r\nPING\r\n")
	<-loading
	c.nc.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the load goes on")
	}
}

// What comes while a command takes long is not lost.
func TestCommandsBehindALongOne(t *testing.T) {
	g := newFake("g")
	loading, end := make(chan bool), make(chan bool)
	g.load = func(ctx context.Context, key string) (string, error) {
		loading <- true
		<-end
		return "x", nil
	}
	synctest.Test(t, func(t *testing.T) {
		c, shutdown := pipe(t, g)
		loading, end = make(chan bool), make(chan bool)
		c.send("GET g:a\r\n")
		<-loading
		time.Sleep(time.Second) // the server reads what comes now, to notice the end
		const more = 1000
		go c.send(strings.Repeat("ECHO hello\r\n", more))
		time.Sleep(time.Second)
		close(end)
		c.reads("$x")
		for range more {
			c.reads("$hello")
		}
		shutdown()
	})
}

// pipes is a listener without a network.
type pipes struct {
	next chan net.Conn
	end  chan struct{}
	once sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.next:
		return nc, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.end) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// pipe serves a group in memory, for tests with synctest's time.
func pipe(t *testing.T, g *fake, opts ...resp.Option) (c *client, shutdown func()) {
	t.Helper()
	s, err := resp.New([]door.Cache{g}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	l := &pipes{next: make(chan net.Conn), end: make(chan struct{})}
	go s.Serve(l)
	ours, theirs := net.Pipe()
	l.next <- theirs
	return &client{t, ours, codec.NewReplies(ours)}, func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestTimeouts(t *testing.T) {
	for _, test := range []struct {
		name  string
		opts  []resp.Option
		send  string
		after time.Duration // it is still there
		gone  time.Duration // it is not
		talk  string        // sent every second
	}{
		{name: "idle", opts: []resp.Option{resp.WithLimits(resp.Limits{IdleTimeout: time.Hour})}, after: 59 * time.Minute, gone: 61 * time.Minute},
		{name: "a command in part", send: "*2\r\n$3\r\nGET\r\n$10\r\na", after: 50 * time.Second, gone: 62 * time.Second},
		{name: "a line without an end", send: "GET", after: 50 * time.Second, gone: 62 * time.Second},
		{name: "a stranger", opts: []resp.Option{resp.WithPassword("secret")}, after: 50 * time.Second, gone: 62 * time.Second},
		{name: "a stranger that talks", opts: []resp.Option{resp.WithPassword("secret")}, talk: "PING\r\n", after: 50 * time.Second, gone: 62 * time.Second},
		{name: "no limit", after: 2 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, shutdown := pipe(t, newFake("g"), test.opts...)
				defer shutdown()
				if test.send != "" {
					c.send(test.send)
				}
				began := time.Now()
				c.nc.SetReadDeadline(began.Add(test.after))
				var talking sync.WaitGroup
				defer talking.Wait()
				if test.talk != "" {
					talking.Go(func() {
						for {
							if _, err := c.nc.Write([]byte(test.talk)); err != nil {
								return
							}
							time.Sleep(time.Second)
						}
					})
				}
				if _, err := io.Copy(io.Discard, c.nc); !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(fmt.Sprint(err), "timeout") {
					t.Fatalf("gone after %v: %v", time.Since(began), err)
				}
				if test.gone == 0 {
					c.nc.Close()
					return
				}
				c.nc.SetReadDeadline(began.Add(test.gone))
				if _, err := io.Copy(io.Discard, c.nc); err != nil {
					t.Errorf("still there after %v: %v", time.Since(began), err)
				}
			})
		})
	}
}

func TestUsers(t *testing.T) {
	g := newFake("g")
	_, addr := start(t, []door.Cache{g}, resp.WithPassword("secret"), resp.WithUsers(resp.User{Name: "reader", Password: "pw", ReadOnly: true}))
	c := dial(t, addr)
	c.want("-NOAUTH Authentication required.", "GET g:a")
	c.want("-NOAUTH Authentication required.", "PING")
	c.want("-WRONGPASS invalid username-password pair or user is disabled.", "AUTH wrong")
	c.want("-WRONGPASS invalid username-password pair or user is disabled.", "AUTH nobody secret")
	c.want("+OK", "AUTH secret")
	c.want("(nil)", "GET g:a")
	c.want("+RESET", "RESET")
	c.want("-NOAUTH Authentication required.", "GET g:a")
	if got := c.do("HELLO 3 AUTH reader pw SETNAME me"); !strings.Contains(got, "$proto :3") {
		t.Error(got)
	}
	c.want("(nil)", "GET g:a")
	c.want("-NOPERM this user has no permissions to run the 'set' command", "SET g:a 1")
	big := dial(t, addr)
	big.send("*11\r\n")
	big.reads("-ERR Protocol error: unauthenticated multibulk length")
	big = dial(t, addr)
	big.send("*2\r\n$4\r\nAUTH\r\n$1000000\r\n")
	big.reads("-ERR Protocol error: unauthenticated bulk length")
}

// Wrong passwords cannot be tried fast, nor in one connection for long. What is logged of them is bounded.
func TestWrongPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c, shutdown := pipe(t, newFake("g"), resp.WithPassword("secret"), resp.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		began := time.Now()
		go func() {
			for i := range 100 { // in one go
				if _, err := fmt.Fprintf(c.nc, "AUTH guess%d\r\n", i); err != nil {
					return
				}
			}
		}()
		answers := 0
		for {
			if _, err := c.r.Read(); err != nil {
				break
			}
			answers++
		}
		if took := time.Since(began); answers != 10 || took < 2*time.Second {
			t.Errorf("%d passwords were tried in %v: want 10, in two seconds", answers, took)
		}
		shutdown()
		if lines := strings.Count(log.String(), "\n"); lines != 2 { // the first one, and the end
			t.Errorf("%d lines in the log:\n%s", lines, &log)
		}
	})
}

// Clients that do not read what they have asked for take a bounded memory together, also where replies cannot
// be sent in parts, because messages may come in between.
func TestUnreadRepliesAreBounded(t *testing.T) {
	const clients, room = 40, 4 << 20
	g := newFake("g")
	g.set("a", strings.Repeat("v", 1<<20))
	s, addr := start(t, []door.Cache{g}, resp.WithLimits(resp.Limits{ClientBytes: room}))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all []*client
	for range clients {
		c := dial(t, addr)
		all = append(all, c)
		c.send("HELLO 3\r\nCLIENT TRACKING ON\r\n" + strings.Repeat("MGET g:a g:a g:a\r\n", 20))
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s: %+v, %d bytes are taken", what, s.Stats(), resp.Memory(s))
			}
		}
	}
	await("clients to be disconnected", func() bool { return s.Stats().Unread >= clients*3/4 })
	runtime.GC()
	if runtime.ReadMemStats(&after); after.HeapAlloc > before.HeapAlloc+8*room {
		t.Errorf("%d bytes are taken: want about %d", after.HeapAlloc-before.HeapAlloc, room)
	}
	other := dial(t, addr)
	other.want("+PONG", "PING")
	for _, c := range append(all, other) {
		c.nc.Close()
	}
	await("all memory to be given back", func() bool { return resp.Memory(s) == 0 && s.Stats().Clients == 0 })
}

func TestReadOnly(t *testing.T) {
	_, addr := start(t, []door.Cache{newFake("g")}, resp.WithReadOnly())
	c := dial(t, addr)
	c.want("(nil)", "GET g:a")
	c.want("-READONLY You can't write against a read only replica.", "FLUSHALL")
}

type address struct{ net.Listener }

func (a address) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6379} }
func (a address) Close() error   { return nil }

func TestOpenServerIsRefused(t *testing.T) {
	s, err := resp.New([]door.Cache{newFake("g")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(address{}); err == nil || !strings.Contains(err.Error(), "WithInsecure") {
		t.Errorf("Serve: %v", err)
	}
}

func TestConfiguration(t *testing.T) {
	g := newFake("g")
	for want, opts := range map[string][]resp.Option{
		"nothing to serve":       nil,
		"want one of them":       {resp.WithInsecure(), resp.WithPassword("x")},
		"two users":              {resp.WithPassword("x"), resp.WithPassword("y")},
		"no name or no password": {resp.WithPassword("")},
		"is not served":          {resp.WithPrefixes(map[string]string{"x:": "h"})},
		"default group":          {resp.WithDefaultGroup("h")},
		"want WithDefaultGroup":  {resp.WithPrefixes(map[string]string{"": "g"})},
		"less than zero":         {resp.WithLimits(resp.Limits{Clients: -1})},
	} {
		caches := []door.Cache{g}
		if opts == nil {
			caches = nil
		}
		if _, err := resp.New(caches, opts...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

func TestClientsAreLimited(t *testing.T) {
	_, addr := start(t, []door.Cache{newFake("g")}, resp.WithLimits(resp.Limits{Clients: 1}))
	c := dial(t, addr)
	c.quiet()
	dial(t, addr).reads("-ERR max number of clients reached")
	c.quiet()
}

func TestShutdownAnswersWhatHasCome(t *testing.T) {
	g := newFake("g")
	loading, end := make(chan bool), make(chan bool)
	g.load = func(ctx context.Context, key string) (string, error) {
		loading <- true
		<-end
		return "x", ctx.Err()
	}
	s, addr := start(t, []door.Cache{g})
	idle, c := dial(t, addr), dial(t, addr)
	idle.quiet()
	c.send("GET g:a\r\nECHO b\r\n")
	<-loading
	over := make(chan error)
	go func() { over <- s.Shutdown(context.Background()) }()
	if _, err := idle.r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("an idle client: %v", err)
	}
	close(end)
	c.reads("$x", "$b")
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestShutdownWithoutTime(t *testing.T) {
	g := newFake("g")
	loading := make(chan bool)
	g.load = func(ctx context.Context, key string) (string, error) {
		loading <- true
		<-ctx.Done()
		return "", ctx.Err()
	}
	s, addr := start(t, []door.Cache{g})
	c := dial(t, addr)
	c.send("GET g:a\r\n")
	<-loading
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestLargeValues(t *testing.T) {
	g := newFake("g")
	text := strings.Repeat("0123456789abcdef", 1<<16)
	g.set("c", "c")
	_, addr := start(t, []door.Cache{g})
	for _, proto := range []string{"", "HELLO 3"} {
		c := dial(t, addr)
		if proto != "" {
			c.do(proto)
			c.want("+OK", "CLIENT TRACKING ON")
		}
		c.cmd("SET", "g:a", text)
		c.reads("+OK")
		c.cmd("MGET", "g:a", "g:c", "g:a")
		c.cmd("GET", "g:a")
		c.reads("[$"+text+" $c $"+text+"]", "$"+text)
	}
}

// An idle client costs little. The test counts both ends of each connection, and halves nothing: the
// client's end is a socket, which the runtime has a little memory for as well.
func TestIdleClientsAreCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("it opens many connections")
	}
	const clients, most = 2000, 16 << 10
	g := newFake("g")
	g.set("a", "1")
	s, addr := start(t, []door.Cache{g})
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := memory()
	conns := make([]net.Conn, clients)
	for i := range conns {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Skip("no more connections on this machine: ", err)
		}
		defer nc.Close()
		conns[i] = nc
		var reply [16]byte
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		nc.Write([]byte("GET g:a\r\n"))
		if _, err := nc.Read(reply[:]); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		each := (int64(memory()) - int64(before)) / clients
		if each <= most {
			t.Logf("%d bytes for each of %d clients", each, s.Stats().Clients)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes for each idle client, want at most %d", each, most)
		}
		<-time.After(200 * time.Millisecond) // until they have given their buffers away
	}
}
