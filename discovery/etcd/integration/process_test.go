//go:build unix

package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/peercache/peercache/internal/owners"
)

// buildExample builds the example and returns its path.
func buildExample(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "example")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/peercache/peercache/discovery/etcd/example")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// process is a node of the example, running.
type process struct {
	cmd       *exec.Cmd
	peer, api string // what it printed: base URL, URL of the API
	log       bytes.Buffer
	logged    chan struct{} // closed when the log is complete
}

// startProcess starts a node and returns when it has said where it listens.
func startProcess(t *testing.T, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), logged: make(chan struct{})}
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
			t.Logf("%s\n%s", p.peer, &p.log)
		}
	})
	for lines := bufio.NewScanner(stdout); p.api == "" && lines.Scan(); {
		switch name, value, _ := strings.Cut(lines.Text(), " "); name {
		case "peer":
			p.peer = value
		case "api":
			p.api = value
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

// stop ends the process in good order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-p.logged
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%s: %v: want status 0", p.peer, err)
	}
}

// get asks the API of a process.
func (p *process) get(client *http.Client, query string) (status int, body string, err error) {
	resp, err := client.Get(p.api + query)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// fleet is the processes that live.
type fleet struct {
	client *http.Client
	mu     sync.Mutex // held while a process is asked, so that none is that ends
	nodes  []*process

	checks int           // of owners
	before []owners.Node // the last ones
}

// add takes in a process.
func (f *fleet) add(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(f.nodes, p)
}

// remove leaves a process out, and then makes it end.
func (f *fleet) remove(p *process, end func()) {
	f.mu.Lock()
	f.nodes = slices.DeleteFunc(f.nodes, func(q *process) bool { return q == p })
	f.mu.Unlock()
	end()
}

// peers returns who lives, as the views have it.
func (f *fleet) peers() (urls []string) {
	for _, p := range f.nodes {
		urls = append(urls, p.peer)
	}
	slices.Sort(urls)
	return urls
}

// viewOf returns the peers that a process knows.
func (f *fleet) viewOf(p *process) (peers []string, err error) {
	_, body, err := p.get(f.client, "/peers")
	if err == nil {
		err = json.Unmarshal([]byte(body), &peers)
	}
	slices.Sort(peers)
	return peers, err
}

// awaitViews waits until the view of each process is who lives.
func (f *fleet) awaitViews(t *testing.T, most time.Duration, after string) {
	t.Helper()
	want := f.peers()
	began := time.Now()
	deadline := time.After(most)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < len(f.nodes); {
		got, err := f.viewOf(f.nodes[i])
		if err == nil && slices.Equal(got, want) {
			i++
			continue
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s: %s sees %q, error %v: want %q", after, f.nodes[i].peer, got, err, want)
		}
	}
	t.Logf("after %s all views are right within %v", after, time.Since(began).Round(time.Millisecond))
	f.awaitOwners(t, after)
}

// awaitOwners waits until each key is loaded by the process that the ring of the living
// names, and sees that none has moved without need.
func (f *fleet) awaitOwners(t *testing.T, after string) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for {
		err := f.checkOwners(t)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s: %v", after, err)
		}
	}
}

func (f *fleet) checkOwners(t *testing.T) error {
	f.mu.Lock() // nobody else asks
	defer f.mu.Unlock()
	f.checks++
	var now []owners.Node
	for _, p := range f.nodes {
		now = append(now, owners.Node{Peer: p.peer, API: p.api})
	}
	if f.before != nil {
		if err := owners.Moved(f.before, now); err != nil {
			t.Error(err)
		}
	}
	f.before = now
	return owners.Check(f.client, now, fmt.Sprintf("owned%d-", f.checks))
}

// ask asks all processes for keys until ctx ends: each has to be answered.
func (f *fleet) ask(ctx context.Context, t *testing.T) (asked int) {
	for ; ctx.Err() == nil; asked++ {
		f.mu.Lock()
		for _, p := range f.nodes {
			// A new key each time, so that its owner has to answer.
			for query, want := range map[string]int{"?key=Tom": http.StatusOK, "?key=nobody" + fmt.Sprint(asked): http.StatusNotFound} {
				if status, body, err := p.get(f.client, query); status != want {
					t.Errorf("%s asked for %s: %d, %q, error %v: want %d", p.peer, query, status, body, err, want)
				}
			}
		}
		f.mu.Unlock()
	}
	return asked
}

// TestProcesses starts three processes of the example, and two more, kills one,
// starts it again, stops another, and stops etcd for longer than the leases last:
// each view is always soon who lives, and each key is answered throughout.
func TestProcesses(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	const expiry = ttl + 2*time.Second // etcd may take a second to see that a lease has run out
	s := startServer(t)
	path := buildExample(t)
	args := []string{"-port", "0", "-api", "127.0.0.1:0", "-log-level", "INFO", "-discovery", "etcd",
		"-etcd", s.endpoint, "-etcd-prefix", prefix, "-etcd-lease", ttl.String()}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	f := &fleet{client: &http.Client{Transport: transport, Timeout: patience}}
	for range 3 {
		f.add(startProcess(t, path, args...))
	}
	f.awaitViews(t, patience, "the start of three")

	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan int)
	go func() { asked <- f.ask(ctx, t) }()
	defer func() {
		cancel()
		if n := <-asked; n < 10 {
			t.Errorf("asked %d times only", n)
		}
	}()

	for range 2 {
		f.add(startProcess(t, path, args...))
	}
	f.awaitViews(t, expiry, "two more")

	killed := f.nodes[1]
	f.remove(killed, killed.kill)
	f.awaitViews(t, expiry, "kill -9")
	at, err := url.Parse(killed.peer)
	if err != nil {
		t.Fatal(err)
	}
	f.add(startProcess(t, path, append(slices.Clone(args), "-port", at.Port())...))
	f.awaitViews(t, expiry, "its restart")

	stopped := f.nodes[0]
	f.remove(stopped, func() { stopped.stop(t) })
	f.awaitViews(t, expiry, "a stop")

	s.stop()
	f.hold(t, ttl+ttl/2)
	s.start(t)
	f.hold(t, ttl+ttl/2)
}

// hold checks for some time that each view is who lives.
func (f *fleet) hold(t *testing.T, d time.Duration) {
	t.Helper()
	want := f.peers()
	end := time.After(d)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, p := range f.nodes {
			if got, err := f.viewOf(p); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s sees %q, error %v: want %q", p.peer, got, err, want)
			}
		}
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}
