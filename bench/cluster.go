package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// cluster is processes, with one cache, that faults are done to. What is between its nodes goes
// through a network of their own; their callers and their origin, which are in this
// process, are reached on Unix sockets, so that no fault comes between.
type cluster struct {
	system string
	scale  faultScale
	site   site
	dir    string // of the sockets
	origin *clusterOrigin
	nodes  []*clusterNode
	probes int // keys of which nobody has asked for any other
}

// clusterNode is a place in a cluster, in which one process after the other may run.
type clusterNode struct {
	door
	name    string // its base URL
	process *node
	client  *http.Client
}

// door is open while callers are sent to a node.
type door struct {
	mu     sync.Mutex
	open   bool           // guarded by mu
	inside sync.WaitGroup // Add is called with mu held, while it is open
}

// enter reports whether a caller may go in. If so, it calls inside.Done afterwards.
func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		d.inside.Add(1)
	}
	return d.open
}

// shut sends nobody to the node any more, and waits for those who are inside.
func (d *door) shut() {
	d.mu.Lock()
	d.open = false
	d.mu.Unlock()
	d.inside.Wait()
}

func (d *door) unshut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = true
}

// site is the network that the nodes of a cluster are in.
type site interface {
	url(i int) string  // of the i-th node
	by(i int) []string // the command by which its program is to be started; empty: as it is
	close()
}

// startCluster starts nodes, and waits until they are one cluster. The site is closed
// with it.
func startCluster(system string, scale faultScale, s site) (f *cluster, err error) {
	f = &cluster{system: system, scale: scale, site: s}
	defer func() {
		if err != nil {
			f.stop()
			err = fmt.Errorf("%s: %w", system, err)
		}
	}()
	if f.dir, err = os.MkdirTemp("", "cluster"); err != nil {
		return f, err
	}
	if f.origin, err = startClusterOrigin(f.socket("origin")); err != nil {
		return f, err
	}
	for i := range clusterNodes {
		f.nodes = append(f.nodes, &clusterNode{name: s.url(i), client: unixClient(f.socket(strconv.Itoa(i)))})
	}
	for i := range f.nodes {
		if err := f.start(i); err != nil {
			return f, err
		}
	}
	_, err = f.whole()
	return f, err
}

// clusterNodes is how many there are. With three of them each may keep any key, as its owner
// or in its place.
const clusterNodes = 3

func (f *cluster) socket(name string) string { return filepath.Join(f.dir, name) }

// start starts the process of the i-th node, and opens its door when it is ready.
func (f *cluster) start(i int) error {
	n := f.nodes[i]
	o := clusterOrders{System: f.system, Self: n.name, Callers: f.socket(strconv.Itoa(i)), Origin: f.socket("origin"),
		Bytes: f.scale.cacheBytes(), StandIn: f.scale.standIn, Remove: f.scale.remove}
	for _, peer := range f.nodes {
		o.Peers = append(o.Peers, peer.name)
	}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := os.Remove(o.Callers); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // a process that was killed leaves it there
	}
	if n.process, err = startNode("cluster", f.site.by(i)...); err != nil {
		return err
	}
	if _, err := n.process.stdin.Write(append(line, '\n')); err != nil {
		return err
	}
	if !n.process.stdout.Scan() || n.process.stdout.Text() != clusterReady {
		return fmt.Errorf("node %s said %q, want %q", n.name, n.process.stdout.Text(), clusterReady)
	}
	n.unshut()
	return nil
}

// terminate ends the process of a node in order, and waits for that.
func (n *clusterNode) terminate() error {
	if err := n.process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := n.process.cmd.Wait(); err != nil {
		return fmt.Errorf("node %s, on SIGTERM: %w", n.name, err)
	}
	return nil
}

// kill ends the process of a node whatever its state, and waits for that.
func (n *clusterNode) kill() {
	n.process.cmd.Process.Kill()
	n.process.cmd.Wait()
}

// freeze stops the process of a node, and returns when it stands still.
func (n *clusterNode) freeze() error {
	if err := n.process.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(n.process.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return os.NewSyscallError("wait4", err)
		case status.Stopped():
			return nil
		default:
			return fmt.Errorf("node %s has ended when it was to be stopped: wait status %#x", n.name, int(status))
		}
	}
}

