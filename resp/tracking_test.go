package resp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
)

// tracked returns a client of version 3 with CLIENT TRACKING ON and those options.
func tracked(t *testing.T, addr, options string) *client {
	t.Helper()
	c := dial(t, addr)
	if got := c.do("HELLO 3"); !strings.HasPrefix(got, "%[") {
		t.Fatalf("HELLO 3: %s", got)
	}
	c.want("+OK", strings.TrimSpace("CLIENT TRACKING ON "+options))
	return c
}

// reads checks what comes next, in order.
func (c *client) reads(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.read(); got != w {
			c.t.Errorf("got %s, want %s", short(got), short(w))
		}
	}
}

// quiet checks that nothing has come.
func (c *client) quiet() { c.t.Helper(); c.want("+PONG", "PING") }

func TestTracking(t *testing.T) {
	g := newFake("g")
	_, addr := start(t, []door.Cache{g})
	g.set("a", "1")
	c := tracked(t, addr, "")
	c.want("$1", "GET g:a")
	g.set("b", "2")
	c.quiet()
	g.set("a", "2")
	c.reads(">[$invalidate [$g:a]]")
	g.set("a", "3")
	c.quiet() // once, until it is read again

	c.want("[$3 $2]", "MGET g:a g:b")
	g.Remove(context.Background(), "a", "b", "c", "d")
	c.reads(">[$invalidate [$g:a $g:b]]")

	c.want("(nil)", "GET g:a") // what the group does not keep, nor may the client
	c.reads(">[$invalidate [$g:a]]")
	g.Clear(context.Background())
	c.reads(">[$invalidate (nil)]")

	other := dial(t, addr)
	g.set("a", "4")
	c.want("$4", "GET g:a")
	other.want("+OK", "SET g:a 5")
	c.reads(">[$invalidate [$g:a]]")
	c.want("$5", "GET g:a")
	c.cmd("SET", "g:a", "6") // its own change: before the reply
	c.reads(">[$invalidate [$g:a]]", "+OK")
	c.want("+OK", "CLIENT TRACKING OFF")
	c.want("$6", "GET g:a")
	g.set("a", "7")
	c.quiet()
}

func TestTrackingModes(t *testing.T) {
	g := newFake("g")
	_, addr := start(t, []door.Cache{g})
	t.Run("OPTIN", func(t *testing.T) {
		c := tracked(t, addr, "OPTIN")
		g.set("a", "1")
		c.want("$1", "GET g:a")
		g.set("a", "2")
		c.quiet()
		c.want("+OK", "CLIENT CACHING YES")
		c.want("$2", "GET g:a")
		g.set("a", "3")
		c.reads(">[$invalidate [$g:a]]")
		// What rueidis sends.
		c.send("CLIENT CACHING YES\r\nMULTI\r\nPTTL g:a\r\nGET g:a\r\nEXEC\r\nGET g:b\r\n")
		c.reads("+OK", "+OK", "+QUEUED", "+QUEUED", "[:-1 $3]", "(nil)")
		g.set("b", "1") // it was not asked to follow this one
		c.quiet()
		g.set("a", "4")
		c.reads(">[$invalidate [$g:a]]")
	})
	t.Run("OPTOUT", func(t *testing.T) {
		c := tracked(t, addr, "OPTOUT")
		g.set("a", "1")
		c.want("+OK", "CLIENT CACHING NO")
		c.want("$1", "GET g:a")
		g.set("a", "2")
		c.quiet()
		c.want("$2", "GET g:a")
		g.set("a", "3")
		c.reads(">[$invalidate [$g:a]]")
	})
	t.Run("BCAST", func(t *testing.T) {
		c := tracked(t, addr, "BCAST PREFIX g:a PREFIX g:b")
		g.Remove(context.Background(), "a1", "b1", "c1")
		c.reads(">[$invalidate [$g:a1 $g:b1]]")
		c.want("-ERR Prefix 'g:a1' overlaps with an existing prefix 'g:a'. Prefixes for a single client must not overlap.", "CLIENT TRACKING ON BCAST PREFIX g:a1")
		c.want("%[$flags ~[$on $bcast] $redirect :0 $prefixes [$g:a $g:b]]", "CLIENT TRACKINGINFO")
	})
	t.Run("NOLOOP", func(t *testing.T) {
		c := tracked(t, addr, "NOLOOP")
		g.set("a", "1")
		c.want("$1", "GET g:a")
		c.want("+OK", "SET g:a 2")
		c.quiet()
		g.set("a", "3") // it still has the key
		c.reads(">[$invalidate [$g:a]]")
		c.want("$3", "GET g:a")
		g.refuse = fmt.Errorf("a peer does not answer")
		c.want("-ERR the origin failed", "SET g:a 2")
		g.refuse = nil
	})
	t.Run("REDIRECT", func(t *testing.T) {
		to, c := dial(t, addr), dial(t, addr)
		id := strings.TrimPrefix(to.do("CLIENT ID"), ":")
		to.want("[$subscribe $__redis__:invalidate :1]", "SUBSCRIBE __redis__:invalidate")
		to.want("-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", "GET g:a")
		c.want("+OK", "CLIENT TRACKING ON REDIRECT "+id)
		c.want(":"+id, "CLIENT GETREDIR")
		g.set("a", "1")
		c.want("$1", "GET g:a")
		g.set("a", "2")
		to.reads("[$message $__redis__:invalidate [$g:a]]")
		g.Clear(context.Background())
		to.reads("[$message $__redis__:invalidate (nil)]")
		to.want("[$pong $]", "PING")
	})
}

