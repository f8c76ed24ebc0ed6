package resp_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/redisserver"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/resp/codec"
)

// redisServer starts a redis-server on a port of this machine, until the test ends.
func redisServer(t testing.TB) string {
	t.Helper()
	redisserver.Want(t, "7.0.")
	redis := redisserver.Start(t, "--port", "PORT", "--bind", "127.0.0.1")
	return net.JoinHostPort("127.0.0.1", redis.Port)
}

// sessions are what a Redis and a group whose values are only set answer alike. Each is one
// connection. A line that begins with ! is sent as it is, with \r\n for its escapes.
var sessions = map[string]string{
	"values": `
		GET a|SET a 1|GET a|get A|STRLEN a|STRLEN b|EXISTS a|EXISTS a a b|TYPE a|TYPE b|TTL a|PTTL a|TTL b|PTTL b
		SET a hello|GETRANGE a 0 -1|GETRANGE a 1 3|GETRANGE a -3 -2|GETRANGE a 3 1|GETRANGE a -1 -3|GETRANGE a 0 100|GETRANGE a -100 2|GETRANGE a 10 20|SUBSTR a 0 1|GETRANGE b 0 1|GETRANGE a x 1|GETRANGE a 1 1.5|GETRANGE a 99999999999999999999 1
		MGET a b a|MGET|DEL a|GET a|SET a 1|SET b 2|UNLINK a b|MGET a b|FLUSHALL|FLUSHDB|FLUSHDB ASYNC|FLUSHDB NOW|FLUSHALL SYNC|FLUSHALL SYNC SYNC`,
	"set": `
		SET a 1 EX 100|TTL a|SET a 1 PX 100000|TTL a|SET a 1|TTL a|SET a 1 EX 0|SET a 1 EX -1|SET a 1 PX 0|SET a 1 EX x|SET a 1 EX 1.5|SET a 1 EX|SET a 1 EX 1 PX 1|SET a 1 PX 1 EX|SET a 1 NONSENSE|SET a|SET
		SET a 1 EX 9223372036854775807|SET a 1 EXAT 1|GET a|SET a 1 PXAT 1|SET a 1 EXAT 0|SET a 1 NX XX|SET a 1 XX NX|SET a 1 EX 1 KEEPTTL|SET a 1 KEEPTTL EX 1|SET a 1 GET NONSENSE
		SETEX a 100 v|TTL a|SETEX a 0 v|SETEX a x v|SETEX a 10|PSETEX a 100000 v|TTL a|PSETEX a -5 v|GET a`,
	"errors": `
		NONSENSE|NONSENSE a b c|nonsense ` + strings.Repeat("long ", 60) + `|` + strings.Repeat("LONG", 60) + ` a|GET|GET a b|CLIENT|CLIENT NONSENSE|CLIENT ID x|CONFIG|COMMAND NONSENSE|ECHO|ECHO a b|SELECT 0|SELECT 99|SELECT x|PING a b
		AUTH|AUTH x|AUTH nobody x|AUTH default x|AUTH a b c|HELLO x|HELLO 4|HELLO 1|HELLO 3 NONSENSE|HELLO 3 AUTH a|HELLO 3 AUTH a b|HELLO 3 SETNAME|CLIENT SETNAME a|CLIENT GETNAME|CLIENT REPLY x|CLIENT NO-EVICT ON|CLIENT NO-EVICT x`,
	"multi": `
		EXEC|DISCARD|MULTI|MULTI|EXEC|MULTI|SET a 1|GET a|TTL a|STRLEN a|EXEC|GET a|MULTI|DISCARD|EXEC|MULTI|GET|GET a|EXEC|MULTI|NONSENSE|EXEC|MULTI|EXEC|MULTI|GETRANGE a x y|GET a|EXEC|MULTI|PING|ECHO x|UNWATCH|EXEC|MULTI|MGET a b|EXISTS a b|DEL a|GET a|EXEC|MULTI|RESET|EXEC`,
	"version 3": `
		CLIENT GETNAME|MULTI|PING|EXEC|CLIENT SETNAME x y|GET b|SET a 1|MGET a b|EXISTS a|TTL a|CLIENT TRACKINGINFO|CLIENT GETREDIR|DEL a|CONFIG GET save|COMMAND GETKEYS MGET a b|COMMAND GETKEYS PING x|COMMAND GETKEYS NONSENSE x|COMMAND GETKEYS GET x y|COMMAND INFO nonsense`,
	"tracking": `
		CLIENT TRACKING|CLIENT TRACKING x|CLIENT TRACKING ON x|CLIENT CACHING YES|CLIENT TRACKING ON OPTIN OPTOUT|CLIENT TRACKING ON BCAST OPTIN|CLIENT TRACKING ON PREFIX a|CLIENT TRACKING ON REDIRECT x|CLIENT TRACKING ON REDIRECT 99999|CLIENT TRACKING ON BCAST PREFIX a PREFIX ab
		CLIENT TRACKING ON OPTIN|CLIENT TRACKINGINFO|CLIENT CACHING NO|CLIENT CACHING x|CLIENT CACHING YES|CLIENT TRACKINGINFO|CLIENT TRACKING ON OPTOUT|CLIENT TRACKING ON BCAST|CLIENT TRACKING OFF|CLIENT TRACKING ON OPTOUT|CLIENT CACHING YES|CLIENT CACHING NO|CLIENT TRACKINGINFO|CLIENT TRACKING OFF|CLIENT GETREDIR|CLIENT TRACKING ON BCAST PREFIX a PREFIX b|CLIENT TRACKINGINFO|CLIENT TRACKING ON BCAST PREFIX c|CLIENT TRACKING ON BCAST PREFIX ab|CLIENT TRACKINGINFO|CLIENT TRACKING OFF`,
	"subscriber": `
		UNSUBSCRIBE|PUNSUBSCRIBE|SUBSCRIBE __redis__:invalidate|SUBSCRIBE __redis__:invalidate|PING|PING x|GET a|UNSUBSCRIBE nonsense|UNSUBSCRIBE|GET a|SUBSCRIBE __redis__:invalidate|RESET|GET a`,
	"inline":        `!PING\r\n|!\r\n  PING x\r\n|!SET a "b c"\r\n|!GET 'a'\n|!*0\r\nPING\r\n|!*-1\r\nPING\r\n|!PING "a\r\n`,
	"bulk":          `!*1\r\n$9223372036854775807\r\n`,
	"bulk negative": `!*1\r\n$-1\r\n`,
	"bulk zeros":    `!*1\r\n$04\r\nPING\r\n`,
	"bulk kind":     `!*1\r\n+PING\r\n`,
	"count":         `!*9223372036854775807\r\n`,
	"count word":    `!*x\r\n`,
	"quotes":        `!SET "a"b\r\n`,
	"empty":         `!*1\r\n$0\r\n\r\n`,
	"quit":          `QUIT`,
}

