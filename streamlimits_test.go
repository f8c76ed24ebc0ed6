package peercache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// handshake sends a request to a node as it is written, and returns the response, and the
// connection, which ends with the test.
func handshake(t *testing.T, n *node, request string) (*http.Response, net.Conn) {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	io.WriteString(nc, strings.ReplaceAll(request, "\n", "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, nc
}

// A stream begins with an upgrade as HTTP has it, or not at all.
func TestP10UpgradesAreChecked(t *testing.T) {
	nodes := newCluster(t, 1, config{getter: oneOrigin(new(origin))})
	const get, up = "GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\n", "Upgrade: peercache\nConnection: Upgrade\n"
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"as a peer does it", get + up + "Peercache-Peer: http://a:1\n\n", 101},
		{"in another case, in lists", get + "UPGRADE: websocket, PeerCache\nConnection: keep-alive\nConnection: foo,  upGRADE\n\n", 101},
		{"a body of nothing", get + up + "Content-Length: 0\n\n", 101},
		{"no Connection", get + "Upgrade: peercache\n\n", 400},
		{"another Connection", get + "Upgrade: peercache\nConnection: keep-alive, upgraded\n\n", 400},
		{"HTTP/1.0", strings.Replace(get, "1.1", "1.0", 1) + up + "\n", 400},
		{"a body", get + up + "Content-Length: 5\n\nhello", 400},
		{"a body in chunks", get + up + "Transfer-Encoding: chunked\n\n5\nhello\n0\n\n", 400},
		{"a name of 513 bytes", get + up + "Peercache-Peer: " + strings.Repeat("x", 513) + "\n\n", 400},
		{"another protocol", get + "Upgrade: peercache2\nConnection: Upgrade\n\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if resp, _ := handshake(t, nodes[0], tt.request); resp.StatusCode != tt.status {
				t.Errorf("status %s, want %d", resp.Status, tt.status)
			}
		})
	}
}

// Streams are bounded, all together, for each name, and for names that are no peers. Who
// has gone makes room.
func TestP10StreamsAreBounded(t *testing.T) {
	limits := peercache.StreamLimits{Streams: 8, StreamsPerPeer: 3}
	nodes := newCluster(t, 1, config{
		getter: oneOrigin(new(origin)),
		pool:   []peercache.PoolOption{peercache.WithStreamLimits(limits)},
	})
	peers := []string{nodes[0].url, "http://127.0.0.1:1", "http://127.0.0.1:2"}
	if err := nodes[0].pool.Set(peers...); err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	ask := func(from string, status int) {
		t.Helper()
		resp, nc := handshake(t, nodes[0], "GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nUpgrade: peercache\nConnection: Upgrade\nPeercache-Peer: "+from+"\n\n")
		if resp.StatusCode != status {
			t.Errorf("a stream of %q: status %s, want %d", from, resp.Status, status)
		}
		if status == http.StatusServiceUnavailable {
			if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), "streams are open") {
				t.Errorf("the text is %q", text)
			}
			nc.Close()
			return
		}
		open = append(open, nc)
	}
	for range 3 {
		ask("", 101)
	}
	ask("", 503)
	ask("stranger", 101)
	ask("another", 503) // half of all are those of strangers
	for range 3 {
		ask(peers[1], 101)
	}
	ask(peers[1], 503)
	ask(peers[2], 101)
	ask(peers[2], 503) // these are all
	for _, nc := range open {
		nc.Close()
	}
	for end := time.Now().Add(10 * time.Second); ; {
		resp, nc := handshake(t, nodes[0], "GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nUpgrade: peercache\nConnection: Upgrade\n\n")
		nc.Close()
		if resp.StatusCode == 101 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody is there any more, and the status is %s", resp.Status)
		}
	}
}

