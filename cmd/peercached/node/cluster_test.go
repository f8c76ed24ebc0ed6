//go:build unix

package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// nodeAddrs are the addresses of a node.
type nodeAddrs struct{ peers, admin, http, grpc, resp string }

// nodes are the processes of a cluster.
type nodes struct {
	addrs []nodeAddrs
	list  string // the peers
	procs []*process
}

// newNodes returns n nodes that do not run yet. Those from owners on own nothing.
func newNodes(t *testing.T, owners, n int) *nodes {
	ports := freePorts(t, 5*n)
	c := &nodes{procs: make([]*process, n)}
	var list []string
	for i := range n {
		a := func(k int) string { return "127.0.0.1:" + ports[5*i+k] }
		c.addrs = append(c.addrs, nodeAddrs{a(0), a(1), a(2), a(3), a(4)})
		name := "http://" + a(0)
		if i >= owners {
			name += "#owns=nothing"
		}
		list = append(list, name)
	}
	c.list = strings.Join(list, ",")
	return c
}

// start starts node i.
func (c *nodes) start(t *testing.T, i int, command string, more ...string) {
	t.Helper()
	a := c.addrs[i]
	c.procs[i] = start(t, nil, append([]string{command, "--peers.listen=" + a.peers, "--peers.discovery.static=" + c.list, "--peers.secret=a secret of the nodes", "--admin.listen=" + a.admin,
		"--http.listen=" + a.http, "--grpc.listen=" + a.grpc, "--resp.listen=" + a.resp, "--groups.a.bytes=4MiB", "--groups.a.ttl=1s", "--groups.a.origin.upper.suffix=!"}, more...)...)
}

// caller asks one node by one door, as clients of that door do.
type caller interface {
	// get returns the value of a key. broken says that the connection ended, or there was none.
	get(ctx context.Context, key string) (value string, broken bool, err error)
	close()
}

type httpCaller struct {
	client *http.Client
	addr   string
}

func (c *httpCaller) get(ctx context.Context, key string) (string, bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/v1/a/"+key, nil)
	if err != nil {
		return "", false, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return "", true, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		return "", false, fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err != nil, err
}

func (c *httpCaller) close() { c.client.CloseIdleConnections() }

// respCaller is a small Redis client.
type respCaller struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

func (c *respCaller) get(ctx context.Context, key string) (string, bool, error) {
	if c.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return "", true, err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	value, err := c.ask(key)
	if text, answered := errors.AsType[respError](err); answered {
		return "", false, text
	}
	if err != nil {
		c.close()
		return "", true, err
	}
	return value, false, nil
}

type respError string

func (e respError) Error() string { return string(e) }

func (c *respCaller) ask(key string) (string, error) {
	key = "a:" + key
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c.conn, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	var n int
	if _, err := fmt.Sscanf(line, "$%d", &n); err != nil || n < 0 {
		return "", respError(line)
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(c.in, b)
	return string(b[:n]), err
}

func (c *respCaller) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

type grpcCaller struct{ conn *grpc.ClientConn }

func (c *grpcCaller) get(ctx context.Context, key string) (string, bool, error) {
	resp, err := cachepb.NewCacheClient(c.conn).Get(ctx, &cachepb.GetRequest{Group: "a", Key: []byte(key)})
	if err != nil {
		return "", status.Code(err) == codes.Unavailable, err
	}
	return string(resp.GetValue()), false, nil
}

func (c *grpcCaller) close() { c.conn.Close() }

// callers returns a caller for each door of a node.
func (a nodeAddrs) callers(t *testing.T) []caller {
	conn, err := grpc.NewClient("passthrough:///"+a.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	return []caller{&httpCaller{&http.Client{Transport: &http.Transport{}}, a.http}, &respCaller{addr: a.resp}, &grpcCaller{conn}}
}

// load asks all nodes of a cluster by all doors, again and again. A client whose connection has ended asks
// the next node, as one with a list of addresses does. All else that is no value is a failure.
type load struct {
	good, moved atomic.Int64
	mu          sync.Mutex
	failures    []string
}

func (l *load) run(ctx context.Context, t *testing.T, c *nodes) (wait func()) {
	var running sync.WaitGroup
	for i := range c.addrs {
		for door := range 3 {
			var all []caller
			for k := range c.addrs {
				all = append(all, c.addrs[(i+k)%len(c.addrs)].callers(t)[door])
			}
			running.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					l.one(ctx, all, fmt.Sprintf("key-%d", n%200))
				}
				for _, one := range all {
					one.close()
				}
			})
		}
	}
	return running.Wait
}