// Redis and this package give the same answers in the same sessions.
func TestSameAsRedis(t *testing.T) {
	redis := redisServer(t)
	g := newFake("g")
	_, ours := start(t, []door.Cache{g}, resp.WithDefaultGroup("g"))
	for name, session := range sessions {
		t.Run(name, func(t *testing.T) {
			a, b := dial(t, redis), dial(t, ours)
			a.do("FLUSHALL")
			b.do("FLUSHALL")
			if name == "version 3" || name == "tracking" {
				a.do("HELLO 3")
				b.do("HELLO 3")
			}
			for line := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(session), "\n", "|"), "|") {
				line = strings.TrimSpace(line)
				if raw, ok := strings.CutPrefix(line, "!"); ok {
					raw = strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(raw)
					a.send(raw)
					b.send(raw)
				} else {
					a.cmd(strings.Fields(line)...)
					b.cmd(strings.Fields(line)...)
				}
				if want, got := a.read(), b.read(); want != got {
					t.Errorf("%s: %s, Redis says %s", short(line), short(got), short(want))
				}
			}
		})
	}
}

// FuzzCommands checks that a server takes whatever a client sends, and answers others afterwards.
func FuzzCommands(f *testing.F) {
	for _, session := range sessions {
		var b []byte
		for line := range strings.SplitSeq(strings.ReplaceAll(session, "\n", "|"), "|") {
			if words := strings.Fields(line); len(words) > 0 {
				b = codec.AppendCommand(b, words...)
			}
		}
		f.Add(b)
	}
	for _, cmd := range []string{"INFO", "CLIENT LIST", "CLIENT KILL ID 1", "COMMAND", "COMMAND DOCS", "COMMAND INFO GET client|id", "HELLO 3", "CLIENT REPLY SKIP", "CLIENT HELP"} {
		f.Add(codec.AppendCommand(nil, strings.Fields(cmd)...))
	}
	g := newFake("g")
	g.load = func(ctx context.Context, key string) (string, error) {
		if len(key)%2 == 0 {
			return "", fmt.Errorf("no %q: %w", key, peercache.ErrNotFound)
		}
		return key, nil
	}
	_, addr := start(f, []door.Cache{g}, resp.WithDefaultGroup("g"), resp.WithLimits(resp.Limits{BulkBytes: 1 << 16, QueryBytes: 1 << 18, OutputBytes: 1 << 20, TrackedKeys: 10}))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := dial(t, addr)
		go func() {
			c.nc.Write(text)
			c.nc.(*net.TCPConn).CloseWrite()
		}()
		for replies := 0; ; replies++ {
			if _, err := c.r.Read(); err != nil {
				if strings.Contains(err.Error(), "not a reply") {
					t.Fatalf("after %d replies: %v", replies, err)
				}
				break
			}
		}
		c.nc.Close()
		c = dial(t, addr)
		c.quiet()
		c.nc.Close()
	})
}
