package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/golang/groupcache"

	"github.com/peercache/peercache"
)

const (
	clusterGroup = "cluster"
	clusterReady = "ready" // what a node says when callers may be sent to it

	// clusterLeaving bounds what a node does between SIGTERM and its end.
	clusterLeaving = 20 * time.Second

	tookHeader   = "Took-Nanoseconds" // of an answer to a caller: the Get alone
	loaderHeader = "Loader"           // of a request to the origin: who loads
)

// clusterOrders is the first line that a node of a cluster is sent.
type clusterOrders struct {
	System  string // peercacheSystem or groupcacheSystem
	Self    string // its base URL
	Peers   []string
	Callers string // the Unix socket on which it is to serve them
	Origin  string // that of the origin
	Bytes   int64  // of its cache
	StandIn time.Duration
	Remove  time.Duration // how long a Remove may take
}

const (
	peercacheSystem  = "peercache"
	groupcacheSystem = "golang/groupcache"
)

// clusterCache is what is compared, in one process.
type clusterCache struct {
	peers  http.Handler // answers them
	join   func(ctx context.Context) error
	get    func(ctx context.Context, key string) ([]byte, error)
	remove func(ctx context.Context, key string) error
	leave  func(ctx context.Context) error
}

// runClusterNode is one process of a cluster that faults are done to. It ends in order on
// SIGTERM, and without when its standard input is closed.
func runClusterNode() error {
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	stdin := bufio.NewReader(os.Stdin)
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		return err
	}
	var o clusterOrders
	if err := json.Unmarshal(line, &o); err != nil {
		return err
	}
	c, err := o.cache()
	if err != nil {
		return err
	}
	base, err := url.Parse(o.Self)
	if err != nil {
		return err
	}
	peers, err := net.Listen("tcp", base.Host)
	if err != nil {
		return err
	}
	peerServer := &http.Server{Handler: c.peers}
	go peerServer.Serve(peers)
	if err := c.join(terminated); err != nil {
		return err
	}
	callers, err := net.Listen("unix", o.Callers)
	if err != nil {
		return err
	}
	callerServer := &http.Server{Handler: o.forCallers(c)}
	go callerServer.Serve(callers)
	fmt.Println(clusterReady)

	abandoned := make(chan struct{})
	go func() {
		io.Copy(io.Discard, stdin)
		close(abandoned)
	}()
	select {
	case <-terminated.Done():
		ctx, cancel := context.WithTimeout(context.Background(), clusterLeaving)
		defer cancel()
		// Callers are gone already: they were not sent here any more before the signal.
		return errors.Join(callerServer.Close(), c.leave(ctx), peerServer.Close())
	case <-abandoned:
		return nil
	}
}

func (o *clusterOrders) cache() (*clusterCache, error) {
	load := loadFrom(o.Origin, o.Self)
	if o.System == groupcacheSystem {
		return o.groupcache(load), nil
	}
	return o.peercache(load)
}

func (o *clusterOrders) peercache(load func(context.Context, string) ([]byte, error)) (*clusterCache, error) {
	pool, err := peercache.NewHTTPPool(o.Self, peercache.WithInsecure())
	if err != nil {
		return nil, err
	}
	group, err := peercache.NewGroup(clusterGroup, o.Bytes, peercache.GetterFunc(load),
		peercache.WithPeers(pool), peercache.WithStandIn(o.StandIn))
	if err != nil {
		return nil, err
	}
	return &clusterCache{
		peers: pool,
		join: func(ctx context.Context) error {
			if err := pool.Set(o.Peers...); err != nil {
				return err
			}
			return pool.Ready(ctx)
		},
		get: func(ctx context.Context, key string) ([]byte, error) {
			view, err := group.Get(ctx, key)
			return view.ByteSlice(), err
		},
		remove: func(ctx context.Context, key string) error { return group.Remove(ctx, key) },
		leave:  pool.Shutdown,
	}, nil
}

func (o *clusterOrders) groupcache(load func(context.Context, string) ([]byte, error)) *clusterCache {
	pool := groupcache.NewHTTPPoolOpts(o.Self, nil)
	group := groupcache.NewGroup(clusterGroup, o.Bytes, groupcache.GetterFunc(
		func(ctx context.Context, key string, dest groupcache.Sink) error {
			value, err := load(ctx, key)
			if err != nil {
				return err
			}
			return dest.SetBytes(value)
		}))
	return &clusterCache{
		peers: pool,
		join: func(context.Context) error {
			pool.Set(o.Peers...)
			return nil
		},
		get: func(ctx context.Context, key string) (value []byte, err error) {
			err = group.Get(ctx, key, groupcache.AllocatingByteSliceSink(&value))
			return value, err
		},
		remove: func(context.Context, string) error { return errors.New("groupcache cannot remove a key") },
		leave:  func(context.Context) error { return nil }, // it knows no such thing
	}
}

// loadFrom returns a getter that asks the origin, and says who asks.
func loadFrom(socket, self string) func(context.Context, string) ([]byte, error) {
	client := unixClient(socket)
	return func(ctx context.Context, key string) ([]byte, error) {
		body, _, err := request(ctx, client, http.MethodGet, "/"+key, loaderHeader, self)
		return body, err
	}
}

// pendingPeers is the answer to a DELETE that has not reached everybody: their names.
type pendingPeers []string

// forCallers answers callers of the process: GET is a Get, and DELETE a Remove.
func (o *clusterOrders) forCallers(c *clusterCache) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{key}", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		value, err := c.get(r.Context(), r.PathValue("key"))
		w.Header().Set(tookHeader, strconv.FormatInt(int64(time.Since(start)), 10))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Write(value)
	})
	mux.HandleFunc("DELETE /{key}", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), o.Remove)
		defer cancel()
		pending := pendingPeers{}
		err := c.remove(ctx, r.PathValue("key"))
		if left, ok := errors.AsType[*peercache.InvalidationError](err); ok {
			for _, p := range left.Pending {
				pending = append(pending, p.Peer)
			}
		} else if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		json.NewEncoder(w).Encode(pending)
	})
	return mux
}

// unixClient is a client of the server on a Unix socket. What is asked there is not in the
// network that faults are done to.
func unixClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 64,
	}}
}

// request makes a request on a Unix socket, with one header or none, and returns the body
// of the answer and its header.
func request(ctx context.Context, client *http.Client, method, path string, header ...string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://unix"+path, nil)
	if err != nil {
		return nil, nil, err
	}
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return body, resp.Header, err
}
