//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/internal/owners"
)

// asExample makes the test binary run as the example.
const asExample = "PEERCACHE_TEST_RUN_AS_EXAMPLE"

func TestMain(m *testing.M) {
	if os.Getenv(asExample) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	// patience is how long a test waits for what takes a few seconds at most.
	patience = 30 * time.Second

	// detection is within what time all see a crash, in the profile local.
	detection = 10 * time.Second

	// poll is how often a node is asked for what is awaited.
	poll = 20 * time.Millisecond
)

// process is a node of the example, running.
type process struct {
	cmd       *exec.Cmd
	peer, api string // what it printed: base URL, URL of the API
	log       bytes.Buffer
	logged    chan struct{} // closed when the log is complete
}

// start starts a node and returns when it has said where it listens.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, args...), logged: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asExample+"=1",
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // else each end takes a second
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.logged)
		io.Copy(&p.log, stderr)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %s\n%s", p.peer, strings.Join(args, " "), &p.log)
		}
	})
	for lines := bufio.NewScanner(stdout); (p.peer == "" || p.api == "") && lines.Scan(); {
		switch name, url, _ := strings.Cut(lines.Text(), " "); name {
		case "peer":
			p.peer = url
		case "api":
			p.api = url
		}
	}
	if p.api == "" {
		t.Fatalf("%q ended before it was ready", args)
	}
	return p
}

// kill is kill -9. It may be called again, and after stop.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.logged
	p.cmd.Wait()
}

// stop ends the node in good order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-p.logged
	if err := p.cmd.Wait(); err != nil || strings.Contains(p.log.String(), "DATA RACE") {
		t.Errorf("%s: %v: want status 0, and no race:\n%s", p.peer, err, &p.log)
	}
}

// cluster is the nodes that live.
type cluster struct {
	client *http.Client

	mu    sync.Mutex // held while a node is asked, so that none is that dies
	nodes []*process

	checks int           // of owners
	before []owners.Node // the last ones
}

// add makes p one of the cluster, when it serves.
func (c *cluster) add(t *testing.T, p *process) {
	t.Helper()
	c.within(t, patience, "the API of "+p.peer, func() error {
		_, err := c.view(p)
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, p)
}

// remove takes p out, and only then makes it end.
func (c *cluster) remove(p *process, end func()) {
	c.mu.Lock()
	c.nodes = slices.DeleteFunc(c.nodes, func(q *process) bool { return q == p })
	c.mu.Unlock()
	end()
}

// view returns the peers that p knows.
func (c *cluster) view(p *process) (peers []string, err error) {
	resp, err := c.client.Get(p.api + "/peers")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return peers, json.NewDecoder(resp.Body).Decode(&peers)
}

// awaitViews waits until the view of each node is all of them.
func (c *cluster) awaitViews(t *testing.T, most time.Duration, after string) {
	t.Helper()
	var want []string
	for _, p := range c.nodes {
		want = append(want, p.peer)
	}
	slices.Sort(want)
	start := time.Now()
	for _, p := range c.nodes {
		c.within(t, most-time.Since(start), after, func() error {
			got, err := c.view(p)
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("the view of %s is %q, want %q", p.peer, got, want)
			}
			return err
		})
	}
	t.Logf("after %s all views were right within %v", after, time.Since(start).Round(time.Millisecond))
	c.awaitOwners(t, after)
}

// awaitOwners waits until each key is loaded by the node that the ring of the living
// names, and sees that none has moved without need.
func (c *cluster) awaitOwners(t *testing.T, after string) {
	t.Helper()
	c.within(t, patience, after, func() error {
		c.mu.Lock() // nobody else asks
		defer c.mu.Unlock()
		c.checks++
		var now []owners.Node
		for _, p := range c.nodes {
			now = append(now, owners.Node{Peer: p.peer, API: p.api})
		}
		if c.before != nil {
			if err := owners.Moved(c.before, now); err != nil {
				t.Error(err)
			}
		}
		c.before = now
		return owners.Check(c.client, now, fmt.Sprintf("owned%d-", c.checks))
	})
}

