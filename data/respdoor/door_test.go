package respdoor_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/bridge"
	"github.com/peercache/peercache/data/respdoor"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/resp/codec"
)

// start serves a driver, and returns its address.
func start(t testing.TB, driver data.Driver, opts ...resp.Option) string {
	t.Helper()
	f, err := respdoor.New(driver)
	if err != nil {
		t.Fatal(err)
	}
	s, err := resp.New(nil, append(opts, resp.WithFallback(f))...)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func startMemory(t *testing.T) (*data.Memory, string) {
	t.Helper()
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, start(t, m)
}

// conn is a client.
type conn struct {
	t  testing.TB
	nc net.Conn
	r  *codec.Replies
}

func dial(t testing.TB, addr string) *conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &conn{t, nc, codec.NewReplies(bufio.NewReader(nc))}
}

func (c *conn) send(commands ...string) {
	c.t.Helper()
	if _, err := c.nc.Write([]byte(strings.Join(commands, "\r\n") + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
}

// reads reads as many replies as are wanted.
func (c *conn) reads(want ...string) {
	c.t.Helper()
	for _, w := range want {
		r, err := c.r.Read()
		if err != nil {
			c.t.Fatalf("want %s: %v", w, err)
		}
		if got := show(r); got != w {
			c.t.Errorf("got %s, want %s", got, w)
		}
	}
}

func (c *conn) want(want, command string) {
	c.t.Helper()
	c.send(command)
	c.reads(want)
}

func show(r codec.Reply) string {
	switch {
	case r.Null:
		return "nil"
	case r.Kind == ':':
		return fmt.Sprint(":", r.Int)
	case r.Kind == '*' || r.Kind == '~' || r.Kind == '>' || r.Kind == '%':
		var parts []string
		for _, p := range r.List {
			parts = append(parts, show(p))
		}
		return string(r.Kind) + "[" + strings.Join(parts, " ") + "]"
	case r.Kind == '$':
		return r.Text
	}
	return string(r.Kind) + r.Text
}

func TestTransactions(t *testing.T) {
	_, addr := startMemory(t)
	a, b := dial(t, addr), dial(t, addr)
	a.want("+OK", "MULTI")
	a.send("SET k 1", "PING", "GET k", "STRLEN k", "SETX", "EXEC")
	a.reads("+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "-ERR unknown command 'SETX', with args beginning with: ",
		"-EXECABORT Transaction discarded because of previous errors.")
	a.want("nil", "GET k")
	a.send("MULTI", "SET k 1", "PING", "GET k", "EXPIRE k x", "DBSIZE", "EXEC")
	a.reads("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "*[+OK +PONG 1 -ERR value is not an integer or out of range :1]")

	for _, tc := range []struct{ name, between, want string }{
		{"nobody changes it", "GET k", "*[1]"},
		{"somebody changes it", "SET k 2", "nil"},
		{"unwatched", "", "*[2]"},
	} {
		a.want("+OK", "WATCH k other")
		if tc.between == "" {
			b.want("+OK", "SET other 1")
			a.want("+OK", "UNWATCH")
		} else {
			b.send(tc.between)
			b.r.Read()
		}
		a.send("MULTI", "GET k", "EXEC")
		a.reads("+OK", "+QUEUED", tc.want)
	}
	a.send("WATCH k", "MULTI", "WATCH k", "DISCARD", "SET k 9", "MULTI", "GET k", "EXEC")
	a.reads("+OK", "+OK", "-ERR WATCH inside MULTI is not allowed", "+OK", "+OK", "+OK", "+QUEUED", "*[9]")
}

// TestOwnCommandsInTransactions has commands of the door among those of the engine, which has the keys locked.
func TestOwnCommandsInTransactions(t *testing.T) {
	_, addr := startMemory(t)
	a := dial(t, addr)
	a.send("SET k 1", "MEMORY USAGE k", "WATCH k", "MULTI", "SET k 2", "MEMORY USAGE k", "UNWATCH", "WAIT 0 0", "GET k", "EXEC")
	a.reads("+OK", ":80", "+OK", "+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "*[+OK :80 +OK :0 2]")
	a.send("MULTI", "MEMORY USAGE k", "MEMORY USAGE none", "SUBSCRIBE c", "EXEC")
	a.reads("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*[:80 nil *[subscribe c :1]]")
}

func TestPubSub(t *testing.T) {
	m, addr := startMemory(t)
	a, b := dial(t, addr), dial(t, addr)
	a.send("SUBSCRIBE a b", "PSUBSCRIBE a*", "SSUBSCRIBE a")
	a.reads("*[subscribe a :1]", "*[subscribe b :2]", "*[psubscribe a* :3]", "*[ssubscribe a :1]")
	b.want(":2", "PUBLISH a hello")
	a.reads("*[message a hello]", "*[pmessage a* a hello]")
	b.want(":1", "SPUBLISH a shard")
	a.reads("*[smessage a shard]")
	b.want("*[a b]", "PUBSUB CHANNELS")
	b.want("*[a :1 c :0]", "PUBSUB NUMSUB a c")
	b.want(":1", "PUBSUB NUMPAT")
	a.want("-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", "GET k")
	a.send("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE")
	a.reads("*[unsubscribe a :2]", "*[unsubscribe b :1]", "*[punsubscribe a* :0]", "*[sunsubscribe a :0]", "*[unsubscribe nil :0]")
	b.want(":0", "PUBLISH a hello")

	// What a client causes itself comes behind its reply, and from a transaction when that is done.
	a.send("HELLO 3")
	a.r.Read()
	a.send("SUBSCRIBE a", "PUBLISH a 1", "MULTI", "PUBLISH a 2", "PING", "EXEC")
	a.reads(">[subscribe a :1]", ":1", "+OK", "+QUEUED", "+QUEUED", "*[:1 +PONG]", ">[message a 1]", ">[message a 2]")
	a.nc.Close()

	for i := 0; bridge.EngineOf(m).Messages.Subscribers(false, "a") > 0; i++ {
		if b.want("+PONG", "PING"); i == 10_000 {
			t.Fatal("a client that has gone is still subscribed")
		}
	}
}

func TestTracking(t *testing.T) {
	m, addr := startMemory(t)
	a, b := dial(t, addr), dial(t, addr)
	a.send("HELLO 3")
	a.r.Read()
	a.send("CLIENT TRACKING ON", "SET k 1", "GET k")
	a.reads("+OK", "+OK", "1")
	b.want("+OK", "SET k 2")
	a.reads(">[invalidate *[k]]")
	b.want("+OK", "SET k 3") // it was not read since
	a.want("3", "GET k")
	if _, err := m.Do(context.Background(), data.Command("DEL", "k")); err != nil {
		t.Fatal(err)
	}
	a.reads(">[invalidate *[k]]")

	a.send("SET k 4", "GET k", "SET k 5", "PING") // its own change
	a.reads("+OK", "4", "+OK", "+PONG", ">[invalidate *[k]]")
	a.send("CLIENT TRACKING ON NOLOOP", "GET k", "SET k 6", "PING")
	a.reads("+OK", "5", "+OK", "+PONG")
	b.want("+OK", "SET k 7")
	a.reads(">[invalidate *[k]]")
	a.want("7", "GET k")
	b.want("+OK", "FLUSHALL")
	a.reads(">[invalidate nil]")
	a.send("CLIENT TRACKING OFF", "CLIENT TRACKING ON BCAST PREFIX p", "GET k")
	a.reads("+OK", "+OK", "nil")
	b.send("MULTI", "SET k 1", "SET p1 1", "SET p2 1", "EXEC")
	b.reads("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*[+OK +OK +OK]")
	a.reads(">[invalidate *[p1 p2]]")
	b.want("+OK", "SET p1 2 PX 10")
	a.reads(">[invalidate *[p1]]", ">[invalidate *[p1]]") // the second one, when it expires
}

// What is set can be set back.
func TestSettings(t *testing.T) {
	_, addr := startMemory(t)
	c := dial(t, addr)
	for _, s := range []struct{ name, value, want string }{
		{"lazyfree-lazy-expire", "yes", ""}, {"lazyfree-lazy-expire", "no", ""}, {"lazyfree-lazy-expire", "1", "argument must be 'yes' or 'no'"},
		{"hash-max-listpack-entries", "7", ""}, {"hash-max-listpack-entries", "128", ""},
		{"hash-max-listpack-entries", "no", "argument couldn't be parsed into an integer"},
	} {
		if s.want == "" {
			c.want("+OK", "CONFIG SET "+s.name+" "+s.value)
			c.want("*["+s.name+" "+s.value+"]", "CONFIG GET "+s.name)
			continue
		}
		c.want("-ERR CONFIG SET failed (possibly related to argument '"+s.name+"') - "+s.want, "CONFIG SET "+s.name+" "+s.value)
	}
}

func TestKeyspaceNotifications(t *testing.T) {
	_, addr := startMemory(t)
	a, b := dial(t, addr), dial(t, addr)
	a.want("*[psubscribe __key*@*:* :1]", "PSUBSCRIBE __key*@*:*")
	b.want("-ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
		"CONFIG SET notify-keyspace-events KEA?")
	b.send("CONFIG SET notify-keyspace-events KEA", "CONFIG GET notify-keyspace-events", "SET k 1 PX 1")
	b.reads("+OK", "*[notify-keyspace-events AKE]", "+OK")
	for _, event := range []string{"set", "expire", "expired"} {
		a.reads("*[pmessage __key*@*:* __keyspace@0__:k "+event+"]", "*[pmessage __key*@*:* __keyevent@0__:"+event+" k]")
	}
	b.send("CONFIG SET notify-keyspace-events Eg$", "MULTI", "SET k 1", "DEL k", "EXEC", "CONFIG SET notify-keyspace-events ''", "SET k 2")
	b.reads("+OK", "+OK", "+QUEUED", "+QUEUED", "*[+OK :1]", "+OK", "+OK")
	a.reads("*[pmessage __key*@*:* __keyevent@0__:set k]", "*[pmessage __key*@*:* __keyevent@0__:del k]")
	a.want("*[pong x]", "PING x")
}

// Two doors of one Memory tell their clients of changes, each to the end.
func TestTrackingByTwoDoors(t *testing.T) {
	m, first := startMemory(t)
	second := start(t, m)
	a, b, c := dial(t, first), dial(t, second), dial(t, first)
	for _, at := range []*conn{a, b} {
		at.send("HELLO 3")
		at.r.Read()
		at.send("CLIENT TRACKING ON", "GET k")
		at.reads("+OK", "nil")
	}
	c.want("+OK", "SET k 1")
	a.reads(">[invalidate *[k]]")
	b.reads(">[invalidate *[k]]")
	b.want("+OK", "CLIENT TRACKING OFF")
	a.want("1", "GET k")
	c.want("+OK", "SET k 2")
	a.reads(">[invalidate *[k]]")
}

// When a change is answered, the client that has cached the key is told before whatever it asks then.
func TestTrackingIsExact(t *testing.T) {
	m, addr := startMemory(t)
	a, b, redirected, target := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	a.send("HELLO 3")
	a.r.Read()
	a.want("+OK", "CLIENT TRACKING ON")
	redirected.want("+OK", "CLIENT TRACKING ON REDIRECT "+target.id())
	target.want("*[subscribe __redis__:invalidate :1]", "SUBSCRIBE __redis__:invalidate")
	for i := range 500 {
		for _, c := range []*conn{a, redirected} {
			c.send("GET k")
			c.r.Read()
		}
		b.want("+OK", fmt.Sprint("SET k ", i))
		a.want(">[invalidate *[k]]", "PING")
		a.reads("+PONG")
		target.want("*[message __redis__:invalidate *[k]]", "PING")
		target.reads("*[pong ]")
	}

	// What a command has changed that waited is told behind its reply.
	a.send("CLIENT TRACKING OFF", "CLIENT TRACKING ON BCAST", "BLMOVE l to LEFT LEFT 0")
	a.reads("+OK", "+OK")
	blocked(t, m, 1)
	b.want(":1", "RPUSH l x")
	a.reads("x", ">[invalidate *[l to]]")
}
