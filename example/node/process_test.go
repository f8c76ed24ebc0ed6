//go:build unix

package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// patience is how long a process may take for what takes milliseconds.
const patience = 30 * time.Second

// process is the example, running.
type process struct {
	cmd       *exec.Cmd
	stdin     io.WriteCloser
	peer, api string // what it printed: base URL, URL of the API
	ended     bool   // and has been checked

	// gone is closed when no process holds the standard error any more: this
	// one has ended, and all that it started.
	gone   chan struct{}
	stderr transcript // whole when gone is closed
}

// transcript is what a process has written so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// lines returns the lines that contain all the texts.
func (t *transcript) lines(texts ...string) (found []string) {
	for line := range strings.Lines(t.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, line)
		}
	}
	return found
}

// start starts the example and reads what it prints, line by line, until ready
// returns true for one. If it ends before that, the test fails.
func start(t *testing.T, ready func(p *process, line string) bool, args ...string) *process {
	t.Helper()
	p, err := tryStart(t, ready, args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryStart(t *testing.T, ready func(p *process, line string) bool, args ...string) (*process, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self, args...), gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asExample+"=1",
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")) // else each end takes a second
	stderr, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = w
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	w.Close()
	if err != nil {
		stderr.Close()
		t.Fatal(err)
	}
	go func() {
		defer close(p.gone)
		defer stderr.Close()
		io.Copy(&p.stderr, stderr)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill() // of no effect if it has ended, as it should
		p.cmd.Wait()
		p.waitGone(t)
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(args, " "), &p.stderr)
		}
	})
	watch := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer watch.Stop()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if ready(p, lines.Text()) {
			return p, nil
		}
	}
	p.waitGone(t)
	return nil, fmt.Errorf("%q ended before it was ready: %v\n%s", args, p.cmd.Wait(), &p.stderr)
}

// waitGone waits until the process and all that it started have ended.
func (p *process) waitGone(t *testing.T) {
	t.Helper()
	select {
	case <-p.gone:
	case <-time.After(patience):
		t.Fatalf("%q: a process is left behind", p.cmd.Args[1:])
	}
}

// stop sends a signal, and checks that all ends well. It may be called again.
func (p *process) stop(t *testing.T, sig os.Signal) {
	t.Helper()
	if p.ended {
		return
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Error(err)
	}
	p.checkEnd(t)
}

// checkEnd checks that the process ends, with status 0 and nothing left behind.
func (p *process) checkEnd(t *testing.T) {
	t.Helper()
	p.ended = true
	p.waitGone(t)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%q: %v: want status 0", p.cmd.Args[1:], err)
	}
	if s := p.stderr.String(); strings.Contains(s, "WARNING: DATA RACE") || strings.Contains(s, "panic") {
		t.Errorf("%q:\n%s", p.cmd.Args[1:], s)
	}
}

// nodeReady reads the lines that one node prints.
func nodeReady(p *process, line string) bool {
	switch name, url, _ := strings.Cut(line, " "); name {
	case peerLine:
		p.peer = url
	case apiLine:
		p.api = url
	}
	return p.peer != "" && p.api != ""
}

// startNodes starts a cluster of n nodes, each with an API, on free ports. The
// nodes stop at the end of the test.
func startNodes(t *testing.T, n int, args ...string) []*process {
	t.Helper()
	return startEach(t, slices.Repeat([][]string{args}, n))
}

// startEach does what startNodes does, for a node with each of the args.
func startEach(t *testing.T, each [][]string) []*process {
	t.Helper()
	nodes := make([]*process, len(each))
	peers := make([]string, len(each))
	for i, args := range each {
		nodes[i] = start(t, nodeReady, append([]string{"-port", "0", "-api", "127.0.0.1:0", "-peers", "-"}, args...)...)
		peers[i] = nodes[i].peer
	}
	for _, node := range nodes {
		if _, err := fmt.Fprintln(node.stdin, strings.Join(peers, ",")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.stop(t, os.Interrupt) })
	}
	return nodes
}

// stats returns the sums over the nodes.
func stats(t *testing.T, client *http.Client, nodes []*process) (sum peercache.Stats) {
	t.Helper()
	for _, node := range nodes {
		resp, err := client.Get(node.api + "/stats")
		if err != nil {
			t.Fatal(err)
		}
		var s peercache.Stats
		err = json.NewDecoder(resp.Body).Decode(&s)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		sum.Gets += s.Gets
		sum.Hits += s.Hits
		sum.Loads += s.Loads
		sum.LoadErrors += s.LoadErrors
		sum.PeerLoads += s.PeerLoads
		sum.PeerErrors += s.PeerErrors
		sum.ServerRequests += s.ServerRequests
		sum.Main.Items += s.Main.Items
		sum.Main.Evictions += s.Main.Evictions
	}
	return sum
}

// get asks the API at a URL for key, and gives the body of the answer to read.
func get(client *http.Client, api, key string, read func(io.Reader) error) error {
	resp, err := client.Get(api + "?key=" + url.QueryEscape(key))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("key %q: status %s: %s", key, resp.Status, text)
	}
	return read(resp.Body)
}

// getString is get of a short value.
func getString(client *http.Client, api, key string) (string, error) {
	var body []byte
	err := get(client, api, key, func(r io.Reader) (err error) {
		body, err = io.ReadAll(r)
		return err
	})
	return string(body), err
}

// newClient makes a client that keeps n connections to each node open.
func newClient(t *testing.T, n int) *http.Client {
	// What dials too many at a time overruns the queue of those who listen.
	dialling := make(chan struct{}, 64)
	dialer := &net.Dialer{Timeout: patience}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialling <- struct{}{}
			defer func() { <-dialling }()
			return dialer.DialContext(ctx, network, addr)
		},
		MaxIdleConnsPerHost: n,
		DisableCompression:  true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience}
}
