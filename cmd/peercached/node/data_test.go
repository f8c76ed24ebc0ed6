package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/internal/redisserver"
	datapb "github.com/peercache/peercache/rpc/proto/peercache/data/v1"
)

// redisClient is a client of a RESP door.
type redisClient struct {
	net.Conn
	in *bufio.Reader
}

func dialRedis(t *testing.T, port string) *redisClient {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &redisClient{conn, bufio.NewReader(conn)}
}

// send sends a command.
func (c *redisClient) send(args ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := io.WriteString(c, b.String())
	return err
}

// reply reads a reply: strings as they are, numbers in digits, lists in brackets, errors with a - before them.
func (c *redisClient) reply() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '$':
		if n < 0 {
			return "nil", nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(c.in, b)
		return string(b[:n]), err
	case '*':
		if n < 0 {
			return "nil", nil
		}
		var all []string
		for range n {
			one, err := c.reply()
			if err != nil {
				return "", err
			}
			all = append(all, one)
		}
		return "[" + strings.Join(all, " ") + "]", nil
	case '-':
		return line, nil
	}
	return line[1:], nil
}

func (c *redisClient) do(args ...string) (string, error) {
	if err := c.send(args...); err != nil {
		return "", err
	}
	return c.reply()
}

// says checks what commands reply; their arguments have spaces between them.
func (c *redisClient) says(t *testing.T, commandsAndReplies ...string) {
	t.Helper()
	for i := 0; i < len(commandsAndReplies); i += 2 {
		command, want := commandsAndReplies[i], commandsAndReplies[i+1]
		if got, err := c.do(strings.Fields(command)...); err != nil || got != want {
			t.Fatalf("%s: %q, %v: want %q", command, got, err, want)
		}
	}
}

// dataNode starts a node with data in dir, and returns the ports of its doors.
func dataNode(t *testing.T, more ...string) (p *process, resp, grpc, admin string) {
	t.Helper()
	ports := freePorts(t, 4)
	p = start(t, nil, append([]string{"serve", "--peers.listen=127.0.0.1:" + ports[0], "--admin.listen=127.0.0.1:" + ports[1], "--resp.listen=127.0.0.1:" + ports[2],
		"--grpc.listen=127.0.0.1:" + ports[3], "--reload.every=0"}, more...)...)
	p.wait(t, "msg=serving")
	return p, ports[2], ports[3], ports[1]
}

// dialData returns a client of the service Data.
func dialData(t *testing.T, port string) datapb.DataClient {
	t.Helper()
	conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return datapb.NewDataClient(conn)
}

func doRequest(command string) *datapb.DoRequest {
	c := &datapb.Command{}
	for _, arg := range strings.Fields(command) {
		c.Args = append(c.Args, []byte(arg))
	}
	return &datapb.DoRequest{Commands: []*datapb.Command{c}}
}

