package peercache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// forger is somebody in the network of a cluster, who is none of it.
type forger struct {
	t    testing.TB
	http *http.Transport
}

func newForger(t testing.TB, net *simnet.Network) *forger {
	f := &forger{t, net.Host("10.0.0.99").Transport()}
	t.Cleanup(f.http.CloseIdleConnections)
	return f
}

// tell sends a node a request in the name of another one.
func (f *forger) tell(to, as *node, req *pb.ChangeRequest) *pb.ChangeResponse {
	body := bytes.NewReader(mustMarshal(f.t, req))
	r, err := http.NewRequest(http.MethodPost, to.url+to.pool.BasePath()+"change", body)
	if err != nil {
		f.t.Error(err)
		return nil
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Peercache-Peer", as.url)
	said, err := f.http.RoundTrip(r)
	if err != nil {
		f.t.Error(err)
		return nil
	}
	defer said.Body.Close()
	data, err := io.ReadAll(said.Body)
	resp := new(pb.ChangeResponse)
	if err == nil {
		err = proto.Unmarshal(data, resp)
	}
	if err != nil {
		f.t.Errorf("status %d: %v", said.StatusCode, err)
	}
	return resp
}

// of returns what everybody can learn of a node: which process it is, and its view.
func (f *forger) of(n *node) *pb.ChangeRequest {
	resp := f.tell(n, n, &pb.ChangeRequest{})
	return &pb.ChangeRequest{View: resp.GetView(), Process: resp.GetProcess(), Turn: math.MaxUint64}
}

// One forged request with a peer's own process number and the highest turn does not make all
// that the peer says later late.
func TestP10ForgedTurn(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}})
		f := newForger(t, net)
		for _, n := range []*node{nodes[0], nodes[2]} {
			req := f.of(nodes[1])
			req.View, req.Announced = 1, true
			f.tell(n, nodes[1], req)
		}
		key := keyOwnedBy(t, nodes, 0, 1)
		for _, n := range nodes {
			n.brings(t, key, "1")
		}
		start := time.Now()
		if err := nodes[0].group.Remove(inside(t), key); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the Remove took %v", took)
		}
		introduce(t, nodes[:2], nodes[:2]...) // what it says later is heard
		time.Sleep(time.Second)
		for i, n := range nodes[:2] {
			if err := n.group.Remove(inside(t), key); err != nil {
				t.Errorf("node %d, after the view has changed: %v", i, err)
			}
		}
		introduce(t, nodes, nodes...)
	})
}

// Forged requests do not make a peer leave, however many and whatever they say.
func TestP10ForgedLeave(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &origin{}
		nodes := newSimCluster(t, net, 3, simConfig{getter: o})
		f := newForger(t, net)
		before := nodes[0].pool.Epoch()
		for i := range 100 { // five a second
			req := f.of(nodes[1])
			req.Turn = uint64(i) << (i % 64)
			req.Leaving, req.Departure = true, uint64(i+1)
			if i%3 == 0 {
				req.Process = uint32(i + 1)
			}
			if i%3 == 1 {
				req.Absent = []string{nodes[1].url}
			}
			if resp := f.tell(nodes[0], nodes[1], req); !resp.GetUnheard() && i%3 == 0 {
				t.Errorf("request %d is answered as if it were believed", i)
			}
			if got := nodes[0].peersOf(); len(got) != 2 {
				t.Fatalf("after %d forged requests the node has the peers %v", i+1, got)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if after := nodes[0].pool.Epoch(); after != before {
			t.Errorf("views are taken to have changed %d times", after-before)
		}
		for _, key := range keysOwnedBy(t, nodes, 0, 1, 50) {
			nodes[0].get(t, key)
		}
		if n := nodes[1].group.Stats().Loads; n != 50 {
			t.Errorf("the peer loaded %d of its 50 keys", n)
		}
	})
}