// one asks for a key until a node answers.
func (l *load) one(ctx context.Context, all []caller, key string) {
	for _, c := range all {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		value, broken, err := c.get(asking, key)
		cancel()
		switch {
		case broken:
			l.moved.Add(1)
			continue
		case err == nil && value == strings.ToUpper(key)+"!":
			l.good.Add(1)
			return
		}
		l.mu.Lock()
		l.failures = append(l.failures, fmt.Sprintf("%T: %q, %v", c, value, err))
		l.mu.Unlock()
		return
	}
	l.mu.Lock()
	l.failures = append(l.failures, "no node is there")
	l.mu.Unlock()
}

// more waits until n further requests were answered.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	from := l.good.Load()
	eventually(t, func() error {
		if l.good.Load() < from+n {
			return fmt.Errorf("%d requests were answered, of %d", l.good.Load()-from, n)
		}
		return nil
	})
}

// Under load one node is killed and comes back, and another one is told to end and comes back. Nobody but
// those whose own connection ended notices.
func TestKilledAndDrainedUnderLoad(t *testing.T) {
	c := newNodes(t, 3, 3)
	for i := range c.addrs {
		c.start(t, i, "serve")
	}
	for _, p := range c.procs {
		p.wait(t, "msg=serving")
	}
	ctx, stop := context.WithCancel(t.Context())
	var l load
	wait := l.run(ctx, t, c)
	l.more(t, 500)

	c.procs[0].Process.Kill()
	<-c.procs[0].exited
	l.more(t, 500)
	c.start(t, 0, "serve")
	c.procs[0].wait(t, "msg=serving")
	l.more(t, 500)

	c.procs[1].Process.Signal(syscall.SIGTERM)
	if status := c.procs[1].status(t); status != ExitOK {
		t.Errorf("exit status %d", status)
	}
	l.more(t, 500)
	c.start(t, 1, "serve")
	c.procs[1].wait(t, "msg=serving")
	l.more(t, 500)
	stop()
	wait()
	if len(l.failures) > 0 {
		t.Errorf("%d of %d requests have failed: %q", len(l.failures), l.good.Load(), l.failures[:min(5, len(l.failures))])
	}
	t.Logf("%d requests were answered, %d connections had ended", l.good.Load(), l.moved.Load())
}

// A gateway owns nothing, and gets all values from the nodes. A change through it holds everywhere.
func TestGateway(t *testing.T) {
	for _, transport := range []string{"http", "grpc"} {
		t.Run(transport, func(t *testing.T) { testGateway(t, "--peers.transport="+transport) })
	}
}

func testGateway(t *testing.T, transport string) {
	c := newNodes(t, 2, 3)
	c.start(t, 0, "serve", transport)
	c.start(t, 1, "serve", transport)
	c.start(t, 2, "gateway", transport)
	for _, p := range c.procs {
		p.wait(t, "msg=serving")
	}
	gateway := c.addrs[2].callers(t)
	defer func() {
		for _, g := range gateway {
			g.close()
		}
	}()
	for i := range 100 {
		key := fmt.Sprintf("key-%d", i)
		for _, one := range gateway {
			if value, _, err := one.get(t.Context(), key); err != nil || value != strings.ToUpper(key)+"!" {
				t.Fatalf("%T: %q, %v", one, value, err)
			}
		}
	}
	client := func(args ...string) (int, string) {
		a := c.addrs[2]
		code, out, errs := run(t, nil, append(args, "--http=http://"+a.http, "--admin=http://"+a.admin)...)
		return code, out + errs
	}
	if _, out := client("ring"); strings.Count(out, "owns nothing") != 1 {
		t.Errorf("ring:\n%s", out)
	}
	if _, out := client("stats"); !strings.Contains(out, "FROM PEERS") || loads(out) != "0" {
		t.Errorf("the gateway has loaded values itself:\n%s", out)
	}
	if code, out := client("set", "a", "key-1", "other"); code != 0 {
		t.Fatalf("set: status %d: %s", code, out)
	}
	for i := range c.addrs {
		for _, one := range c.addrs[i].callers(t) {
			if value, _, err := one.get(t.Context(), "key-1"); err != nil || value != "other" {
				t.Errorf("node %d, %T: %q, %v after a set at the gateway", i, one, value, err)
			}
			one.close()
		}
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"rm", "a", "key-1", "key-2"}, 0, ""},
		{[]string{"get", "a", "key-1"}, 0, "KEY-1!"},
		{[]string{"clear", "a"}, 0, ""},
		{[]string{"get", "a", "nobody"}, ExitNotFound, "no such key"},
		{[]string{"get", "b", "x"}, ExitFailed, "404"},
		{[]string{"where", "a", "key-1"}, 0, `"owned": false`},
		{[]string{"top", "-n", "1"}, 0, "owns nothing"},
		{[]string{"stats", "--json", "a"}, 0, `"group":`},
		{[]string{"ready"}, 0, "ready"},
	} {
		if code, out := client(test.args...); code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("%v: status %d, %q: want %d, %q", test.args, code, out, test.code, test.want)
		}
	}
}

