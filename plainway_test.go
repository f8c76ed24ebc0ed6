package peercache_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// hidden is a ResponseWriter that shows nothing but what it has to.
type hidden struct{ http.ResponseWriter }

// wrapped is a RoundTripper of a type that the pool does not know.
type wrapped struct{ http.RoundTripper }

// overHTTP2 makes a transport speak HTTP/2 alone, without TLS.
func overHTTP2(t *http.Transport) *http.Transport {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// Where there is no stream, that is one warning, which says why, and PeerStats says it too.
func TestP11StreamIsLostLoudly(t *testing.T) {
	for name, c := range map[string]struct {
		wrap      func(http.Handler) http.Handler
		server    func(*http.Server)
		transport func(*http.Transport) http.RoundTripper
		want      string
	}{
		"a writer without Hijack": {
			wrap: func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(hidden{w}, r) })
			},
			want: "Hijack",
		},
		"http.TimeoutHandler": {
			wrap: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "") },
			want: "http.TimeoutHandler",
		},
		"a proxy that drops the headers of a hop": {
			wrap: func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Del("Upgrade")
					r.Header.Del("Connection")
					h.ServeHTTP(w, r)
				})
			},
			want: "Connection and Upgrade",
		},
		"a RoundTripper that speaks HTTP/2": {
			server: func(s *http.Server) {
				s.Protocols = new(http.Protocols)
				s.Protocols.SetHTTP1(true)
				s.Protocols.SetUnencryptedHTTP2(true)
			},
			transport: func(t *http.Transport) http.RoundTripper { return wrapped{overHTTP2(t)} },
			want:      "WithTransport that speaks HTTP/1.1",
		},
		"a server that speaks HTTP/2 alone": {
			server: func(s *http.Server) {
				s.Protocols = new(http.Protocols)
				s.Protocols.SetUnencryptedHTTP2(true)
			},
			transport: func(t *http.Transport) http.RoundTripper { return overHTTP2(t) },
			want:      "does not speak HTTP/1.1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o origin
				var nodes []*placed
				for i := range 2 {
					transport := http.RoundTripper(net.Host(host(i)).Transport())
					if c.transport != nil {
						transport = c.transport(net.Host(host(i)).Transport())
					}
					nodes = append(nodes, placeOn(t, net, i, at(i), &o, c.server, c.wrap, peercache.WithTransport(transport)))
				}
				setAll(t, nodes...)
				if err := nodes[0].unready(t); err != nil {
					t.Errorf("Ready returns %v: want nil, it is only slower", err)
				}
				for k := range 40 {
					nodes[0].get(t, fmt.Sprint("key", k))
				}
				if n := o.total(); n != 40 {
					t.Errorf("40 keys were loaded %d times", n)
				}
				s := nodes[0].statsOf(t, nodes[1].node)
				if s.Transport != "plain" || s.Plain == 0 || s.Plain != s.Requests || s.Breaker != peercache.BreakerClosed || s.Latency.Quantile(0.5) == 0 || s.BytesIn == 0 {
					t.Errorf("%+v: want the plain way, counted, and a closed breaker", s)
				}
				time.Sleep(5 * time.Minute) // the stream is tried again
				nodes[0].get(t, "another")
				synctest.Wait()
				if lines := nodes[0].log.with(at(1), "one HTTP request a key", c.want); len(lines) != 1 {
					t.Errorf("%q: want one warning with %q: %s", lines, c.want, nodes[0].log.text.String())
				}
			})
		})
	}
}

// Where one process has a WithoutStream and another has not, the warning says so.
func TestStreamsInOneProcessOnly(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o origin
		a, b := place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil, peercache.WithoutStream())
		setAll(t, a, b)
		for k := range 40 {
			a.get(t, fmt.Sprint("key", k))
			b.get(t, fmt.Sprint("key", k))
		}
		synctest.Wait()
		if lines := a.log.with(at(1), "want WithoutStream in all processes, or in none"); len(lines) != 1 || len(a.log.with("level=WARN")) != 1 {
			t.Errorf("%s: want one warning", a.log.text.String())
		}
		if n := o.total(); n != 40 {
			t.Errorf("40 keys were loaded %d times", n)
		}
	})
}

// A server whose timeouts are shorter than a load makes nobody load twice.
func TestServerThatEndsRequestsEarly(t *testing.T) {
	for name, c := range map[string]struct {
		wrap   func(http.Handler) http.Handler
		server func(*http.Server)
		silent bool // net/http repeats the request by itself
		opts   []peercache.PoolOption
	}{
		"http.TimeoutHandler": {wrap: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, 300*time.Millisecond, "") }},
		"no bound on a request": {
			wrap: func(h http.Handler) http.Handler { return http.TimeoutHandler(h, 300*time.Millisecond, "") },
			opts: []peercache.PoolOption{peercache.WithPeerTimeout(math.MaxInt64)},
		},
		"WriteTimeout": {server: func(s *http.Server) { s.WriteTimeout = 300 * time.Millisecond }, silent: true},
		"a gateway's timeout": {wrap: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
				defer cancel()
				over := make(chan struct{})
				recorded := &recorder{header: http.Header{}}
				go func() {
					defer close(over)
					h.ServeHTTP(recorded, r.WithContext(ctx))
				}()
				<-over
				if ctx.Err() != nil {
					http.Error(w, "upstream timed out", http.StatusGatewayTimeout)
					return
				}
				recorded.copyTo(w)
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := origin{load: slowly(3 * time.Second)}
				var nodes []*placed
				for i := range 2 {
					nodes = append(nodes, placeOn(t, net, i, at(i), &o, c.server, c.wrap, append(c.opts, peercache.WithoutStream(), peercache.WithTransport(net.Host(host(i)).Transport()))...))
				}
				setAll(t, nodes...)
				if err := nodes[0].unready(t); err != nil {
					t.Fatal(err)
				}
				key := keysOwnedBy(t, []*node{nodes[0].node, nodes[1].node}, 0, 1, 1)[0]
				nodes[0].get(t, key)
				if n, mine := o.count(key), nodes[0].group.Stats().Loads; n != 1 || mine != 0 {
					t.Errorf("the key was loaded %d times, %d of them by the one who asked: want once, by its owner", n, mine)
				}
				if s := nodes[0].statsOf(t, nodes[1].node); s.BreakerOpened != 0 {
					t.Errorf("the breaker opened %d times: want never", s.BreakerOpened)
				}
				synctest.Wait()
				if lines := nodes[0].log.with(at(1), "ends requests before they are answered"); len(lines) != 1 && !c.silent {
					t.Errorf("%q: want one warning", nodes[0].log.text.String())
				}
			})
		})
	}
}

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recorder) copyTo(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(max(r.status, http.StatusOK))
	fmt.Fprint(w, r.body.String())
}
