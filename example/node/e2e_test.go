//go:build unix

package node

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// silence is the detection time here: on a busy machine, with the race detector,
// a process may well be silent for half a second.
const silence = "10s"

// The main job on real input: a cluster over the sources of the Go
// distribution, each file asked for through each node, twice. All answers are
// right, and each file is read from disk once in the whole cluster (P1).
func TestP1GoSources(t *testing.T) {
	src := goSources(t)
	nodes := startNodes(t, 3, sourcesArgs(src)...)
	askForAll(t, nodes, src)
}

// goSources returns the directory of the sources of the Go distribution.
func goSources(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	if _, statErr := os.Stat(src); err != nil || statErr != nil {
		t.Skipf("no sources of the Go distribution: go env GOROOT: %v; %v", err, statErr)
	}
	if testing.Short() {
		src = filepath.Join(src, "net")
	}
	return src
}

// sourcesArgs are the flags of a node that has the files of a directory.
func sourcesArgs(dir string) []string {
	return []string{"-dir", dir, "-cache-bytes", strconv.Itoa(1 << 30), "-detection-time", silence, "-log-level", "INFO"}
}

// atOnce is how many callers ask for the sources at once.
const atOnce = 64

// askForAll asks each node for each file under dir, twice. It returns their hashes.
func askForAll(t *testing.T, nodes []*process, dir string) map[string][sha256.Size]byte {
	t.Helper()
	files, total := hashFiles(t, dir)
	client := newClient(t, atOnce)
	start := time.Now()
	for range 2 {
		var asks errgroup.Group
		asks.SetLimit(atOnce)
		for key, want := range files {
			for _, node := range nodes { // at about the same time
				asks.Go(func() error { return checkHash(client, node, key, want) })
			}
		}
		if err := asks.Wait(); err != nil {
			t.Fatal(err)
		}
	}

	s := stats(t, client, nodes)
	t.Logf("%d files of %d MB, asked for %d times in %v: %+v", len(files), total>>20, 6*len(files), time.Since(start), s)
	n := int64(len(files))
	if s.Loads != n || s.LoadErrors != 0 || s.PeerErrors != 0 || s.Main.Items != n || s.Main.Evictions != 0 {
		t.Errorf("%d loads, %d of them failed, %d times a peer was not reached, %d items in the caches, %d evicted: want %d, 0, 0, %d, 0",
			s.Loads, s.LoadErrors, s.PeerErrors, s.Main.Items, s.Main.Evictions, n, n)
	}
	return files
}

// checkHash asks a node for a file.
func checkHash(client *http.Client, node *process, key string, want [sha256.Size]byte) error {
	hash := sha256.New()
	err := get(client, node.api, key, func(r io.Reader) error {
		_, err := io.Copy(hash, r)
		return err
	})
	if err == nil && [sha256.Size]byte(hash.Sum(nil)) != want {
		err = fmt.Errorf("key %q: the answer of %s is not the file", key, node.peer)
	}
	return err
}

// hashFiles returns the hashes of the regular files under dir by their keys, and
// their bytes.
func hashFiles(t *testing.T, dir string) (files map[string][sha256.Size]byte, total int) {
	t.Helper()
	files = make(map[string][sha256.Size]byte)
	tree := os.DirFS(dir)
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := fs.ReadFile(tree, path)
		files[path] = sha256.Sum256(b)
		total += len(b)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, error %v", dir, len(files), err)
	}
	return files, total
}

// A herd: 5,000 callers at one time want one key that is cached nowhere and
// slow to load, through all nodes. One load answers them all.
func TestP1Herd(t *testing.T) {
	callers := 5000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Each caller is a connection. The runtime has raised the limit as far as
	// it may.
	if most := uint64(limit.Cur) * 9 / 10; uint64(callers) > most {
		callers = int(most)
		t.Logf("%d callers, for want of open files", callers)
	}
	nodes := startNodes(t, 3, "-origin-delay", "2s", "-detection-time", silence, "-log-level", "WARN")
	client := newClient(t, callers)

	// The first herd opens the connections. The second finds them open, and is
	// all there before the load is done.
	for i, key := range []string{"Jack", "Tom"} {
		var asked, askedBefore atomic.Int64 // before the first answer
		var first sync.Once
		var herd errgroup.Group
		for n := range callers {
			herd.Go(func() error {
				asked.Add(1)
				got, err := getString(client, nodes[n%len(nodes)].api, key)
				first.Do(func() { askedBefore.Store(asked.Load()) })
				if err == nil && got != scores[key] {
					err = fmt.Errorf("key %s: got %q, want %s", key, got, scores[key])
				}
				return err
			})
		}
		if err := herd.Wait(); err != nil {
			t.Fatal(err)
		}
		s := stats(t, client, nodes)
		t.Logf("%s: %d of %d had asked before the first answer; %+v", key, askedBefore.Load(), callers, s)
		if want := int64(i + 1); s.Loads != want || s.LoadErrors != 0 || s.PeerErrors != 0 {
			t.Errorf("%s: %d loads, %d of them failed, %d times a peer was not reached: want %d, 0, 0",
				key, s.Loads, s.LoadErrors, s.PeerErrors, want)
		}
	}
}