// thaw has the process of a node go on.
func (n *clusterNode) thaw() error { return n.process.cmd.Process.Signal(syscall.SIGCONT) }

// stop ends all of the cluster.
func (f *cluster) stop() {
	for _, n := range f.nodes {
		if n.process != nil {
			n.kill()
		}
		n.client.CloseIdleConnections()
	}
	if f.origin != nil {
		f.origin.server.Close()
	}
	os.RemoveAll(f.dir)
	f.site.close()
}

// get gets a key at the node, and returns how long that took there.
func (n *clusterNode) get(ctx context.Context, key string) (value []byte, took time.Duration, err error) {
	start := time.Now()
	value, header, err := request(ctx, n.client, http.MethodGet, "/"+key)
	if err != nil {
		return nil, time.Since(start), err
	}
	ns, err := strconv.ParseInt(header.Get(tookHeader), 10, 64)
	return value, time.Duration(ns), err
}

// remove removes a key at the node, and returns the peers that could not be told.
func (n *clusterNode) remove(ctx context.Context, key string) (pending pendingPeers, err error) {
	body, _, err := request(ctx, n.client, http.MethodDelete, "/"+key)
	if err != nil {
		return nil, err
	}
	return pending, json.Unmarshal(body, &pending)
}

// keys returns as many keys as the scale says.
func (f *cluster) keys() (keys []string) {
	for i := range f.scale.keys {
		keys = append(keys, fmt.Sprintf("key-%06d", i))
	}
	return keys
}

// sweep reads all keys through nodes, some at a time.
func sweep(nodes []*clusterNode, keys []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), sweepPatience)
	defer cancel()
	for _, n := range nodes {
		var all errgroup.Group
		all.SetLimit(sweepAtOnce)
		for _, key := range keys {
			all.Go(func() error {
				_, _, err := n.get(ctx, key)
				return err
			})
		}
		if err := all.Wait(); err != nil {
			return err
		}
	}
	return nil
}

const (
	sweepAtOnce   = 8
	sweepPatience = time.Minute
)

// whole waits until the nodes whose doors are open are one cluster, and returns how long
// that took: keys that nobody has asked for, and that all of them ask for at the same
// time, are loaded once each, and every node loads some of them.
func (f *cluster) whole() (took time.Duration, err error) {
	var nodes []*clusterNode
	for _, n := range f.nodes {
		if n.enter() {
			defer n.inside.Done()
			nodes = append(nodes, n)
		}
	}
	start := time.Now()
	for ; time.Since(start) < wholePatience; time.Sleep(wholeAgain) {
		var loaders map[string]bool
		if loaders, err = f.probe(nodes); err == nil && len(loaders) == len(nodes) {
			return time.Since(start), nil
		}
	}
	return 0, errors.Join(fmt.Errorf("the nodes were not one cluster within %v", wholePatience), err)
}

const (
	wholePatience = 30 * time.Second
	wholeAgain    = 20 * time.Millisecond
	wholeKeys     = 30 // that none of them is some node's is as good as impossible
)

// probe asks nodes for keys that nobody has asked for, and returns who has loaded them; an
// error, if one was loaded more than once.
func (f *cluster) probe(nodes []*clusterNode) (loaders map[string]bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), f.scale.patience)
	defer cancel()
	loaders = make(map[string]bool)
	for range wholeKeys {
		key := fmt.Sprintf("probe-%d", f.probes)
		f.probes++
		var all errgroup.Group
		for _, n := range nodes {
			all.Go(func() error {
				_, _, err := n.get(ctx, key)
				return err
			})
		}
		if err := all.Wait(); err != nil {
			return nil, err
		}
		by := f.origin.by(key)
		if len(by) != 1 {
			return nil, fmt.Errorf("%s was loaded by each of %q", key, by)
		}
		loaders[by[0]] = true
	}
	return loaders, nil
}

// warm has all keys loaded and read through all nodes, and returns how many each node
// has loaded, by its name.
func (f *cluster) warm(keys []string) (shares map[string]int, err error) {
	if err := sweep(f.nodes, keys); err != nil {
		return nil, err
	}
	shares = make(map[string]int)
	for _, key := range keys {
		by := f.origin.by(key)
		if len(by) != 1 {
			return nil, fmt.Errorf("%s was loaded by each of %q before there was a fault", key, by)
		}
		shares[by[0]]++
	}
	return shares, nil
}
