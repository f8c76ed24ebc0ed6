package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// plainly makes nodes speak by the plain way alone.
func plainly(opts ...peercache.PoolOption) func(int) []peercache.PoolOption {
	return func(int) []peercache.PoolOption { return append(opts, peercache.WithoutStream()) }
}

// Whatever a change holds, a request with it takes a small multiple of its bytes.
func TestP10RequestTakesASmallMultipleOfItsBytes(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peercache.NewGroup("test", 64<<20, &origin{}, peercache.WithPeers(pool)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"empty keys":         {"\x0a\x04test" + strings.Repeat("\x12\x00", 1<<20), 200},
		"keys":               {"\x0a\x04test" + strings.Repeat("\x12\x03key", 100_000), 200},
		"more keys":          {"\x0a\x04test" + strings.Repeat("\x12\x03key", 200_000), 400},
		"more than a change": {"\x0a\x04test" + strings.Repeat("\x12\x00", 4<<20), 413},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest("POST", "http://10.0.0.1:8001"+pool.BasePath()+"change", strings.NewReader(c.body))
			req.Header.Set("Content-Type", "application/x-protobuf")
			w := httptest.NewRecorder()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			pool.ServeHTTP(w, req)
			runtime.ReadMemStats(&after)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 8*uint64(len(c.body)) {
				t.Errorf("%d bytes take %d, %.1f times as much: want at most 8 times", len(c.body), n, float64(n)/float64(len(c.body)))
			}
		})
	}
}

// A request may be as large as a value if it sets one, also one whose length is not known
// beforehand, and only then.
func TestLargeRequestSetsOneValue(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		defer time.Sleep(time.Second) // the server waits so long when it has refused a body
		net.SetWindow(1 << 20)
		nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, pool: plainly()})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		value := bytes.Repeat([]byte("v"), 6<<20)
		if err := nodes[0].group.Set(t.Context(), key, peercache.Item{Value: value}); err != nil {
			t.Fatal(err)
		}
		nodes[0].brings(t, key, string(value))

		item := &pb.Item{Value: bytes.Repeat([]byte("w"), 5<<20)}
		for name, c := range map[string]struct {
			req    *pb.ChangeRequest
			status int
		}{
			"two keys":          {&pb.ChangeRequest{Group: "test", Keys: [][]byte{[]byte(key), []byte("k")}, Item: item}, 413},
			"one key":           {&pb.ChangeRequest{Group: "test", Keys: [][]byte{[]byte(key)}, Item: item}, 200},
			"a value and offer": {&pb.ChangeRequest{Group: "test", Keys: [][]byte{[]byte(key)}, Item: item, Offered: [][]byte{make([]byte, 1<<20)}}, 413},
		} {
			for _, chunked := range []bool{false, true} {
				body := io.Reader(bytes.NewReader(mustMarshal(t, c.req)))
				if chunked {
					body = io.MultiReader(body)
				}
				if got := postBody(t, net.Host("10.0.0.99"), nodes[1], body); got.StatusCode != c.status {
					t.Errorf("%s, chunked %v: status %d, want %d", name, chunked, got.StatusCode, c.status)
				}
			}
		}
		nodes[1].brings(t, key, string(item.Value))
	})
}

// postBody sends a change.
func postBody(t *testing.T, from *simnet.Host, n *node, body io.Reader) *http.Response {
	t.Helper()
	transport := from.Transport()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodPost, n.url+n.pool.BasePath()+"change", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

// raw opens a connection to a node and writes to it.
func raw(t *testing.T, from *simnet.Host, n *node, text string) net.Conn {
	t.Helper()
	c, err := from.DialContext(t.Context(), "tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// Bodies that come slowly have a bound together, and a time. Peers that meet the bound try
// again, and take nobody for dead.
func TestP10SlowBodiesAreBounded(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		defer time.Sleep(time.Second) // the server waits so long when it has refused a body
		const patience = time.Second
		nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, pool: plainly(
			peercache.WithRequestMemory(4<<20), peercache.WithRequestTimeout(patience),
		)})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		attacker := net.Host("10.0.0.99")
		var conns []io.Reader
		for range 256 { // of 16 KiB each
			conns = append(conns, raw(t, attacker, nodes[1], "POST "+nodes[1].pool.BasePath()+"change HTTP/1.1\r\nHost: 10.0.0.2:8001\r\n"+
				"Content-Type: application/x-protobuf\r\nContent-Length: 4000000\r\n\r\nslow"))
		}
		time.Sleep(patience / 10) // to connect has taken half of it
		resp := postBody(t, attacker, nodes[1], strings.NewReader(""))
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Peercache-Peer") != nodes[1].url {
			t.Errorf("one more request: status %d, %v: want 429, Retry-After and the name of the peer", resp.StatusCode, resp.Header)
		}
		if err := nodes[0].group.Remove(t.Context(), key); err != nil {
			t.Errorf("a Remove of a peer, for which there is no room at first: %v", err)
		}
		for i, c := range conns {
			status := make([]byte, len("HTTP/1.1 400"))
			if _, err := io.ReadFull(c, status); err != nil || string(status) != "HTTP/1.1 400" {
				t.Fatalf("slow body %d: %q, error %v: want status 400 after the time for it", i, status, err)
			}
		}
		if s := nodes[0].statsOf(t, nodes[1]); s.BreakerOpened != 0 {
			t.Errorf("the breaker has opened %d times for a peer that is busy", s.BreakerOpened)
		}
	})
}

