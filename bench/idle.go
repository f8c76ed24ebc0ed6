package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/peer"
)

var idleCosts = command{
	name:  "idle",
	about: "what a process with 3, 100 and 1,000 peers costs that has nothing to do",
	alone: true,
	run:   runIdle,
}

// idleReport is what a process says of itself that has nothing to do.
type idleReport struct {
	URL        string
	CPU        time.Duration // used up to the report
	Reported   time.Duration // CPU, and what the report took
	Goroutines int
	Bytes      int64 // of memory that the runtime has in use, heap and stacks, but for cached values
	Peers      int   // in its view
}

// idleProcess is one process with so many peers, which has a stream to each of them, and each of
// them one to it. All is by default. For each line that it is sent it reports; the first one is
// the list of its peers.
func idleProcess() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + l.Addr().String()
	pool, err := peercache.NewHTTPPool(url)
	if err != nil {
		return err
	}
	group, err := peercache.NewGroup(clusterGroup, memberBytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		return make([]byte, idleValue), nil
	}), peercache.WithPeers(pool))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: pool, ReadHeaderTimeout: time.Second}
	go server.Serve(l)
	orders := bufio.NewReader(os.Stdin)
	for first := true; ; first = false {
		cpu := cpuTime()
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		r := idleReport{URL: url, CPU: cpu, Goroutines: runtime.NumGoroutine(), Peers: len(pool.Peers())}
		stats := group.Stats()
		r.Bytes = int64(m.HeapAlloc+m.StackInuse) - stats.Main.Bytes - stats.Hot.Bytes
		r.Reported = cpuTime()
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
		line, err := orders.ReadBytes('\n')
		if err != nil {
			return nil
		}
		if !first {
			continue
		}
		var peers []string
		if err := json.Unmarshal(line, &peers); err != nil {
			return err
		}
		if err := pool.Set(append(peers, url)...); err != nil {
			return err
		}
		if err := useAll(pool, group); err != nil {
			return err
		}
	}
}

// idleValue is the size of the values that were fetched before a process has nothing to do, and
// idleGets how many of them from each peer: the memory of a stream is that of one that was in use.
const idleValue, idleGets = 8 << 10, 64

// useAll fetches some values from each peer, several at the same time.
func useAll(pool *peercache.HTTPPool, group *peercache.Group) error {
	var all errgroup.Group
	all.SetLimit(32)
	left := make(map[string]int)
	peers := len(pool.Peers())
	for i := 0; peers > 0 && i < 4*idleGets*(peers+1); i++ {
		key := fmt.Sprint("key-", i)
		owner := pool.Pick(key, 0)
		if owner == nil || left[owner.Name()] == idleGets {
			continue
		}
		left[owner.Name()]++
		all.Go(func() error {
			_, err := group.Get(context.Background(), key)
			return err
		})
	}
	return all.Wait()
}