// Forged returns do not bring a peer back that has left, nor do they delay a Remove.
func TestP10ForgedReturn(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		f := newForger(t, net)
		req := f.of(c.nodes[1])
		c.nodes[1].stop(t)
		time.Sleep(settling)
		before := c.nodes[0].pool.Epoch()
		for i := range uint32(50) {
			req.Process, req.Announced = i+1, true
			if resp := f.tell(c.nodes[0], c.nodes[1], req); !resp.GetUnheard() {
				t.Error("a process that is not there is believed")
			}
			start := time.Now()
			if err := c.nodes[0].group.Remove(t.Context(), "key"); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Errorf("the Remove took %v", took)
			}
		}
		if got := c.nodes[0].peersOf(); len(got) != 1 || c.nodes[0].pool.Epoch() != before {
			t.Errorf("the node has the peers %v", got)
		}
	})
}

// Hundreds of forged requests a second cost no goroutines, no connections and no changes of
// the view, and the cluster works all the time.
func TestP10ForgedFlood(t *testing.T) {
	const seconds, perSecond = 20, 321
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}})
		f := newForger(t, net)
		known, before, goroutines := f.of(nodes[1]), nodes[0].pool.Epoch(), runtime.NumGoroutine()
		var sent sync.WaitGroup
		for i := range seconds * perSecond {
			sent.Go(func() {
				req := proto.CloneOf(known)
				req.Turn, req.Leaving, req.Announced = math.MaxUint64-uint64(i%7), i%2 == 0, i%2 == 1
				req.Departure, req.Offering, req.Token = uint64(i+1), i%5 == 0, uint64(i)
				req.Absent = []string{nodes[2].url}
				if i%4 > 1 {
					req.Process = uint32(i)
				}
				f.tell(nodes[0], nodes[1], req)
			})
			time.Sleep(time.Second / perSecond)
			if i%perSecond == 0 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if err := nodes[i%2].group.Remove(ctx, fmt.Sprint("key", i)); err != nil {
					t.Errorf("at second %d: %v", i/perSecond, err)
				}
				cancel()
			}
		}
		most := runtime.NumGoroutine()
		sent.Wait()
		if more := most - goroutines; more > 5*peercache.DefaultMaxUnproven {
			t.Errorf("%d goroutines more than before, of these some for each of %d requests that may wait", more, peercache.DefaultMaxUnproven)
		}
		for _, named := range []int{1, 2} {
			if open := net.LinkStats(host(0), host(named)).Open; open > 4 {
				t.Errorf("%d connections to the peer that the requests name", open)
			}
		}
		if after := nodes[0].pool.Epoch(); after != before {
			t.Errorf("views are taken to have changed %d times", after-before)
		}
		f.http.CloseIdleConnections()
		time.Sleep(settling + time.Minute)
		synctest.Wait()
		if more := runtime.NumGoroutine() - goroutines; more > 10 {
			t.Errorf("%d goroutines stay", more)
		}
	})
}

// Requests of strangers that want holders to be told do not hold up more than a bounded
// number of goroutines.
func TestP10StrangersDoNotWait(t *testing.T) {
	const requests, most = 300, 8
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}, pool: func(int) []peercache.PoolOption {
			return []peercache.PoolOption{peercache.WithMaxUnproven(most)}
		}})
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		nodes[others[0]].brings(t, key, "1")
		net.Isolate(host(others[0]))
		t.Cleanup(net.HealAll)
		f := newForger(t, net)
		var answered, late int
		var mu sync.Mutex
		start := time.Now()
		var all sync.WaitGroup
		for range requests {
			all.Go(func() {
				f.tell(nodes[candidates[0]], nodes[candidates[1]], &pb.ChangeRequest{
					Group: "test", Keys: [][]byte{[]byte(key)}, Holders: true, WaitNs: int64(time.Second),
				})
				mu.Lock()
				defer mu.Unlock()
				answered++
				if time.Since(start) > 500*time.Millisecond {
					late++
				}
			})
		}
		all.Wait()
		if answered != requests || late > most {
			t.Errorf("%d of %d were answered late, want %d at most", late, answered, most)
		}
	})
}

