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
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache"
)

// socketPool is one pool that is served at a real address.
type socketPool struct {
	listener net.Listener
	server   *http.Server
	pool     *peercache.HTTPPool
	url      string
}

// startSocketPool starts a pool at an address; at port 0, a free one is taken.
func startSocketPool(address string) (*socketPool, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &socketPool{listener: l, url: "http://" + l.Addr().String()}
	if p.pool, err = peercache.NewHTTPPool(p.url); err != nil {
		return nil, err
	}
	if _, err := peercache.NewGroup("scale", scaleBytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		return make([]byte, scaleValue), nil
	}), peercache.WithPeers(p.pool)); err != nil {
		return nil, err
	}
	p.server = &http.Server{Handler: p.pool, ReadHeaderTimeout: time.Second}
	go p.server.Serve(l)
	return p, nil
}

// socketOrders is a line that a process of socket pools is sent.
type socketOrders struct {
	Do    string   // "set", "begin", "end", "" to report only
	Peers []string // for set and begin
}

// socketReport answers each line.
type socketReport struct {
	URLs     []string
	CPU      time.Duration
	Messages int64 // that the pools sent to others up to now; nobody asks for keys
	Bytes    int64 // of these and their answers
	Peers    int   // in the view of the pool that has fewest
}

// runSocketPools is one process with so many pools.
func runSocketPools(n int) error {
	pools := make([]*socketPool, n)
	for i := range pools {
		var err error
		if pools[i], err = startSocketPool("127.0.0.1:0"); err != nil {
			return err
		}
	}
	var former socketReport // counts of pools that have ended
	orders := bufio.NewReader(os.Stdin)
	for {
		if err := json.NewEncoder(os.Stdout).Encode(reportPools(pools, former)); err != nil {
			return err
		}
		line, err := orders.ReadBytes('\n')
		if err != nil {
			return nil
		}
		var o socketOrders
		if err := json.Unmarshal(line, &o); err != nil {
			return err
		}
		first := pools[0]
		switch o.Do {
		case "set":
			var all errgroup.Group
			for _, p := range pools {
				all.Go(func() error { return p.pool.Set(o.Peers...) })
			}
			err = all.Wait()
		case "end":
			ctx, cancel := context.WithTimeout(context.Background(), scalePatience)
			err = first.pool.Shutdown(ctx)
			cancel()
			former.count(first)
			first.server.Close()
		case "begin":
			if pools[0], err = startSocketPool(first.listener.Addr().String()); err == nil {
				err = pools[0].pool.Set(o.Peers...)
			}
		}
		if err != nil {
			return err
		}
	}
}

// count adds what a pool has sent.
func (r *socketReport) count(p *socketPool) {
	for _, s := range p.pool.Stats() {
		r.Messages += s.Requests
		r.Bytes += s.BytesIn + s.BytesOut
	}
}

func reportPools(pools []*socketPool, former socketReport) socketReport {
	r := former
	r.CPU, r.Peers = cpuTime(), len(pools[0].pool.Peers())
	for _, p := range pools {
		r.URLs = append(r.URLs, p.url)
		r.count(p)
		r.Peers = min(r.Peers, len(p.pool.Peers()))
	}
	return r
}

// sockets is a cluster of processes, each of which has many pools.
type sockets struct {
	nodes []*node
	urls  []string
}

// socketNodes is how many processes there are: each may have some thousand connections.
const socketNodes = 4

func startSockets(peers int) (s *sockets, err error) {
	s = new(sockets)
	for i := range socketNodes {
		n, err := startNode(fmt.Sprint("socket pools ", peers*(i+1)/socketNodes-peers*i/socketNodes))
		if err != nil {
			return s, err
		}
		s.nodes = append(s.nodes, n)
		var r socketReport
		if err := n.readInto(&r); err != nil {
			return s, err
		}
		s.urls = append(s.urls, r.URLs...)
	}
	return s, nil
}

func (s *sockets) stop() {
	for _, n := range s.nodes {
		n.stop()
	}
}

