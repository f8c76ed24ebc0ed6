// Package show runs several processes' worth of peercache in one, with a page for operators each, and
// plays users. It is what example/operations and the tests of the page run.
package show

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/admin"
	peerprom "github.com/peercache/peercache/metrics/prometheus"
)

// Config says what Start starts.
type Config struct {
	Processes int
	Port      int // of the first page; the others have the next ones; 0: free ones
	Admin     []admin.Option
}

// Cluster is what Start has started.
type Cluster struct{ Processes []*Process }

// Process is a process of a service: a pool with two groups, and a page for operators.
type Process struct {
	Name string // its base URL among its peers
	Page string // the URL of the page

	Pool           *peercache.HTTPPool
	Scores, Avatar *peercache.Group

	peers, page *http.Server
	mu          sync.Mutex
	streams     []net.Conn // guarded by mu; those that the server gave away
	killed      bool       // guarded by mu
}

// Start starts a cluster on 127.0.0.1.
func Start(c Config) (*Cluster, error) {
	cluster := &Cluster{}
	var names []string
	for i := range c.Processes {
		p, err := startProcess(c, i)
		if err != nil {
			return nil, errors.Join(err, cluster.Close())
		}
		cluster.Processes = append(cluster.Processes, p)
		names = append(names, p.Name)
	}
	for _, p := range cluster.Processes {
		if err := p.Pool.Set(names...); err != nil {
			return nil, errors.Join(err, cluster.Close())
		}
	}
	for _, p := range cluster.Processes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := p.Pool.Ready(ctx)
		cancel()
		if err != nil {
			return nil, errors.Join(err, cluster.Close())
		}
	}
	return cluster, nil
}

func startProcess(c Config, i int) (*Process, error) {
	peers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Process{Name: "http://" + peers.Addr().String()}
	if p.Pool, err = peercache.NewHTTPPool(p.Name); err != nil {
		return nil, err
	}
	if p.Scores, err = peercache.NewGroup("scores", 16<<20, origin(8*time.Millisecond, 80), peercache.WithPeers(p.Pool), peercache.WithTTL(2*time.Minute)); err != nil {
		return nil, err
	}
	if p.Avatar, err = peercache.NewGroup("avatars", 8<<20, origin(30*time.Millisecond, 6000), peercache.WithPeers(p.Pool)); err != nil {
		return nil, err
	}
	figures := prometheus.NewRegistry()
	figures.MustRegister(peerprom.NewCollector(p.Pool, p.Scores, p.Avatar))
	metrics := promhttp.HandlerFor(figures, promhttp.HandlerOpts{})
	handler, err := admin.Handler(p.Pool, append([]admin.Option{admin.Metrics(metrics)}, c.Admin...)...)
	if err != nil {
		return nil, err
	}
	port := 0
	if c.Port > 0 {
		port = c.Port + i
	}
	page, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	p.Page = "http://" + page.Addr().String() + "/"
	p.peers = p.server()
	p.page = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go p.peers.Serve(peers)
	go p.page.Serve(page)
	return p, nil
}

// server returns the server of the pool. It keeps the connections that it gives away, for Kill.
func (p *Process) server() *http.Server {
	server := p.Pool.Server()
	bound := server.ConnState // of the pool's own, which bounds the connections of strangers
	server.ConnState = func(c net.Conn, s http.ConnState) {
		bound(c, s)
		if s == http.StateHijacked {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.streams = append(p.streams, c)
		}
	}
	return server
}

// origin returns a getter that takes about so long, for values of about so many bytes. One key in 200
// is not there.
func origin(took time.Duration, size int) peercache.GetterFunc {
	return func(ctx context.Context, key string) ([]byte, error) {
		t := time.NewTimer(took/2 + time.Duration(rand.ExpFloat64()*float64(took)/2))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if n, err := strconv.Atoi(key[len(key)-4:]); err == nil && n%200 == 7 {
			return nil, fmt.Errorf("no %s: %w", key, peercache.ErrNotFound)
		}
		return make([]byte, size/2+rand.IntN(size)), nil
	}
}

// Play plays users of all processes until ctx ends: a few keys are popular.
func (c *Cluster) Play(ctx context.Context) {
	var users sync.WaitGroup
	for _, p := range c.Processes {
		for range 4 {
			users.Go(func() { p.play(ctx) })
		}
	}
	users.Wait()
}

func (p *Process) play(ctx context.Context) {
	r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	popular := rand.NewZipf(r, 1.1, 8, 9999)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if p.isKilled() {
			continue
		}
		busy := 10 + int(6*math.Sin(float64(time.Now().Unix()%300)/300*2*math.Pi)) // it comes and goes
		for range busy {
			_, _ = p.Scores.Get(ctx, fmt.Sprintf("player-%04d", popular.Uint64()))
		}
		for range busy / 4 {
			_, _ = p.Avatar.Get(ctx, fmt.Sprintf("avatar-%04d", popular.Uint64()/4))
		}
		if r.IntN(200) == 0 {
			_ = p.Scores.Remove(ctx, fmt.Sprintf("player-%04d", popular.Uint64()))
		}
	}
}

// Kill ends what the other processes see of p, at once. Its page stays.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	p.peers.Close()
	for _, c := range p.streams {
		c.Close()
	}
}

// Revive serves p again at the address where it was before Kill.
func (p *Process) Revive() error {
	l, err := net.Listen("tcp", strings.TrimPrefix(p.Name, "http://"))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed, p.streams = false, nil
	p.peers = p.server()
	go p.peers.Serve(l)
	return nil
}

// ClosePage ends the server of the page of p, and its connections.
func (p *Process) ClosePage() error { return p.page.Close() }

func (p *Process) isKilled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// Close ends the cluster.
func (c *Cluster) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, p := range c.Processes {
		p.page.Shutdown(ctx)
		if p.isKilled() {
			p.Pool.Shutdown(ctx)
			continue
		}
		errs = append(errs, p.Pool.Shutdown(ctx), p.peers.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