// loads returns the figure of the column LOADS of the first group.
func loads(table string) string {
	lines := strings.Split(table, "\n")
	if len(lines) < 2 || len(strings.Fields(lines[1])) < 4 {
		return "?"
	}
	return strings.Fields(lines[1])[3]
}

// Nodes find each other by a file and by gossip.
func TestDiscoveries(t *testing.T) {
	ports := freePorts(t, 6)
	addr := func(i int) string { return "127.0.0.1:" + ports[i] }
	list := filepath.Join(t.TempDir(), "list")
	write(t, list, fmt.Sprintf("http://%s\nhttp://%s # the other one\n", addr(0), addr(1)))
	for name, discovery := range map[string]func(i int) []string{
		"file": func(int) []string { return []string{"--peers.discovery.file=" + list} },
		"gossip": func(i int) []string {
			return []string{"--peers.discovery.gossip.bind=" + addr(4+i), "--peers.discovery.gossip.join=" + addr(4), "--peers.discovery.gossip.profile=local",
				"--peers.discovery.gossip.key=MDEyMzQ1Njc4OWFiY2RlZg=="}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 2 {
				p := start(t, nil, append([]string{"serve", "--peers.listen=" + addr(i), "--admin.listen=" + addr(2+i), "--groups.a.bytes=1MiB",
					"--groups.a.origin.upper.suffix=!"}, discovery(i)...)...)
				p.wait(t, "msg=serving")
			}
			eventually(t, func() error {
				for i := range 2 {
					if _, out, _ := run(t, nil, "ring", "--admin=http://"+addr(2+i)); strings.Count(out, "http://127.0.0.1") != 2 {
						return errors.New(out)
					}
				}
				return nil
			})
		})
	}
}

// Spans are sent to the collector, those of the end too.
func TestTracing(t *testing.T) {
	got := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + r.Header.Get("X-Key") + " " + string(b)
	}))
	defer collector.Close()
	ports := freePorts(t, 3)
	t.Setenv("COLLECTOR_KEY", "open-sesame")
	p := start(t, nil, "serve", "--peers.listen=127.0.0.1:"+ports[0], "--admin.listen=127.0.0.1:"+ports[1], "--http.listen=127.0.0.1:"+ports[2],
		"--groups.a.bytes=1MiB", "--groups.a.origin.upper.suffix=!", "--tracing.endpoint="+collector.URL, "--tracing.ratio=1", "--tracing.headers={X-Key: {env: COLLECTOR_KEY}}")
	p.wait(t, "msg=serving")
	get(t, "http://127.0.0.1:"+ports[2]+"/v1/a/tom")
	p.Process.Signal(syscall.SIGTERM)
	if status := p.status(t); status != ExitOK {
		t.Errorf("exit status %d", status)
	}
	select {
	case spans := <-got:
		if !strings.HasPrefix(spans, "/v1/traces open-sesame ") || !strings.Contains(spans, "peercache.load") {
			t.Errorf("the collector got %q", spans)
		}
	default:
		t.Error("the collector got nothing")
	}
}

// What is in progress at each door when the node is told to end is answered.
func TestEndAnswersWhatIsInProgress(t *testing.T) {
	const doors = 3
	asked, release := make(chan struct{}, doors), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release
		io.WriteString(w, "late")
	}))
	defer slow.Close()
	c := newNodes(t, 1, 1)
	a := c.addrs[0]
	p := start(t, nil, "serve", "--peers.listen="+a.peers, "--admin.listen="+a.admin, "--http.listen="+a.http, "--grpc.listen="+a.grpc, "--resp.listen="+a.resp,
		"--groups.a.bytes=1MiB", "--groups.a.origin.http.url="+slow.URL+"/{key}")
	p.wait(t, "msg=serving")
	var running sync.WaitGroup
	for i, one := range a.callers(t) {
		running.Go(func() {
			defer one.close()
			if value, _, err := one.get(t.Context(), fmt.Sprint(i)); err != nil || value != "late" {
				t.Errorf("%T: %q, %v", one, value, err)
			}
		})
	}
	for range doors {
		<-asked
	}
	p.Process.Signal(syscall.SIGTERM)
	p.wait(t, "the node ends: clients first")
	p.Process.Signal(syscall.SIGHUP) // changes nothing now, and must not end it
	eventually(t, func() error {     // the doors take nothing new
		for _, addr := range []string{a.http, a.grpc, a.resp} {
			if conn, err := net.Dial("tcp", addr); err == nil {
				conn.Close()
				return fmt.Errorf("%s takes connections", addr)
			}
		}
		return nil
	})
	close(release)
	running.Wait()
	if status := p.status(t); status != ExitOK {
		t.Errorf("exit status %d", status)
	}
}