// tell sends orders to some of the processes at the same time.
func (s *sockets) tell(nodes []*node, o socketOrders) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var all errgroup.Group
	for _, n := range nodes {
		all.Go(func() error { return n.tellInto(string(line), new(socketReport)) })
	}
	return all.Wait()
}

// sum returns the counts of all processes.
func (s *sockets) sum() (all socketReport, err error) {
	for i, n := range s.nodes {
		var r socketReport
		if err := n.tellInto(`{}`, &r); err != nil {
			return all, err
		}
		all.CPU, all.Messages, all.Bytes = all.CPU+r.CPU, all.Messages+r.Messages, all.Bytes+r.Bytes
		if i == 0 || r.Peers < all.Peers {
			all.Peers = r.Peers
		}
	}
	return all, nil
}

// socketsQuiet is the processor time that all pools take at most while they are quiet, for quietFor.
// Connections that are being opened take more.
const socketsQuiet = quietFor / 10

// quiet waits until each pool has all others in its view, and all have sent no more than one message
// each, and taken little processor time, for quietFor. It returns the counts before that, and after.
func (s *sockets) quiet() (from, to socketReport, err error) {
	if to, err = s.sum(); err != nil {
		return from, to, err
	}
	for began := time.Now(); time.Since(began) < scalePatience; {
		time.Sleep(quietFor)
		from = to
		if to, err = s.sum(); err != nil {
			return from, to, err
		}
		if to.Peers == len(s.urls)-1 && to.Messages-from.Messages <= int64(len(s.urls)) && to.CPU-from.CPU <= socketsQuiet {
			return from, to, nil
		}
	}
	return from, to, fmt.Errorf("the pools are not quiet after %v", scalePatience)
}

// cost does something, and returns what it took all pools until they were quiet. They have to be quiet before.
func (s *sockets) cost(do func() error) (took socketReport, err error) {
	before, err := s.sum()
	if err != nil {
		return took, err
	}
	if err := do(); err != nil {
		return took, err
	}
	after, _, err := s.quiet()
	return after.minus(before), err
}

// idle returns what the pools take in a while in which nothing happens.
func (s *sockets) idle(look time.Duration) (took socketReport, err error) {
	before, err := s.sum()
	if err != nil {
		return took, err
	}
	time.Sleep(look)
	after, err := s.sum()
	return after.minus(before), err
}

// minus returns what was counted since an earlier report.
func (r socketReport) minus(earlier socketReport) socketReport {
	return socketReport{CPU: r.CPU - earlier.CPU, Messages: r.Messages - earlier.Messages, Bytes: r.Bytes - earlier.Bytes}
}

// runSockets measures changes of the view over TCP.
func runSockets(w io.Writer, m measuring) error {
	peers, look := 100, 20*time.Second
	if m.quick {
		peers, look = 12, time.Second
	}
	s, err := startSockets(peers)
	defer s.stop()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, `
%d pools as they are by default, in %d processes, with TCP connections between all of them, in real time. A restart
is a Shutdown, and a new pool at the same address. Each row ends when all pools have all others in their views and are
quiet: one message a pool or less, and %v of processor time, in %v.
`, peers, socketNodes, socketsQuiet, quietFor)
	t := newTable("", "messages a peer", "KiB a peer", "CPU ms a peer")
	n := float64(peers)
	first, list := s.nodes[:1], slices.Clone(s.urls)
	for _, step := range []struct {
		what string
		cost func() (socketReport, error)
	}{
		{"all begin", func() (socketReport, error) {
			return s.cost(func() error { return s.tell(s.nodes, socketOrders{"set", list}) })
		}},
		// Counts are kept of a peer that is back soon.
		{"one restarts", func() (socketReport, error) {
			return s.cost(func() error {
				return errors.Join(s.tell(first, socketOrders{Do: "end"}), s.tell(first, socketOrders{"begin", list}))
			})
		}},
		{fmt.Sprintf("nothing, in %v", look), func() (socketReport, error) { return s.idle(look) }},
	} {
		c, err := step.cost()
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		t.add(step.what, float64(c.Messages)/n, float64(c.Bytes)/1024/n, c.CPU.Seconds()*1000/n)
	}
	return t.print(w)
}