// Groups and data are beside each other, by RESP and by gRPC, and data comes back after a graceful end, which no client that waits holds up.
func TestDataNode(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	flags := []string{"--data.log.dir=" + dir, "--data.bytes=64MiB", "--groups.a.bytes=1MiB", "--groups.a.origin.upper.suffix=!",
		"--data.plugins=[{plugin: metrics, events: [all]}, {plugin: log, keys: 'b:*', events: [removed], settings: {level: warn}}]",
		"--grpc.tokens=[{token: a-token-for-everything}, {token: a-token-for-the-group, groups: [a]}, {token: a-token-for-reading, may: [get], groups: [data]}]"}
	p, respPort, grpcPort, adminPort := dataNode(t, flags...)
	c := dialRedis(t, respPort)
	c.says(t,
		"GET a:tom", "TOM!",
		"SET tom 630", "OK",
		"RPUSH b:list x y z", "3",
		"LRANGE b:list 0 -1", "[x y z]",
		"LPUSH a:tom x", "-ERR 'lpush' is no command for keys of read-through groups, and 'a:tom' is one",
		"FLUSHALL", "OK", "EXISTS tom b:list", "0", "SET tom 630", "OK", "RPUSH b:list x y z", "3",
		"MGET tom a:tom", "-ERR 'a:tom' is a key of a read-through group, and 'tom' is none: want a command for each",
		"MSET tom 1 x 2 a:x 3", "-ERR 'a:x' is a key of a read-through group, and 'tom' is none: want a command for each",
		"ZUNION 2 tom a:x", "-ERR 'a:x' is a key of a read-through group, and 'tom' is none: want a command for each",
		"EXISTS x", "0",
		"WATCH tom", "OK",
		"MULTI", "OK", "INCR tom", "QUEUED", "GETDEL b:none", "QUEUED", "EXEC", "[631 nil]",
	)

	client := dialData(t, grpcPort)
	as := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	if r, err := client.Do(as("a-token-for-everything"), doRequest("INCRBY tom 2")); err != nil || r.GetReplies()[0].GetInteger() != 633 {
		t.Errorf("INCRBY: %v, %v", r, err)
	}
	if r, err := client.Do(as("a-token-for-reading"), doRequest("GET tom")); err != nil || string(r.GetReplies()[0].GetText()) != "633" {
		t.Errorf("GET: %v, %v", r, err)
	}
	for token, command := range map[string]string{"a-token-for-the-group": "GET tom", "a-token-for-reading": "DEL tom"} {
		if _, err := client.Do(as(token), doRequest(command)); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s, %s: %v", token, command, err)
		}
	}

	_, metrics := get(t, "http://127.0.0.1:"+adminPort+"/metrics")
	for _, want := range []string{"peercached_data_keys 2\n", "peercached_data_limit_bytes 6.7108864e+07\n", "peercached_data_log_failed 0\n", "peercached_data_evicted_keys_total 0\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, one := range problems {
		if strings.HasPrefix(one.Metric, "peercached_data_") {
			t.Errorf("%s: %s", one.Metric, one.Text)
		}
	}

	waiting := dialRedis(t, respPort)
	if err := waiting.send("BLPOP", "none", "0"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if clients, err := c.do("INFO", "clients"); err != nil || !strings.Contains(clients, "blocked_clients:1") {
			return errors.Join(errNotYet, err)
		}
		return nil
	})
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v: others may read it", path, info.Mode(), err)
		}
		return err
	})
	p.Process.Signal(syscall.SIGTERM)
	if status := p.status(t); status != ExitOK {
		t.Errorf("exit status %d with a client that waits", status)
	}
	if got, err := waiting.reply(); err == nil && !strings.HasPrefix(got, "-") {
		t.Errorf("a client that waits has heard %q", got)
	}

	p, respPort, _, _ = dataNode(t, flags...)
	if text := p.log.String(); !strings.Contains(text, `msg="data was loaded" dir=`+dir+" keys=2 ") {
		t.Errorf("the log does not say what was loaded:\n%s", text)
	}
	dialRedis(t, respPort).says(t, "GET tom", "633", "LRANGE b:list 0 -1", "[x y z]", "DBSIZE", "2")

	// Another node does not take the log away.
	second := start(t, nil, "serve", "--peers.listen=127.0.0.1:0", "--peers.self=http://127.0.0.1:1", "--admin.listen=127.0.0.1:0", "--resp.listen=127.0.0.1:0", "--data.log.dir="+dir)
	if status := second.status(t); status != ExitFailed || !strings.Contains(second.log.String(), "peercached: data: the log in "+dir+": ") {
		t.Errorf("exit status %d with a log that another node uses:\n%s", status, second.log)
	}
}