// idlePeers are so many peers of a process, in one process of their own, which it cannot tell
// from others as long as it has nothing to do: each has an address, answers it as a peer that has
// its view, and has a stream to it. It reports the list of them, and is then sent the URL of the
// process.
func idlePeers(n int) error {
	stubs := make([]*stubPeer, n)
	names := make([]string, n)
	for i := range stubs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		stubs[i] = &stubPeer{name: "http://" + l.Addr().String(), process: max(1, rand.Uint32())}
		names[i] = stubs[i].name
		cfg := stubConfig()
		go http.Serve(l, httppeer.NewServer(cfg, stubs[i], stubs[i].name))
	}
	if err := json.NewEncoder(os.Stdout).Encode(names); err != nil {
		return err
	}
	orders := bufio.NewReader(os.Stdin)
	url, err := orders.ReadString('\n')
	if err != nil {
		return nil
	}
	url = url[:len(url)-1]
	var all errgroup.Group
	all.SetLimit(32)
	for _, s := range stubs {
		all.Go(func() error {
			conn := httppeer.NewTransport(stubConfig(), s.name).Dial(s, url)
			conn.(peer.Starter).Connect(context.Background())
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode("connected"); err != nil {
		return err
	}
	io.Copy(io.Discard, orders)
	return nil
}

// stubTransport is shared by all peers of one process.
var stubTransport = sync.OnceValue(func() http.RoundTripper { return peercache.DefaultTransport() })

func stubConfig() httppeer.Config {
	cfg := httppeer.Config{
		BasePath: peercache.DefaultBasePath, Log: slog.New(slog.DiscardHandler), Detection: 10 * time.Second, Streams: true,
		RoundTripper: stubTransport(), LargeRequests: 1, Pace: &breaker.Pace{Rate: 64},
		RequestBytes: 1 << 20, AnswerBytes: 1 << 20, RequestTimeout: 10 * time.Second,
		Knows: func(string) bool { return true }, LargestValue: func() int64 { return 1 << 20 },
		Limits: httppeer.Limits{}.WithDefaults(),
	}
	cfg.Stream.Detect = cfg.Detection
	cfg.Limits.Apply(&cfg.Stream)
	return cfg
}

// stubPeer is a peer that has the view of whoever asks it, and a value for each key.
type stubPeer struct {
	name    string
	process uint32
	number  atomic.Uint64
}

// Identity implements peer.Process and peer.Local.
func (s *stubPeer) Identity() peer.Identity { return peer.Identity{Name: s.name, Process: s.process} }

// Accept implements peer.Process.
func (s *stubPeer) Accept(peer.Identity, string) (peer.Handler, error) { return s, nil }

// Hit implements peer.Handler.
func (s *stubPeer) Hit(*peer.Query) (peer.Answer, error) {
	return peer.Answer{Item: peer.Item{Value: make([]byte, idleValue)}, Noted: true}, nil
}

// Load implements peer.Handler.
func (s *stubPeer) Load(_ context.Context, q *peer.Query) (peer.Answer, error) { return s.Hit(q) }

// LoadBatch implements peer.Handler.
func (s *stubPeer) LoadBatch(_ context.Context, q *peer.Query, keys []string, answer func(int, peer.Answer, error)) {
	for i := range keys {
		a, err := s.Hit(q)
		answer(i, a, err)
	}
}

// Change implements peer.Handler.
func (s *stubPeer) Change(_ context.Context, c *peer.Change) (peer.Changed, error) {
	return peer.Changed{State: peer.State{Process: s.process, Number: s.number.Add(1), View: c.State.View}}, nil
}

// Answered implements peer.Local.
func (s *stubPeer) Answered(peer.Identity, peer.Instant) error { return nil }

// Misconfigured implements peer.Local.
func (s *stubPeer) Misconfigured(peer.ConfigProblem, error) {}

// Degraded implements peer.Local.
func (s *stubPeer) Degraded(string, error) {}

// Counts implements peer.Local.
func (s *stubPeer) Counts() bool { return true }

// idle are the costs of a process that has nothing to do.
type idle struct {
	peers      int
	core       float64 // part of one
	goroutines float64 // a peer
	bytes      float64 // a peer
	all        float64 // bytes of the process
}

// The targets of a process that has nothing to do.
const (
	mostIdleCore  = 0.001
	mostIdleBytes = 64 << 10 // a peer
	// fewIdlePeers is from how many on the memory of a process is that of its peers. With fewer,
	// most is what a program has once: tables of its packages, and of its cache.
	fewIdlePeers = 100
)

// measureIdle has a process with so many peers, and looks at it for that long.
func measureIdle(peers int, rest, look time.Duration) (i idle, err error) {
	i.peers = peers
	p, err := startNode("idle")
	if err != nil {
		return i, err
	}
	defer p.stop()
	others, err := startNode(fmt.Sprint("idle peers ", peers-1))
	if err != nil {
		return i, err
	}
	defer others.stop()
	others.stdout.Buffer(nil, 1<<20)
	var names []string
	if err := others.readInto(&names); err != nil {
		return i, err
	}
	var alone, before, after idleReport
	if err := p.readInto(&alone); err != nil {
		return i, err
	}
	list, err := json.Marshal(names)
	if err != nil {
		return i, err
	}
	if err := p.tellInto(string(list), &before); err != nil {
		return i, err
	}
	var connected string
	if err := others.tellInto(alone.URL, &connected); err != nil {
		return i, err
	}
	time.Sleep(rest)
	if err := p.tellInto("", &before); err != nil {
		return i, err
	}
	time.Sleep(look)
	if err := p.tellInto("", &after); err != nil {
		return i, err
	}
	n := float64(peers - 1)
	i.core = (after.CPU - before.Reported).Seconds() / max(look, time.Millisecond).Seconds()
	i.goroutines = float64(after.Goroutines-alone.Goroutines) / n
	i.all = float64(after.Bytes)
	i.bytes = max(0, float64(after.Bytes)-float64(alone.Bytes)) / n
	return i, nil
}

func (n *node) readInto(v any) error {
	if !n.stdout.Scan() {
		return fmt.Errorf("a process that bench started has ended: %v", n.stdout.Err())
	}
	return json.Unmarshal(n.stdout.Bytes(), v)
}

func (n *node) tellInto(line string, v any) error {
	if _, err := io.WriteString(n.stdin, line+"\n"); err != nil {
		return err
	}
	return n.readInto(v)
}

// runIdle measures processes that have nothing to do.
func runIdle(w io.Writer, m measuring) error {
	sizes, rest, look := []int{3, 100, 1000}, 20*time.Second, 110*time.Second
	if m.quick {
		sizes, rest, look = []int{3, 10}, time.Second, time.Second
	}
	if m.peers > 0 {
		sizes = []int{m.peers}
	}
	fmt.Fprintf(w, `
A process that has nothing to do, as it is by default: it has a TCP connection with a stream to each peer, over which it
has fetched %d values of %d KiB before, and each peer has one to it. The peers are in another process. Its processor time
in %v, from %v after that; memory is the heap and the stacks after a garbage collection, without cached
values, less those of the process before it had peers.
`, idleGets, idleValue>>10, look, rest)
	t := newTable("", "% of a core", "goroutines a peer", "KiB a peer", "MiB in all")
	var goals targets
	for _, n := range sizes {
		i, err := measureIdle(n, rest, look)
		if err != nil {
			return fmt.Errorf("idle, %d peers: %w", n, err)
		}
		what := fmt.Sprintf("%d peers", n)
		t.add(what, fmt.Sprintf("%.3f", 100*i.core), i.goroutines, i.bytes/1024, i.all/(1<<20))
		goals.add(what+": % of a core", 100*i.core, true, 100*mostIdleCore)
		if n >= fewIdlePeers {
			goals.add(what+": KiB a peer", i.bytes/1024, true, mostIdleBytes>>10)
		}
	}
	if err := t.print(w); err != nil {
		return err
	}
	goals.print(w, "Targets")
	return nil
}