// A change that comes while a value is got is told behind the reply: the value may be the former one.
func TestTrackingOfAReadInProgress(t *testing.T) {
	for _, read := range []string{"GET g:a\r\n", "MGET g:a g:x\r\n", "GET g:x\r\nGET g:a\r\n", "MULTI\r\nPTTL g:a\r\nGET g:a\r\nEXEC\r\n"} {
		for _, mode := range []string{"", "BCAST"} {
			t.Run(strings.ReplaceAll(read, "\r\n", ";")+mode, func(t *testing.T) {
				g := newFake("g")
				loading, end := make(chan bool), make(chan bool)
				g.load = func(ctx context.Context, key string) (string, error) {
					if key == "a" {
						loading <- true
						<-end
					}
					return "former", nil
				}
				_, addr := start(t, []door.Cache{g})
				c := tracked(t, addr, mode)
				c.send(read)
				<-loading
				g.Remove(context.Background(), "a")
				close(end)
				got := c.read() // until the reply with the value: the first message may come before it
				for !strings.Contains(got, "former") {
					got = c.read()
				}
				if strings.HasPrefix(read, "GET g:x") {
					c.reads("$former")
				}
				if got := c.read(); !strings.HasPrefix(got, ">[$invalidate [$g:a") {
					t.Errorf("after the reply: %s", got)
				}
			})
		}
	}
}

// A client that does not ask for TTLs is told when a value expires.
func TestTrackingOfValuesThatExpire(t *testing.T) {
	for _, mode := range []string{"", "BCAST"} {
		synctest.Test(t, func(t *testing.T) {
			g := newFake("g")
			g.load1("a", time.Minute)
			c, shutdown := pipe(t, g)
			defer shutdown()
			c.do("HELLO 3")
			c.want("+OK", strings.TrimSpace("CLIENT TRACKING ON "+mode))
			for _, get := range []string{"GET g:a", "MGET g:a g:a"} {
				if got := c.do(get); !strings.Contains(got, "$1") {
					t.Error(got)
				}
				began := time.Now()
				c.nc.SetReadDeadline(time.Time{})
				if r, err := c.r.Read(); err != nil || show(r) != ">[$invalidate [$g:a]]" {
					t.Errorf("%s, %v", show(r), err)
				}
				if took := time.Since(began); took > time.Minute || took < 59*time.Second {
					t.Errorf("told after %v, want a minute", took)
				}
				g.load1("a", time.Minute)
			}
		})
	}
}

func TestTrackingWhileNotLive(t *testing.T) {
	g := newFake("g")
	g.dead = true
	_, addr := start(t, []door.Cache{g})
	g.set("a", "1")
	c := tracked(t, addr, "")
	c.want("$1", "GET g:a")
	c.reads(">[$invalidate [$g:a]]")
}

func TestTrackedKeysAreBounded(t *testing.T) {
	g := newFake("g")
	s, addr := start(t, []door.Cache{g}, resp.WithLimits(resp.Limits{TrackedKeys: 100}))
	for i := range 1000 {
		g.set(fmt.Sprint(i), "x")
	}
	c := tracked(t, addr, "")
	for i := range 1000 {
		c.cmd("GET", fmt.Sprint("g:", i))
	}
	told := 0
	for replies := 0; replies < 1000; {
		if got := c.read(); strings.HasPrefix(got, ">[$invalidate [$g:") {
			told++
		} else {
			replies++
		}
	}
	if n := s.Stats().TrackedKeys; n > 100 || told < 900 {
		t.Errorf("%d keys are followed, of %d the client was told; want 100, and 900", n, told)
	}
}

// A client that does not read is disconnected, and a change does not wait for it any longer.
func TestChangeDoesNotWaitForever(t *testing.T) {
	g := newFake("g")
	s, addr := start(t, []door.Cache{g}, resp.WithLimits(resp.Limits{PushTimeout: 200 * time.Millisecond}))
	tracked(t, addr, "BCAST")
	other := tracked(t, addr, "BCAST")
	key := strings.Repeat("k", 60<<10)
	go func() {
		for { // this one reads
			if _, err := other.r.Read(); err != nil {
				return
			}
		}
	}()
	for i := range 1000 {
		began := time.Now()
		g.Remove(context.Background(), key)
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("change %d took %v", i, took)
		}
		if s.Stats().Unread > 0 {
			return
		}
	}
	t.Error("a client that does not read is still connected")
}