// within calls ready until it returns nil.
func (c *cluster) within(t *testing.T, most time.Duration, what string, ready func() error) {
	t.Helper()
	deadline, ticks := time.After(most), time.NewTicker(poll)
	defer ticks.Stop()
	for {
		err := ready()
		if err == nil {
			return
		}
		select {
		case <-ticks.C:
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// scores are some of what the example keeps.
var scores = map[string]string{"Tom": "630", "Jack": "589", "Sam": "567"}

// ask asks all living nodes for keys, one after the other, until stop is closed.
// Each key is to be answered, whatever happens to the others.
func (c *cluster) ask(t *testing.T, stop <-chan struct{}) (asked int) {
	ticks := time.NewTicker(poll)
	defer ticks.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return asked
		case <-ticks.C:
		}
		c.mu.Lock()
		for _, p := range c.nodes {
			for key, want := range scores {
				c.check(t, p, key, http.StatusOK, want)
			}
			// New keys each time, so that all nodes have to answer.
			c.check(t, p, fmt.Sprint("nobody", n), http.StatusNotFound, "")
			asked += len(scores) + 1
		}
		c.mu.Unlock()
	}
}

// check asks p for a key.
func (c *cluster) check(t *testing.T, p *process, key string, status int, want string) {
	resp, err := c.client.Get(p.api + "?key=" + key)
	if err != nil {
		t.Errorf("%s asked for %s: %v", p.peer, key, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || string(body) != cmp.Or(want, string(body)) {
		t.Errorf("%s asked for %s: %s, %q, error %v: want status %d, %q", p.peer, key, resp.Status, body, err, status, want)
	}
}

// Nodes come, are killed, come back and leave. Within the detection time each
// view is those that live, and each key is answered throughout.
func TestNodesComeAndGo(t *testing.T) {
	t.Setenv(keyVariable, strings.Repeat("0a", 16))
	t.Setenv("PEERCACHE_SECRET", "a secret of a test")
	meet := freeAddrs(t, 2)
	args := []string{"-port", "0", "-api", "127.0.0.1:0", "-log-level", "INFO", "-discovery", "gossip",
		"-gossip-profile", "local", "-join", strings.Join(meet, ",")}
	free := append(slices.Clone(args), "-gossip-bind", "127.0.0.1:0")

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &cluster{client: &http.Client{Transport: transport, Timeout: patience}}
	first := start(t, append(slices.Clone(args), "-gossip-bind", meet[0])...)
	second := start(t, append(slices.Clone(args), "-gossip-bind", meet[1])...)
	for _, p := range []*process{first, second, start(t, free...)} {
		c.add(t, p)
	}
	c.awaitViews(t, patience, "the start of three")

	stop, stopped := make(chan struct{}), make(chan int)
	go func() { stopped <- c.ask(t, stop) }()
	defer func() { // also of a test that has failed
		close(stop)
		if n := <-stopped; n == 0 {
			t.Error("no key was asked for")
		} else {
			t.Logf("%d keys were asked for", n)
		}
	}()

	for range 2 {
		c.add(t, start(t, free...))
	}
	c.awaitViews(t, patience, "two more")

	killed := c.nodes[2]
	c.remove(killed, killed.kill)
	c.awaitViews(t, detection, "kill -9 of one")

	_, port, _ := net.SplitHostPort(strings.TrimPrefix(killed.peer, "http://"))
	again := start(t, append(slices.Clone(free), "-port", port)...)
	c.add(t, again)
	if again.peer != killed.peer {
		t.Fatalf("%s came back as %s", killed.peer, again.peer)
	}
	c.awaitViews(t, detection, "its restart")

	c.remove(second, func() { second.stop(t) })
	c.awaitViews(t, detection, "another has left")
	successor := start(t, append(slices.Clone(args), "-gossip-bind", meet[1])...)
	c.add(t, successor)
	c.awaitViews(t, detection, "one where that was")
}

// What is wrong with the flags is said, and ends the program.
func TestFlags(t *testing.T) {
	for _, test := range []struct{ arg, value, want string }{
		{"-gossip-bind", "localhost", "WithBind"},
		{"-join", "localhost", "WithJoin"},
		{keyVariable, "secret", "hexadecimal digits"},
		{keyVariable, "0a0a", "key 0 has 2 bytes"},
		{"-gossip-profile", "man", "want lan, wan or local"},
	} {
		args := []string{"-port", "0", "-discovery", "gossip"}
		if test.arg == keyVariable {
			t.Setenv(keyVariable, test.value)
		} else {
			t.Setenv(keyVariable, "")
			args = append(args, test.arg, test.value)
		}
		var stderr bytes.Buffer
		code := run(args, nil, io.Discard, &stderr)
		if code != 2 || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s %s: status %d, %q: want 2, %q", test.arg, test.value, code, &stderr, test.want)
		}
	}
}

// freeAddrs returns addresses that are free at this moment.
func freeAddrs(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // not before the others are found, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}