func TestStreamLimitsThatCannotBeRight(t *testing.T) {
	for _, l := range []peercache.StreamLimits{
		{Streams: -1}, {StreamsPerPeer: 5000}, {Streams: 10, StreamsPerPeer: 11}, {Loads: -1}, {Loads: 5, LoadsPerStream: 6},
		{Changes: 5, ChangesPerStream: 6}, {ChangesPerStream: -1}, {RequestBytes: 4 << 20}, {AnswerBytes: -1},
		{HelloTimeout: -1}, {HelloTimeout: time.Microsecond}, {FrameTimeout: 1<<63 - 1}, {Streams: 1 << 30},
	} {
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithStreamLimits(l)); err == nil || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%+v: error %v", l, err)
		}
	}
	for _, l := range []peercache.StreamLimits{{}, {Streams: 1}, {Loads: 1}, {Changes: 1}} {
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithStreamLimits(l)); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// Getters that ask for other keys, across processes and several deep, get them where each
// process has as many loads in progress as it may, and all of them wait for each other.
func TestLoadsAcrossProcessesDoNotWaitForEachOther(t *testing.T) {
	for _, depth := range []int{2, 3, 4, 8, 13} { // from 9 on some are refused, and loaded elsewhere
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var nodes []*node
				var keys [2][]string // by owner
				getter := peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
					var level, chain int
					if n, _ := fmt.Sscanf(key, "level%d-%d", &level, &chain); n != 2 {
						return []byte(key), nil
					}
					if level == depth {
						return []byte("end"), nil
					}
					// The next key belongs to the other node, which asks back. Whoever runs
					// this getter, the node that is asked is the one that does not own it.
					next := keys[(level+1)%2]
					view, err := nodes[level%2].group.Get(ctx, next[(level+1)*100+chain])
					return []byte(view.String()), err
				})
				nodes = newSimCluster(t, net, 2, simConfig{
					getter: getter,
					group:  []peercache.GroupOption{peercache.WithLoadTimeout(20 * time.Second)},
					pool: func(int) []peercache.PoolOption {
						return []peercache.PoolOption{peercache.WithStreamLimits(peercache.StreamLimits{Loads: 3, LoadsPerStream: 2})}
					},
				})
				const chains = 10
				for owner := range keys {
					keys[owner] = make([]string, (depth+1)*100+chains)
				}
				for level := range depth + 1 {
					owner, found := level%2, 0
					for n := 0; found < chains; n++ {
						key := fmt.Sprintf("level%d-%d", level, found) + strings.Repeat("x", n%50)
						at := nodes[0].pool.Pick(key, 0)
						if (at == nil) == (owner == 0) {
							keys[owner][level*100+found] = key
							found++
						}
					}
				}
				start := time.Now()
				var callers sync.WaitGroup
				for chain := range chains {
					callers.Go(func() {
						// Level 1 is asked of its owner, node 1, by node 0.
						view, err := nodes[0].group.Get(t.Context(), keys[1][100+chain])
						if err != nil || view.String() != "end" {
							t.Errorf("chain %d: %q, %v", chain, view, err)
						}
					})
				}
				callers.Wait()
				if took := time.Since(start); took > time.Second {
					t.Errorf("it took %v: somebody waited for who waited for him", took)
				}
			})
		})
	}
}

// A stream that pings does not hold up a Shutdown: see the package stream. Nor does one
// whose peer has said nothing yet.
func TestShutdownDespiteAStreamThatIsIdle(t *testing.T) {
	nodes := newCluster(t, 1, config{getter: oneOrigin(new(origin)), pool: []peercache.PoolOption{peercache.WithDetectionTime(50 * time.Millisecond)}})
	_, nc := handshake(t, nodes[0], "GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nUpgrade: peercache\nConnection: Upgrade\n\n")
	io.WriteString(nc, "\x02\x62\x00")                                                // a Hello
	ping := func() error { _, err := io.WriteString(nc, "\x02\x4a\x00"); return err } // a Ping
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ping() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := nodes[0].pool.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-ended
}

// A peer that has too many streams is one that is busy, not one that is set up wrongly: the log
// does not say so, and a stream begins when there is room for it.
func TestTooManyStreamsAreNoConfigurationProblem(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var log poolLog
		nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}, pool: func(i int) []peercache.PoolOption {
			return append(log.options(i), peercache.WithStreamLimits(peercache.StreamLimits{Streams: 1}))
		}})
		for range 10 {
			for owner := range nodes {
				for _, asker := range nodes { // whoever has no stream asks another peer
					if _, err := asker.group.Get(t.Context(), keyOwnedBy(t, nodes, 0, owner)); err != nil {
						t.Error(err)
					}
				}
			}
			time.Sleep(5 * time.Second)
		}
		for i, n := range nodes {
			if err := n.pool.Ready(t.Context()); errors.As(err, new(*peercache.ConfigError)) {
				t.Errorf("node %d is not ready: %v", i, err)
			}
		}
		text := log.String()
		if strings.Contains(text, "many times slower than a stream") || strings.Contains(text, "no peer") || !strings.Contains(text, "503") {
			t.Errorf("the log: %s", text)
		}
		nodes[2].stop(t)
		time.Sleep(30 * time.Second)
		for i := range 2 {
			if s := nodes[i].pool.Stats(); len(s) != 1 || s[0].Breaker != peercache.BreakerClosed || s[0].Transport != "stream" {
				t.Errorf("node %d has room for its peer again: %+v", i, s)
			}
		}
	})
}
