package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/drivertest"
	"github.com/peercache/peercache/internal/redisserver"
	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/origin"
	"github.com/peercache/peercache/origin/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a driver, and removes all keys.
func open(t *testing.T, c Config) *Driver {
	t.Helper()
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := data.New(d).Keys().FlushDB(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestContract(t *testing.T) {
	s := redisserver.Start(t)
	drivertest.Run(t, func(t *testing.T) data.Driver { return open(t, Config{Addresses: []string{s.Socket}}) })
}

func TestContractOfCluster(t *testing.T) {
	nodes := startCluster(t, 2)
	drivertest.Run(t, func(t *testing.T) data.Driver { return open(t, Config{Addresses: nodes[:1], Cluster: true}) })
}

func TestContractOfSentinel(t *testing.T) {
	s := redisserver.Start(t, "--port", "PORT")
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(config, []byte("sentinel monitor scores 127.0.0.1 "+s.Port+" 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	watcher := redisserver.Start(t, config, "--port", "PORT", "--sentinel")
	drivertest.Run(t, func(t *testing.T) data.Driver {
		return open(t, Config{Addresses: []string{"127.0.0.1:" + watcher.Port}, Sentinel: redis.Sentinel{Master: "scores"}})
	})
}

func TestOwnClient(t *testing.T) {
	s := redisserver.Start(t, "--port", "PORT")
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + s.Port}, DisableCache: true, AlwaysRESP2: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	drivertest.Run(t, func(t *testing.T) data.Driver {
		d := New(client)
		if err := data.New(d).Keys().FlushDB(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Close() // which leaves the client to the user
		return d
	})
}

// startCluster starts a cluster of masters, each with a part of the slots, and returns their addresses.
func startCluster(t *testing.T, n int) (addresses []string) {
	t.Helper()
	var ports []string
	for i := range n {
		s := redisserver.Start(t, "--port", "PORT", "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
		addresses, ports = append(addresses, "127.0.0.1:"+s.Port), append(ports, s.Port)
		tell(t, addresses[i], "CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*16384/n), fmt.Sprint((i+1)*16384/n-1))
		if i > 0 {
			tell(t, addresses[i], "CLUSTER", "MEET", "127.0.0.1", ports[0])
		}
	}
	for _, address := range addresses {
		for {
			info := tell(t, address, "CLUSTER", "INFO")
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprint("cluster_known_nodes:", n)) &&
				strings.Contains(info, "cluster_slots_assigned:16384") {
				break
			}
			if t.Context().Err() != nil {
				t.Fatal("the cluster does not come up")
			}
		}
	}
	return addresses
}

// tell sends a command to a server past the driver.
func tell(t *testing.T, address string, args ...string) string {
	t.Helper()
	option, err := redis.Config{Addresses: []string{address}}.ClientOption()
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	reply, err := client.Do(context.Background(), client.B().Arbitrary(args...).Build()).ToAny()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%q: %v", args, err)
	}
	return fmt.Sprint(reply)
}

// What the server says of keys in several slots is passed on.
func TestCrossSlot(t *testing.T) {
	nodes := startCluster(t, 2)
	c := data.New(open(t, Config{Addresses: nodes, Cluster: true}))
	ctx := t.Context()
	if _, err := c.Strings().MGet(ctx, "a", "b"); !errors.Is(err, data.ErrCrossSlot) {
		t.Errorf("MGET: %v", err)
	}
	for name, f := range map[string]func(tx *data.Tx) error{
		"writes": func(tx *data.Tx) error {
			return errors.Join(tx.Strings().Set(ctx, "a", "1"), tx.Strings().Set(ctx, "b", "1"))
		},
		"reads": func(tx *data.Tx) error {
			_, _ = tx.Strings().Get(ctx, "a")
			_, err := tx.Strings().Get(ctx, "b")
			return err
		},
		"both": func(tx *data.Tx) error {
			_, _ = tx.Strings().Get(ctx, "a")
			return tx.Strings().Set(ctx, "b", "1")
		},
	} {
		if err := c.Tx(ctx, f); !errors.Is(err, data.ErrCrossSlot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := c.Keys().Exists(ctx, "b"); n != 0 || err != nil {
		t.Errorf("b is there: %d, %v", n, err)
	}
	// A pipeline may have keys of all slots, and commands without any.
	replies, err := c.Driver().Do(ctx, data.Command("SET", "a", "1"), data.Command("SET", "b", "2"), data.Command("DBSIZE"), data.Command("PING"), data.Command("GET", "b"))
	if err != nil || len(replies) != 5 || replies[2].Int != 2 || replies[3].Str != "PONG" || replies[4].Str != "2" {
		t.Errorf("%v, %v", replies, err)
	}
	if keys, err := c.Keys().Keys(ctx, "*"); len(keys) != 2 || err != nil {
		t.Errorf("KEYS: %q, %v", keys, err)
	}
	if key, err := c.Keys().RandomKey(ctx); key == "" || err != nil {
		t.Errorf("RANDOMKEY: %q, %v", key, err)
	}
}

// What is a status in memory is one here too, by each way.
func TestStatuses(t *testing.T) {
	d := open(t, Config{Addresses: []string{redisserver.Start(t).Socket}})
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var cmds []data.Cmd
	for line := range strings.Lines("set a OK\nSET a OK EX 100\nset a GET\nset a OK get\nset a OK nx\nget a\nsetex a 100 x\npsetex a 100 x\nmset a 1 get 2\n" +
		"hmset h f get\nhget h f\nrpush l a\nlset l 0 get\nltrim l 0 5\nlpop l\ntype a\nrename a b\ngetdel b\nflushdb\nFLUSHALL\nset a 1 xx") {
		words := strings.Fields(line)
		cmds = append(cmds, data.Cmd{Name: words[0], Args: words[1:]})
	}
	want, err := m.Do(t.Context(), cmds...)
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func() ([]data.Reply, error){
		"Do":   func() ([]data.Reply, error) { return d.Do(t.Context(), cmds...) },
		"Exec": func() ([]data.Reply, error) { return d.Exec(t.Context(), cmds...) },
	} {
		got, err := run()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d replies, %v", name, len(got), err)
		}
		for i := range want {
			if got[i].Kind != want[i].Kind || got[i].Str != want[i].Str {
				t.Errorf("%s: %v replies %v, %q, want %v, %q", name, cmds[i], got[i].Kind, got[i].Str, want[i].Kind, want[i].Str)
			}
		}
	}
	err = d.Tx(t.Context(), func(tx data.Transaction) error {
		r, err := tx.Do(data.Command("type", "none"))
		if r.Kind != data.StatusReply {
			t.Errorf("in a transaction, TYPE replies %v", r.Kind)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	ca := testca.New(t, "authority")
	dir := testca.NewDir(t)
	dir.Write(ca.Sign(testca.Template("127.0.0.1")), ca)
	s := redisserver.Start(t, "--port", "0", "--tls-port", "PORT", "--tls-cert-file", dir.Cert, "--tls-key-file", dir.Key, "--tls-ca-cert-file", dir.CA)
	c := Config{Addresses: []string{"127.0.0.1:" + s.Port}, UseTLS: true, TLS: origin.TLS{CA: dir.CA, Cert: dir.Cert, Key: dir.Key}}
	if err := data.New(open(t, c)).Strings().Set(t.Context(), "a", "1"); err != nil {
		t.Error(err)
	}
	c.TLS.CA = ""
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Do(t.Context(), data.Command("GET", "a")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
}

// A server that is down is an error of each command, and is found when it is back.
func TestServerThatIsDown(t *testing.T) {
	s := redisserver.Start(t)
	d := open(t, Config{Addresses: []string{s.Socket}})
	s.Stop()
	if _, err := d.Do(t.Context(), data.Command("GET", "a")); err == nil {
		t.Error("Do: no error")
	}
	if err := d.Tx(t.Context(), func(tx data.Transaction) error { _, err := tx.Do(data.Command("GET", "a")); return err }); err == nil {
		t.Error("Tx: no error")
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Do(t.Context(), data.Command("GET", "a")); err != nil {
		t.Error(err)
	}
	d.Close()
	if _, err := d.Do(t.Context(), data.Command("GET", "a")); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
	if _, err := Open(Config{}); err == nil || !strings.HasPrefix(err.Error(), "redis: addresses is missing") {
		t.Errorf("no addresses: %v", err)
	}
}

// A command that would change a connection that others share is refused, with the reply of an error.
func TestStatefulCommands(t *testing.T) {
	s := redisserver.Start(t)
	d := open(t, Config{Addresses: []string{s.Socket}})
	for _, cmd := range []data.Cmd{data.Command("MULTI"), data.Command("watch", "a"), data.Command("Subscribe", "a"), data.Command("SELECT", "1"), data.Command("")} {
		replies, err := d.Do(t.Context(), cmd, data.Command("PING"))
		if err != nil || len(replies) != 2 || replies[0].Kind != data.ErrorReply || replies[1].Str != "PONG" {
			t.Errorf("%v: %v, %v", cmd, replies, err)
		}
	}
}

// A command of a transaction that fails at its end is an error that says what has happened.
func TestTxWithAFailure(t *testing.T) {
	s := redisserver.Start(t)
	c := data.New(open(t, Config{Addresses: []string{s.Socket}}))
	ctx := t.Context()
	if _, err := c.Lists().RPush(ctx, "list", "x"); err != nil {
		t.Fatal(err)
	}
	err := c.Tx(ctx, func(tx *data.Tx) error {
		_, err := tx.Strings().Incr(ctx, "list")
		return errors.Join(err, tx.Strings().Set(ctx, "a", "1"))
	})
	if !errors.Is(err, data.ErrPartial) || !errors.Is(err, data.ErrWrongType) || !strings.Contains(err.Error(), "command 0, ") {
		t.Errorf("%v", err)
	}
	if got, err := c.Strings().Get(ctx, "a"); got != "1" {
		t.Errorf("a is %q, %v", got, err)
	}
}

// A list of commands is one transaction, or nothing.
func TestExec(t *testing.T) {
	s := redisserver.Start(t)
	d := open(t, Config{Addresses: []string{s.Socket}})
	ctx := t.Context()
	replies, err := d.Exec(ctx, data.Command("SET", "a", "1"), data.Command("LPUSH", "a", "x"), data.Command("INCR", "a"))
	if err != nil || len(replies) != 3 || replies[1].Kind != data.ErrorReply || replies[2].Int != 2 {
		t.Errorf("%v, %v: want a failure between two replies", replies, err)
	}
	if replies, err := d.Exec(ctx); err != nil || len(replies) != 0 {
		t.Errorf("without commands: %v, %v", replies, err)
	}
	for _, wrong := range []data.Cmd{data.Command("NONE"), data.Command("GET"), data.Command("MULTI"), data.Command("SUBSCRIBE", "x")} {
		if replies, err := d.Exec(ctx, data.Command("INCR", "a"), wrong); err == nil {
			t.Errorf("%v: %v, want an error", wrong, replies)
		}
	}
	if replies, err := d.Do(ctx, data.Command("GET", "a")); err != nil || replies[0].Str != "2" {
		t.Errorf("%v, %v: want what was before the commands that cannot be right", replies, err)
	}
	cluster := open(t, Config{Addresses: startCluster(t, 2), Cluster: true})
	if replies, err := cluster.Exec(ctx, data.Command("SET", "a", "1"), data.Command("SET", "b", "1")); !errors.Is(err, data.ErrCrossSlot) {
		t.Errorf("two slots: %v, %v", replies, err)
	}
	if replies, err := cluster.Exec(ctx, data.Command("SET", "{a}1", "1"), data.Command("INCR", "{a}1")); err != nil || replies[1].Int != 2 {
		t.Errorf("one slot: %v, %v", replies, err)
	}
}
