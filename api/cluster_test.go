package api_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// clusterOf starts processes whose origin is get. Each has a pool and the handler on one listener.
// hijacked is told of the streams that a process accepts, if it is not nil.
func clusterOf(t *testing.T, n int, hijacked func(int, net.Conn), get peercache.GetterFunc, opts ...api.Option) []*httptest.Server {
	t.Helper()
	servers, pools, urls := make([]*httptest.Server, n), make([]*peercache.HTTPPool, n), make([]string, n)
	for i := range servers {
		mux := http.NewServeMux()
		servers[i] = httptest.NewUnstartedServer(mux)
		if hijacked != nil {
			servers[i].Config.ConnState = func(nc net.Conn, state http.ConnState) {
				if state == http.StateHijacked {
					hijacked(i, nc)
				}
			}
		}
		servers[i].Start()
		urls[i] = servers[i].URL
		pool, err := peercache.NewHTTPPool(urls[i])
		if err != nil {
			t.Fatal(err)
		}
		scores, err := peercache.NewGroup("scores", 1<<20, get, peercache.WithPeers(pool), peercache.WithTTL(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		mux.Handle(pool.BasePath(), pool)
		mux.Handle("/cache/", http.StripPrefix("/cache", handlerOf(t, []door.Cache{scores}, opts...)))
		pools[i] = pool
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for i, pool := range pools {
			pool.Shutdown(ctx)
			servers[i].Close()
		}
	})
	for _, pool := range pools {
		if err := pool.Set(urls...); err != nil {
			t.Fatal(err)
		}
	}
	for _, pool := range pools {
		if err := pool.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return servers
}

// do has a server answer a request.
func do(t *testing.T, server *httptest.Server, method, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+"/cache"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestCluster checks that changes by one process are seen by all (P8), and that the ETag of a value is
// the same everywhere.
func TestCluster(t *testing.T) {
	var version atomic.Int64
	servers := clusterOf(t, 3, nil, func(_ context.Context, key string) ([]byte, error) {
		return fmt.Appendf(nil, "%s %d", key, version.Load()), nil
	})
	for i := range 30 {
		key := fmt.Sprintf("key%%2F%d", i)
		for _, change := range []func(by *httptest.Server) (want string){
			func(by *httptest.Server) string {
				want{204, "", "", nil}.check(t, "PUT", do(t, by, "PUT", "/v1/scores/"+key+"?ttl=10m", "set"))
				return "set"
			},
			func(by *httptest.Server) string {
				version.Add(1)
				want{204, "", "", nil}.check(t, "DELETE", do(t, by, "DELETE", "/v1/scores/"+key, ""))
				return fmt.Sprintf("key/%d %d", i, version.Load())
			},
			func(by *httptest.Server) string {
				version.Add(1)
				want{204, "", "", nil}.check(t, ":remove", do(t, by, "POST", "/v1/scores:remove", fmt.Sprintf(`{"keys":["key/%d"]}`, i)))
				return fmt.Sprintf("key/%d %d", i, version.Load())
			},
			func(by *httptest.Server) string {
				version.Add(1)
				want{204, "", "", nil}.check(t, ":clear", do(t, by, "POST", "/v1/scores:clear", ""))
				return fmt.Sprintf("key/%d %d", i, version.Load())
			},
		} {
			value := change(servers[i%3])
			tags := make([]string, len(servers))
			var all sync.WaitGroup
			for at, server := range servers {
				all.Go(func() {
					resp := do(t, server, "GET", "/v1/scores/"+key, "")
					tags[at] = resp.Header.Get("ETag")
					if got := bodyOf(t, resp); got != value {
						t.Errorf("process %d answers %q, want %q", at, got, value)
					}
				})
			}
			all.Wait()
			if tags[0] == "" || tags[1] != tags[0] || tags[2] != tags[0] {
				t.Errorf("the ETags of one value are %q", tags)
			}
		}
	}
}

// TestIncompleteChange checks what a change is answered with when a process cannot be reached.
func TestIncompleteChange(t *testing.T) {
	var mu sync.Mutex
	var streams []net.Conn
	hijacked := func(i int, nc net.Conn) {
		if mu.Lock(); i == 2 {
			streams = append(streams, nc)
		}
		mu.Unlock()
	}
	get := func(_ context.Context, key string) ([]byte, error) { return []byte(key), nil }
	servers := clusterOf(t, 3, hijacked, get, api.WithChangeTimeout(200*time.Millisecond))
	servers[2].Listener.Close()
	servers[2].CloseClientConnections()
	mu.Lock()
	for _, nc := range streams {
		nc.Close()
	}
	mu.Unlock()
	resp := do(t, servers[0], "POST", "/v1/scores:clear", "")
	body := bodyOf(t, resp)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, `"code":"incomplete"`) || !strings.Contains(body, `"pending":[{"peer":"`+servers[2].URL+`"`) {
		t.Errorf("a change that not everybody hears of: status %d, %v, %s", resp.StatusCode, resp.Header, body)
	}
}