// A peer that stays busy is no dead peer: its keys go to the next one, its breaker stays
// closed.
func TestBusyPeerIsNotDead(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var busy atomic.Bool
		nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, pool: plainly(), wrap: func(i int, pool *peercache.HTTPPool) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if i == 1 && busy.Load() && r.Method == http.MethodPost {
					w.Header().Set("Peercache-Peer", "http://10.0.0.2:8001")
					http.Error(w, "busy", http.StatusTooManyRequests)
					return
				}
				pool.ServeHTTP(w, r)
			})
		}})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		busy.Store(true)
		nodes[0].brings(t, key, "value of "+key)
		busy.Store(false)
		if s := nodes[0].statsOf(t, nodes[1]); s.Breaker != peercache.BreakerClosed || s.BreakerOpened != 0 {
			t.Errorf("the breaker of a busy peer is %v, and has opened %d times", s.Breaker, s.BreakerOpened)
		}
		if s := nodes[0].group.Stats(); s.PeerErrors != 1 || s.Loads != 1 {
			t.Errorf("%d peers not reached, %d loads: want 1 and 1", s.PeerErrors, s.Loads)
		}
	})
}

// Answers that nobody reads have a bound together, and whoever does not read is dropped.
func TestP10UnreadAnswersAreBounded(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		defer time.Sleep(time.Second) // the server waits so long when it has refused a body
		const patience = time.Second
		large := &origin{load: func(context.Context, string) ([]byte, error) { return make([]byte, 1<<20), nil }}
		nodes := newSimCluster(t, net, 1, simConfig{getter: large, pool: plainly(
			peercache.WithAnswerMemory(4<<20), peercache.WithRequestTimeout(patience),
		)})
		net.SetWindow(64 << 10)
		attacker := net.Host("10.0.0.99")
		var conns []io.Reader
		for i := range 10 {
			conns = append(conns, raw(t, attacker, nodes[0],
				fmt.Sprintf("GET %stest/key%d HTTP/1.1\r\nHost: 10.0.0.1:8001\r\nConnection: close\r\n\r\n", nodes[0].pool.BasePath(), i)))
		}
		time.Sleep(patience / 2)
		answered, refused := 0, 0
		for _, c := range conns {
			status := make([]byte, len("HTTP/1.1 200"))
			if _, err := io.ReadFull(c, status); err != nil {
				t.Fatal(err)
			}
			switch string(status) {
			case "HTTP/1.1 200":
				answered++
			case "HTTP/1.1 429":
				refused++
			}
		}
		if answered != 4 || refused != 6 {
			t.Errorf("%d answers of 1 MiB begun and %d refused: want 4 and 6", answered, refused)
		}
		time.Sleep(patience)
		for _, c := range conns {
			if n, err := io.Copy(io.Discard, c); n > 256<<10 {
				t.Errorf("%d bytes of an answer that was not read, error %v: want the connection dropped", n, err)
			}
		}
		again := raw(t, attacker, nodes[0], "GET "+nodes[0].pool.BasePath()+"test/key0 HTTP/1.1\r\nHost: 10.0.0.1:8001\r\nConnection: close\r\n\r\n")
		if n, err := io.Copy(io.Discard, again); err != nil || n < 1<<20 {
			t.Errorf("when the others are dropped: %d bytes of an answer, error %v: want all of it", n, err)
		}
	})
}

// Many slow bodies on one connection of HTTP/2 have their time, and then an answer each.
func TestP10SlowBodiesOfHTTP2HaveATime(t *testing.T) {
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	pool, err := peercache.NewHTTPPool(server.URL, peercache.WithRequestTimeout(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	handler = pool
	var all errgroup.Group
	for range 100 {
		all.Go(func() error {
			body, slow := io.Pipe()
			defer slow.Close()
			go slow.Write([]byte("slow"))
			req, err := http.NewRequestWithContext(inside(t), "POST", server.URL+pool.BasePath()+"change", body)
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/x-protobuf")
			resp, err := server.Client().Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusBadRequest {
				return fmt.Errorf("%s, status %s: want HTTP/2 and 400", resp.Proto, resp.Status)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}

// The body of a GET is not read.
func TestP10GetHasNoBody(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest("GET", "http://10.0.0.1:8001"+pool.BasePath()+"test/key", unreadable{t})
	w := httptest.NewRecorder()
	pool.ServeHTTP(w, req)
	if w.Code != http.StatusBadRequest || w.Header().Get("Connection") != "close" {
		t.Errorf("status %d, Connection %q: want 400 and close", w.Code, w.Header().Get("Connection"))
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, errors.New("read")
}

// The bounds are refused where they cannot be right.
func TestRequestOptionsAreChecked(t *testing.T) {
	for want, opt := range map[string]peercache.PoolOption{
		"WithRequestMemory(4194303)": peercache.WithRequestMemory(4<<20 - 1),
		"WithAnswerMemory(1048575)":  peercache.WithAnswerMemory(1<<20 - 1),
		"WithRequestTimeout(0s)":     peercache.WithRequestTimeout(0),
		"WithRequestTimeout(1h0m1s)": peercache.WithRequestTimeout(time.Hour + time.Second),
	} {
		if _, err := peercache.NewHTTPPool("http://10.0.0.1:8001", opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}
