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
