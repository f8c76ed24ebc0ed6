package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	frontdoor "github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
	"github.com/peercache/peercache/rpc"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

const (
	frontGroup = "fronts"
	frontBytes = 1 << 10 // of each value
	plainPath  = "/plain"
)

var frontValue = []byte(strings.Repeat("x", frontBytes))

// doors are the addresses of a front. HTTP is answered at its URL.
type doors struct{ RESP, GRPC, Echo string }

// timed is a group that notes how long its Gets take, as an HTTP door calls them.
type timed struct {
	*peercache.Group
	mu    sync.Mutex
	times []time.Duration // guarded by mu
}

func (t *timed) GetWithTTL(ctx context.Context, key string) (peercache.ByteView, time.Duration, error) {
	start := time.Now()
	view, ttl, err := t.Group.GetWithTTL(ctx, key)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times = append(t.times, time.Since(start))
	return view, ttl, err
}

// p50 returns what the middle one of the Gets since the last call took.
func (t *timed) p50() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.times) == 0 {
		return 0
	}
	slices.Sort(t.times)
	middle := t.times[len(t.times)/2]
	t.times = nil
	return middle
}

// runFront is a process with all front doors, and what they are compared with: the value by net/http
// alone at plainPath, and by grpc-go alone at Echo. A gateway owns nothing and keeps no copies; it
// reports how long its Gets take.
func runFront(gateway bool) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	load := func(context.Context, string) ([]byte, error) {
		if gateway {
			return nil, errAsked
		}
		return frontValue, nil
	}
	pool, group, err := frontPeer(l, gateway, load)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(pool.BasePath(), pool)
	mux.HandleFunc(plainPath, func(w http.ResponseWriter, _ *http.Request) { w.Write(frontValue) })
	gets := &timed{Group: group}
	var cache frontdoor.Cache = group
	if gateway {
		cache = gets
	}
	r := report{URL: urlOf(l)}
	if r.Doors, err = openDoors(cache, mux); err != nil {
		return err
	}
	go http.Serve(l, mux)
	orders := bufio.NewScanner(os.Stdin)
	for {
		r.Stats, r.P50 = group.Stats(), gets.p50()
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
		if !orders.Scan() {
			return nil
		}
		if list := orders.Text(); list != "" { // of the peers
			if err := pool.Set(strings.Split(list, ",")...); err != nil {
				return err
			}
		}
	}
}

// frontPeer makes what peers of the fronts share: a pool that answers at l, and a group.
func frontPeer(l net.Listener, gateway bool, load peercache.GetterFunc) (*peercache.HTTPPool, *peercache.Group, error) {
	var poolOptions []peercache.PoolOption
	options := []peercache.GroupOption{peercache.WithTTL(time.Hour)}
	if gateway {
		poolOptions = append(poolOptions, peercache.WithoutOwnership())
		options = append(options, peercache.WithHotShare(0))
	}
	pool, err := peercache.NewHTTPPool(urlOf(l), poolOptions...)
	if err != nil {
		return nil, nil, err
	}
	group, err := peercache.NewGroup(frontGroup, memberBytes, load, append(options, peercache.WithPeers(pool))...)
	return pool, group, err
}

func urlOf(l net.Listener) string { return "http://" + l.Addr().String() }

// openDoors serves a cache: over HTTP by mux, and by the other doors at addresses of their own.
func openDoors(cache frontdoor.Cache, mux *http.ServeMux) (d doors, err error) {
	caches := []frontdoor.Cache{cache}
	overHTTP, err := api.New(caches)
	if err != nil {
		return d, err
	}
	mux.Handle("/", overHTTP)
	overRESP, err := resp.New(caches)
	if err != nil {
		return d, err
	}
	overGRPC, err := rpc.New(caches)
	if err != nil {
		return d, err
	}
	bare := grpc.NewServer()
	cachepb.RegisterCacheServer(bare, echo{})
	for _, s := range []struct {
		addr  *string
		serve func(net.Listener) error
	}{{&d.RESP, overRESP.Serve}, {&d.GRPC, overGRPC.Serve}, {&d.Echo, bare.Serve}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return d, err
		}
		*s.addr = l.Addr().String()
		go s.serve(l)
	}
	return d, nil
}

// echo is what grpc-go can do at best: an answer that is there.
type echo struct {
	cachepb.UnimplementedCacheServer
}

func (echo) Get(context.Context, *cachepb.GetRequest) (*cachepb.GetResponse, error) {
	return &cachepb.GetResponse{Value: frontValue, TtlNs: 1}, nil
}