// go run ./example, alone: three processes, the API, and what to try. Ctrl-C
// ends them all, and so does the end of the first, however it comes.
func TestThreeProcesses(t *testing.T) {
	client := newClient(t, 1)
	run := func(t *testing.T) *process {
		p := start(t, func(p *process, line string) bool {
			if _, rest, ok := strings.Cut(line, "curl '"); ok && p.api == "" {
				p.api, _, _ = strings.Cut(rest, "?")
			}
			return strings.Contains(line, "Ctrl-C")
		}, "-nodes", "0,0,0", "-api", "127.0.0.1:0")
		for key, want := range scores {
			if got, err := getString(client, p.api, key); got != want || err != nil {
				t.Errorf("%s: got %q, error %v: want %s", key, got, err, want)
			}
		}
		for i := range 50 { // of so many, some belong to each process
			key := fmt.Sprint("nobody", i)
			if _, err := getString(client, p.api, key); err == nil || !strings.Contains(err.Error(), "404") {
				t.Errorf("%s: error %v: want status 404", key, err)
			}
		}
		return p
	}
	t.Run("SIGINT", func(t *testing.T) {
		p := run(t)
		p.stop(t, os.Interrupt)
		if log := p.stderr.String(); !strings.Contains(log, "msg=load") || !strings.Contains(log, "asked peer") || strings.Count(log, "msg=stopping") != 3 {
			t.Errorf("the log lacks loads, asks of peers, or three ends:\n%s", log)
		}
	})
	t.Run("SIGTERM", func(t *testing.T) { run(t).stop(t, syscall.SIGTERM) })
	t.Run("SIGKILL", func(t *testing.T) {
		p := run(t)
		p.cmd.Process.Kill()
		p.waitGone(t) // the three end by themselves
	})
}

// One node by itself, and one that follows lists of peers, stop when they should.
func TestOneProcess(t *testing.T) {
	client := newClient(t, 1)
	alone := start(t, nodeReady, "-port", "0", "-api", "127.0.0.1:0")
	if got, err := getString(client, alone.api, "Tom"); got != "630" || err != nil {
		t.Errorf("got %q, error %v: want 630", got, err)
	}
	alone.stop(t, syscall.SIGTERM)

	follower := start(t, nodeReady, "-port", "0", "-api", "127.0.0.1:0", "-peers", "-")
	follower.stop(t, os.Interrupt) // also before it has peers

	follower = startNodes(t, 1)[0]
	if got, err := getString(client, follower.api, "Tom"); got != "630" || err != nil {
		t.Errorf("got %q, error %v: want 630", got, err)
	}
	follower.stdin.Close()
	follower.checkEnd(t)
}

// A port that is taken is an error that says so, in both modes.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, args := range [][]string{
		{"-port", port},
		{"-port", "0", "-api", l.Addr().String()},
		{"-nodes", "0," + port, "-api", "127.0.0.1:0"},
		{"-nodes", "0,0", "-api", l.Addr().String()},
	} {
		p, err := tryStart(t, func(_ *process, line string) bool { return strings.Contains(line, "Ctrl-C") }, args...)
		if p != nil || !strings.Contains(err.Error(), port+": bind: address already in use") || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%q: %v: want status 1 and why", args, err)
		}
	}
}

// The nodes as people start them by hand: each is told its port and all peers.
func TestPeersByFlag(t *testing.T) {
	nodes, err := startByFlag(t, freePorts(t, 3))
	for attempt := 1; err != nil; attempt++ {
		if attempt == 5 || !strings.Contains(err.Error(), "already in use") {
			t.Fatal(err)
		}
		nodes, err = startByFlag(t, freePorts(t, 3))
	}
	client := newClient(t, 1)
	// They were started together, and who was not there yet is tried again only a moment
	// later. They all reach each other when many keys have been asked for without an error.
	unreached := func(round int) int64 {
		before := stats(t, client, nodes).PeerErrors
		for _, node := range nodes {
			for k := range 10 { // so that each asks each of the others
				getString(client, node.api, fmt.Sprintf("nobody %d %d", round, k))
			}
		}
		return stats(t, client, nodes).PeerErrors - before
	}
	for round := 0; unreached(round) > 0; round++ {
		if round == 1000 {
			t.Fatal("they do not reach each other")
		}
	}
	before := stats(t, client, nodes)
	for key, want := range scores {
		for _, node := range nodes {
			if got, err := getString(client, node.api, key); got != want || err != nil {
				t.Errorf("%s at %s: got %q, error %v: want %s", key, node.peer, got, err, want)
			}
		}
	}
	if s := stats(t, client, nodes); s.Loads-before.Loads != int64(len(scores)) || s.PeerErrors != before.PeerErrors {
		t.Errorf("%d loads, %d peers not reached: want %d and none", s.Loads-before.Loads, s.PeerErrors-before.PeerErrors, len(scores))
	}
	for _, node := range nodes {
		node.stop(t, os.Interrupt)
	}
}

// startByFlag starts a node on each port.
func startByFlag(t *testing.T, ports []string) ([]*process, error) {
	t.Helper()
	var peers []string
	for _, port := range ports {
		peers = append(peers, "http://127.0.0.1:"+port)
	}
	var nodes []*process
	for _, port := range ports {
		node, err := tryStart(t, nodeReady, "-port", port, "-peers", strings.Join(peers, ","), "-api", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// freePorts returns ports that are free at this moment.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // not before the others are found, so that they differ
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}