// Keys that somebody offers in the name of a peer are asked for at that peer, and nothing
// comes of it but what that peer has.
func TestP10ForgedOffers(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}})
		introduce(t, nodes[:2], nodes[:2]...)
		time.Sleep(time.Second)
		f := newForger(t, net)
		var offered [][]byte
		for _, key := range keysOwnedBy(t, nodes[:2], 0, 0, 64) {
			offered = append(offered, []byte(key))
		}
		var all sync.WaitGroup
		goroutines := runtime.NumGoroutine()
		for range 150 {
			all.Go(func() { f.tell(nodes[0], nodes[1], &pb.ChangeRequest{Group: "test", Offered: offered}) })
		}
		time.Sleep(5 * time.Millisecond)
		if more := runtime.NumGoroutine() - goroutines; more > 4000 {
			t.Errorf("%d goroutines more, where 150 offers of 64 keys each are made", more)
		}
		all.Wait()
		if s := nodes[0].group.Stats(); s.Loads != 0 || s.Handovers != 0 || s.Main.Items != 0 {
			t.Errorf("%+v", s)
		}
		introduce(t, nodes, nodes...)
	})
}

// A process that peers cannot ask, because it does not listen yet, is not believed. It knows
// that, and keeps nothing of what they may remove without it. When it listens, all is well.
func TestP8ProcessThatDoesNotListenYet(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{}
		c := &crew{net: net, config: simConfig{getter: o}, nodes: newSimCluster(t, net, 3, simConfig{getter: o})}
		key := keyOwnedBy(t, c.nodes, 0, 1)
		c.nodes[1].stop(t)
		time.Sleep(settling)

		h, url := net.Host(host(1)), c.nodes[1].url
		pool, err := peercache.NewHTTPPool(url, peercache.WithInsecure(), peercache.WithTransport(h.Transport()))
		if err != nil {
			t.Fatal(err)
		}
		group, err := peercache.NewGroup("test", 1<<20, o, peercache.WithPeers(pool))
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[1] = &node{url: url, pool: pool, group: group}
		introduce(t, c.nodes[1:2], c.nodes...)
		for i := range 5 {
			old := c.nodes[1].get(t, key)
			if err := c.nodes[0].group.Remove(inside(t), key); err != nil {
				t.Errorf("Remove while nothing listens at the address of a peer that has left: %v", err)
			}
			if now := c.nodes[1].get(t, key); now == old {
				t.Errorf("after Remove %d it has the old value", i)
			}
			time.Sleep(time.Second)
		}
		end, err := simnet.Serve(h, host(1)+":8001", pool)
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[1].end = end
		t.Cleanup(func() { c.nodes[1].stop(t) })
		time.Sleep(5 * time.Second)
		for i, n := range c.nodes {
			if got := n.peersOf(); len(got) != 2 {
				t.Errorf("node %d has the peers %v", i, got)
			}
			if err := n.group.Remove(inside(t), key); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
		now := c.nodes[1].get(t, key)
		for _, n := range c.nodes {
			n.brings(t, key, now)
		}
	})
}

// A process that has ended, and whose users still change keys, takes the next one at its
// address out of nobody's view. It cannot tell that one, and says so.
func TestWordOfTheProcessBefore(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		before := c.nodes[1]
		before.stop(t)
		c.restart(t, 1)
		time.Sleep(settling)
		epoch := c.nodes[0].pool.Epoch()
		for range 3 {
			if err := before.group.Remove(inside(t), "key"); err == nil {
				t.Error("the Remove succeeds, of which the new process does not hear")
			}
			for i, n := range c.nodes {
				if got := n.peersOf(); len(got) != 2 {
					t.Errorf("node %d has the peers %v", i, got)
				}
			}
			time.Sleep(time.Second)
		}
		if now := c.nodes[0].pool.Epoch(); now != epoch {
			t.Errorf("views are taken to have changed %d times", now-epoch)
		}
	})
}
