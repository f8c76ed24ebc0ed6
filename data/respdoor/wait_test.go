package respdoor_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/bridge"
	"github.com/peercache/peercache/data/respdoor"
	"github.com/peercache/peercache/resp"
)

// blocked returns when so many commands wait.
func blocked(t *testing.T, m *data.Memory, n int64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); bridge.EngineOf(m).Blocked.Load() != n; {
		if time.Now().After(end) {
			t.Fatalf("%d commands wait, want %d", bridge.EngineOf(m).Blocked.Load(), n)
		}
		runtime.Gosched()
	}
}

func (c *conn) id() string {
	c.t.Helper()
	c.send("CLIENT ID")
	r, err := c.r.Read()
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprint(r.Int)
}

func TestBlocking(t *testing.T) {
	m, addr := startMemory(t)
	a, b := dial(t, addr), dial(t, addr)
	id := a.id()
	for _, tc := range []struct{ name, waits, by, reply, want string }{
		{"an element", "BLPOP k l 0", "RPUSH l x", ":1", "*[l x]"},
		{"an element of a transaction", "BLPOP k l 0", "MULTI\r\nRPUSH l x\r\nEXEC", "+OK|+QUEUED|*[:1]", "*[l x]"},
		{"the end of its time", "BLPOP k 0.01", "PING", "+PONG", "nil"},
		{"CLIENT UNBLOCK", "BLPOP k 0", "CLIENT UNBLOCK " + id, ":1", "nil"},
		{"CLIENT UNBLOCK ERROR", "BZPOPMIN k 0", "CLIENT UNBLOCK " + id + " ERROR", ":1", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"},
		{"an error", "BLMOVE k s LEFT LEFT 0", "MULTI\r\nSET s x\r\nRPUSH k x\r\nEXEC", "+OK|+QUEUED|+QUEUED|*[+OK :1]",
			"-WRONGTYPE Operation against a key holding the wrong kind of value"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a.t, b.t = t, t
			b.want("+OK", "FLUSHALL")
			a.send("PING", tc.waits, "ECHO behind")
			a.reads("+PONG") // sent before the client waits
			if !strings.Contains(tc.waits, "0.01") {
				blocked(t, m, 1)
			}
			b.send(tc.by)
			b.reads(strings.Split(tc.reply, "|")...)
			a.reads(tc.want, "behind")
			blocked(t, m, 0)
		})
	}
	b.t = t
	b.want(":0", "CLIENT UNBLOCK "+id)
	b.send("MULTI", "BLPOP none 0", "EXEC") // waits for nobody
	b.reads("+OK", "+QUEUED", "*[nil]")
}

// A client that hangs up, or is disconnected, does not get what it has waited for.
func TestBlockedClientGoes(t *testing.T) {
	m, addr := startMemory(t)
	b := dial(t, addr)
	for name, leave := range map[string]func(a *conn, id string){
		"hangs up":    func(a *conn, id string) { a.nc.Close() },
		"CLIENT KILL": func(a *conn, id string) { b.want(":1", "CLIENT KILL ID "+id) },
	} {
		t.Run(name, func(t *testing.T) {
			a := dial(t, addr)
			id := a.id()
			a.send("BLPOP l 0")
			blocked(t, m, 1)
			leave(a, id)
			blocked(t, m, 0)
			b.want(":1", "RPUSH l x")
			b.want("x", "LPOP l")
		})
	}
}

// A shutdown ends the wait of commands, and answers them.
func TestShutdownWhileBlocked(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f, err := respdoor.New(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := resp.New(nil, resp.WithFallback(f))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	a := dial(t, l.Addr().String())
	a.send("BLPOP l 0")
	blocked(t, m, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	a.reads("-UNBLOCKED the server is shut down")
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// plain is a driver that is nothing but a Driver with Exec.
type plain struct {
	data.Driver
	data.Execer
}

// Another driver than a Memory is served by its Do and Exec.
func TestDriver(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a := dial(t, start(t, plain{m, m}))
	a.want("+OK", "SET k 1")
	a.want(":2", "INCR k")
	a.want("-WRONGTYPE Operation against a key holding the wrong kind of value", "LPUSH k x")
	a.want(":2", "RPUSH l a b")
	a.want("*[a b]", "LRANGE l 0 -1")
	a.want(":1", "HSET h f v")
	a.want("*[f v]", "HGETALL h")
	a.send("MULTI", "INCR k", "PING", "GET k", "EXEC")
	a.reads("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*[:3 +PONG 3]")
	a.want("nil", "BLPOP none 0.01")
	a.send("HELLO 3")
	a.r.Read()
	a.want("%[f v]", "HGETALL h")
	a.send("CLIENT TRACKING ON", "GET k") // nobody tells of changes, so nothing is cached
	a.reads("+OK", "3", ">[invalidate *[k]]")
}