// A node that cannot write its log says so: to who writes, and as not ready. It answers who reads.
func TestDataNodeThatCannotWrite(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the shell's ulimit counts other blocks elsewhere")
	}
	ports := freePorts(t, 3)
	limited := func(c *exec.Cmd) { // no file of it has more than 1 MiB
		c.Args = append([]string{"sh", "-c", "ulimit -f 2048; exec \"$0\" \"$@\"", c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
	}
	p := start(t, limited, "serve", "--peers.listen=127.0.0.1:"+ports[0], "--admin.listen=127.0.0.1:"+ports[1], "--resp.listen=127.0.0.1:"+ports[2],
		"--reload.every=0", "--data.bytes=64MiB", "--data.log.dir="+t.TempDir(), "--data.log.interval=10ms")
	p.wait(t, "msg=serving")
	readyz := "http://127.0.0.1:" + ports[1] + "/readyz?verbose"
	if status, body := get(t, readyz); status != http.StatusOK {
		t.Fatalf("at first: %d, %s", status, body)
	}
	c := dialRedis(t, ports[2])
	c.says(t, "SET a 1", "OK")
	const why = "nothing can be written, because the log failed: "
	value := strings.Repeat("x", 100_000)
	eventually(t, func() error {
		switch got, err := c.do("SET", "b", value); {
		case err != nil:
			return err
		case !strings.HasPrefix(got, "-MISCONF "+why):
			return fmt.Errorf("a write is answered by %q", got)
		}
		return nil
	})
	c.says(t, "GET a", "1")
	if status, body := get(t, readyz); status != http.StatusServiceUnavailable || !strings.Contains(body, "data: "+why) {
		t.Errorf("the node is ready: %d, %s", status, body)
	}
}

// What a node has acknowledged with fsync always is there after kill -9.
func TestD3NodeIsKilled(t *testing.T) {
	t.Parallel()
	flags := []string{"--data.log.dir=" + t.TempDir(), "--data.log.fsync=always"}
	const clients, rounds = 4, 3
	var acknowledged [clients]int
	for range rounds {
		p, respPort, _, _ := dataNode(t, flags...)
		check := dialRedis(t, respPort)
		for i, n := range acknowledged {
			got, err := check.do("GET", fmt.Sprint("counter", i))
			if have, _ := strconv.Atoi(got); err != nil || have < n || have > n+1 {
				t.Fatalf("counter %d is %s, %v: %d was acknowledged", i, got, err, n)
			} else {
				acknowledged[i] = have
			}
		}
		type one struct{ client, n int }
		acks, ended := make(chan one), make(chan struct{}, clients)
		for i := range clients {
			c := dialRedis(t, respPort)
			go func() {
				defer func() { ended <- struct{}{} }()
				for {
					got, err := c.do("INCR", fmt.Sprint("counter", i))
					if err != nil {
						return
					}
					n, _ := strconv.Atoi(got)
					acks <- one{i, n}
				}
			}()
		}
		for n, left := 0, clients; left > 0; {
			select {
			case a := <-acks:
				acknowledged[a.client] = a.n
				if n++; n == 300 {
					p.Process.Kill()
				}
			case <-ended:
				left--
			}
		}
		p.status(t)
	}
}

// Data may be in a Redis.
func TestDataOfRedis(t *testing.T) {
	t.Parallel()
	port := redisserver.Start(t, "--port", "PORT").Port
	_, respPort, grpcPort, adminPort := dataNode(t, "--data.driver=redis", "--data.redis.addrs=127.0.0.1:"+port)
	c := dialRedis(t, respPort)
	c.says(t, "SET tom 630", "OK", "MULTI", "OK", "INCR tom", "QUEUED", "LPUSH list x", "QUEUED", "EXEC", "[631 1]", "BLPOP list 1", "[list x]")
	if r, err := dialData(t, grpcPort).Do(t.Context(), doRequest("GET tom")); err != nil || string(r.GetReplies()[0].GetText()) != "631" {
		t.Errorf("GET: %v, %v", r, err)
	}
	dialRedis(t, port).says(t, "GET tom", "631")

	// With memory before it, what others change there is seen.
	_, respPort, _, levelsAdmin := dataNode(t, "--data.driver=tiered", "--data.bytes=1MiB", "--data.redis.addrs=127.0.0.1:"+port)
	c = dialRedis(t, respPort)
	eventually(t, func() error {
		got, err := c.do("GET", "tom")
		if _, metrics := get(t, "http://127.0.0.1:"+levelsAdmin+"/metrics"); got != "631" || !strings.Contains(metrics, "peercached_data_keys 1\n") || !strings.Contains(metrics, "peercached_data_copies_used 1\n") {
			return fmt.Errorf("%w: GET tom: %q, %v", errNotYet, got, err)
		}
		return nil
	})
	c.says(t, "MULTI", "OK", "INCR tom", "QUEUED", "GET tom", "QUEUED", "EXEC", "[632 632]", "GET tom", "632")
	dialRedis(t, port).says(t, "INCR tom", "633")
	eventually(t, func() error {
		if got, err := c.do("GET", "tom"); got != "633" {
			return fmt.Errorf("%w: GET tom: %q, %v", errNotYet, got, err)
		}
		return nil
	})
	resp, err := http.Post("http://127.0.0.1:"+adminPort+dataPath+"backup", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a backup of what is in a Redis: status %d", resp.StatusCode)
	}
}
