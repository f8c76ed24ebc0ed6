package peercache_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertest"
)

// TestTransports runs the contract of a transport for all that there are.
func TestTransports(t *testing.T) {
	// The machine may be busy: half a second without a sign of life is no silence there.
	const detection = time.Second
	memory := func(opts ...peertest.TransportOption) func(t *testing.T) peertest.Harness {
		return func(t *testing.T) peertest.Harness {
			net := peertest.New(1, peertest.WithDetection(detection))
			t.Cleanup(net.Close)
			var names atomic.Int64
			return peertest.Harness{
				Address:   func(testing.TB) string { return fmt.Sprintf("http://process-%d", names.Add(1)) },
				Transport: func(testing.TB, string) peer.Transport { return net.Transport(opts...) },
				Serve: func(_ testing.TB, address string, p peer.Process) func() {
					net.Serve(address, p)
					return func() { net.Stop(address) }
				},
			}
		}
	}
	overHTTP := func(change func(*httppeer.Config)) func(t *testing.T) peertest.Harness {
		return func(t *testing.T) peertest.Harness { return httpHarness(detection, change) }
	}
	for _, c := range []struct {
		name    string
		harness func(t *testing.T) peertest.Harness
		pool    []peercache.PoolOption
		lacks   peertest.Feature
	}{
		{"HTTPStreams", overHTTP(func(*httppeer.Config) {}), nil, 0},
		{"HTTPPlain", overHTTP(func(c *httppeer.Config) { c.Streams = false }), nil, 0},
		{"Groupcache", overHTTP(func(c *httppeer.Config) { c.Groupcache, c.BasePath, c.Streams = true, "/_groupcache/", false }),
			[]peercache.PoolOption{peercache.WithGroupcacheCompat()}, peertest.QueryFields},
		{"Memory", memory(), nil, 0},
		{"MemoryWithoutStarter", memory(peertest.WithoutStarter()), nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := c.harness(t)
			h.Pool, h.Lacks, h.Detection = c.pool, c.lacks, detection
			peertest.TestTransport(t, h)
		})
	}
}

// httpHarness makes processes over HTTP, as NewHTTPPool does, on ports of this machine.
func httpHarness(detection time.Duration, change func(*httppeer.Config)) peertest.Harness {
	config := func() httppeer.Config {
		c := httppeer.Config{
			BasePath: peercache.DefaultBasePath, Log: slog.New(slog.DiscardHandler), Detection: detection,
			RoundTripper: peercache.DefaultTransport(), LargeRequests: peercache.DefaultMaxLargeRequests, Pace: &breaker.Pace{Rate: peercache.DefaultReconnectRate},
			Streams: true, Stream: stream.Config{Detect: detection},
			Limits:       httppeer.Limits{}.WithDefaults(),
			RequestBytes: peercache.DefaultRequestMemory, AnswerBytes: peercache.DefaultAnswerMemory, RequestTimeout: peercache.DefaultRequestTimeout,
			Knows:        func(string) bool { return true },
			LargestValue: func() int64 { return 4 << 20 },
		}
		c.Limits.Apply(&c.Stream)
		change(&c)
		return c
	}
	return peertest.Harness{
		Address: func(t testing.TB) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return "http://" + l.Addr().String()
		},
		Transport: func(t testing.TB, self string) peer.Transport {
			transport := httppeer.NewTransport(config(), self)
			t.Cleanup(transport.CloseIdle)
			return transport
		},
		Serve: func(t testing.TB, address string, p peer.Process) func() {
			l, err := net.Listen("tcp", address[len("http://"):])
			if err != nil {
				t.Fatal(err)
			}
			s := &killable{conns: make(map[net.Conn]bool)}
			s.server = &http.Server{Handler: httppeer.NewServer(config(), p, address), ConnState: s.track, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.server.Serve(l)
			}()
			kill := sync.OnceFunc(func() {
				s.kill()
				<-done
			})
			t.Cleanup(kill)
			return kill
		},
	}
}

// killable is a server of which all connections can be ended, also those that became streams.
type killable struct {
	server *http.Server

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu
}

func (k *killable) track(c net.Conn, s http.ConnState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s == http.StateClosed {
		delete(k.conns, c)
	} else {
		k.conns[c] = true
	}
}

func (k *killable) kill() {
	k.server.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.conns {
		c.Close()
	}
}
