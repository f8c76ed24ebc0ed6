package respdoor_test

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/resp/codec"
)

// allocated returns how many bytes f allocates, those of other goroutines included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// words sends commands whose arguments have no spaces, and may be long.
func (c *conn) words(commands ...string) {
	c.t.Helper()
	var b []byte
	for _, command := range commands {
		b = codec.AppendCommand(b, strings.Fields(command)...)
	}
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// A reply that is larger than a client may have is not made: neither by one command, nor by those of a transaction.
func TestReplyThatIsTooLargeIsNotMade(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	const output, most = 1 << 20, 16 << 20
	addr := start(t, m, resp.WithLimits(resp.Limits{OutputBytes: output, ClientBytes: 4 * output}))
	value := strings.Repeat("x", 100_000)
	fill := dial(t, addr)
	fill.words("SET string "+value, "SADD set "+value, "ZADD zset 1 "+value, "HSET hash field "+value)
	fill.reads("+OK", ":1", ":1", ":1")
	for i := range 100 {
		fill.words("RPUSH list " + value)
		fill.reads(fmt.Sprint(":", i+1))
	}
	for _, commands := range [][]string{
		{"LRANGE list 0 -1"},
		{"SRANDMEMBER set -1000000"},
		{"ZRANDMEMBER zset -1000000 WITHSCORES"},
		{"HRANDFIELD hash -1000000 WITHVALUES"},
		{"MGET " + strings.Repeat("string ", 10_000)},
		append(append([]string{"MULTI"}, slices.Repeat([]string{"GET string"}, 2_000)...), "EXEC"),
	} {
		c := dial(t, addr)
		got := allocated(func() {
			c.words(commands...)
			if n, err := io.Copy(io.Discard, c.nc); err != nil || n > output {
				t.Logf("%.30s: %d bytes, %v", commands, n, err)
			}
		})
		if got > most {
			t.Errorf("%.30s: %d bytes are allocated, want up to %d", commands, got, most)
		}
		fill.want("+PONG", "PING")
	}
}

// ZRANDMEMBER has the bound that SRANDMEMBER and HRANDFIELD have: it holds a lock.
func TestRandomMembersAreBounded(t *testing.T) {
	_, addr := startMemory(t)
	c := dial(t, addr)
	c.want(":1", "ZADD zset 1 a")
	c.want(":1", "SADD set a")
	c.want(":1", "HSET hash a 1")
	for _, command := range []string{"ZRANDMEMBER zset", "SRANDMEMBER set", "HRANDFIELD hash"} {
		for _, count := range []string{"-9223372036854775807", "-4611686018427387904", "-1048577"} {
			c.want("-ERR value is out of range", fmt.Sprint(command, " ", count))
		}
	}
}

// One command does not take more memory than data may have, and does not make it before it is refused.
func TestCommandThatTakesTooMuchIsRefused(t *testing.T) {
	m, err := data.NewMemory(data.WithBytes(64 << 20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	c := dial(t, start(t, m))
	c.want(":40000000", "SETRANGE large 39999999 x")
	const full = "-OOM command not allowed when used memory > 'maxmemory'."
	got := allocated(func() {
		c.want(full, "SETRANGE other 536870911 x")
		c.want(full, "SETBIT other 4294967295 1")
		c.want(full, "COPY large other")
		c.want(full, "BITOP NOT other large")
		c.want(full, "SETRANGE large 536870911 x")
	})
	if got > 1<<20 {
		t.Errorf("%d bytes were allocated for nothing", got)
	}
	c.want(":0", "EXISTS other")
	c.want(":2", "SETRANGE small 0 ab")
}

// The length of a longest common subsequence takes two rows of the table, not all.
func TestLengthOfLCSTakesLittle(t *testing.T) {
	_, addr := startMemory(t)
	c := dial(t, addr)
	c.words("SET a "+strings.Repeat("ab", 5000), "SET b "+strings.Repeat("a", 10000))
	c.reads("+OK", "+OK")
	if got := allocated(func() { c.want(":5000", "LCS a b LEN") }); got > 1<<20 {
		t.Errorf("%d bytes are allocated", got)
	}
}

// What clients have the server keep is bounded, and is given back.
func TestWhatIsKeptForAClientIsBounded(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	addr := start(t, m, resp.WithLimits(resp.Limits{QueryBytes: 1 << 20, ClientBytes: 4 << 20}))
	for _, kind := range []struct{ begin, end, refusal string }{
		{"WATCH", "UNWATCH", "-ERR too many keys are watched: no memory is left for more"},
		{"SUBSCRIBE", "UNSUBSCRIBE", "-ERR too many subscriptions: no memory is left for more"},
		{"PSUBSCRIBE", "PUNSUBSCRIBE", "-ERR too many subscriptions: no memory is left for more"},
		{"SSUBSCRIBE", "SUNSUBSCRIBE", "-ERR too many subscriptions: no memory is left for more"},
	} {
		c := dial(t, addr)
		for round := range 2 {
			refused := false
			for i := 0; i < 10_000 && !refused; i++ {
				c.words(fmt.Sprint(kind.begin, " ", round, strings.Repeat("x", 100), i))
				r, err := c.r.Read()
				if err != nil {
					t.Fatal(err)
				}
				refused = show(r) == kind.refusal
			}
			if !refused {
				t.Errorf("%s: 10,000 are not refused", kind.begin)
			}
			c.words(kind.end, "PING")
			for {
				r, err := c.r.Read()
				if err != nil {
					t.Fatal(err)
				}
				if s := show(r); s == "+PONG" || s == "*[pong ]" {
					break
				}
			}
		}
		c.nc.Close()
	}
}

// A user who may only read changes nothing that others see: no data, no settings, and publishes nothing.
func TestReadOnlyUser(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	c := dial(t, start(t, m, resp.WithUsers(resp.User{Name: "reader", Password: "secret", ReadOnly: true})))
	c.want("+OK", "AUTH reader secret")
	c.want("nil", "GET key")
	for _, command := range []string{"SET key 1", "GETDEL key", "GETEX key PERSIST", "COPY key other", "LMOVE a b LEFT LEFT", "BLPOP key 1", "ZRANGESTORE a b 0 1", "CMAKE key 1", "FLUSHALL",
		"PUBLISH channel x", "SPUBLISH channel x", "CONFIG SET notify-keyspace-events KEA", "CONFIG RESETSTAT"} {
		c.send(command)
		r, err := c.r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if got := show(r); !strings.HasPrefix(got, "-NOPERM") {
			t.Errorf("%s: %s", command, got)
		}
	}
	c.want("*[]", "KEYS *")
}
