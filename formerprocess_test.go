package peercache_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// lingering has a node be served by a server that ends as http.Server.Shutdown does: nobody
// can connect any more, but streams and what is in flight go on.
func lingering(t *testing.T, net *simnet.Network, n *placed, i int) (end func()) {
	t.Helper()
	n.end()
	l, err := net.Host(host(i)).Listen(host(i) + ":8001")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: n.pool}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return func() { go server.Shutdown(t.Context()) }
}

// A process whose server has ended goes on, while the next one is at its address already.
// Nobody asks it any more on the streams that lead to it.
func TestP8FormerProcessGoesOn(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		a, b, old := place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil), place(t, net, 2, at(2), &o, nil)
		end := lingering(t, net, old, 2)
		for _, n := range []*placed{a, b, old} {
			if err := n.pool.Set(at(0), at(1), at(2)); err != nil {
				t.Fatal(err)
			}
		}
		checkFresh(t, &o, []*placed{a, b, old}) // there are streams to the old one
		end()
		synctest.Wait()
		next := place(t, net, 2, at(2), &o, nil)
		if err := next.pool.Set(at(0), at(1), at(2)); err != nil {
			t.Fatal(err)
		}
		if err := next.unready(t); err != nil {
			t.Errorf("Ready returns %v", err)
		}
		for range 3 {
			for i, failed := range checkFresh(t, &o, []*placed{a, b, next}) {
				if failed > 0 {
					t.Errorf("%d Removes of node %d failed", failed, i)
				}
			}
			time.Sleep(20 * time.Second)
		}
	})
}

// A process that still answers what it was asked before its successor came has ended all the
// same: two processes are not there.
func TestLateAnswerOfAFormerProcess(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		slow := make(chan bool)
		getter := peercache.ItemFunc(func(ctx context.Context, key string) (peercache.Item, error) {
			select {
			case <-slow:
			default:
				time.Sleep(3 * time.Second)
			}
			return peercache.Item{Value: []byte(key)}, nil
		})
		opts := []peercache.PoolOption{peercache.WithoutStream()}
		a, old := place(t, net, 0, at(0), getter, nil, opts...), place(t, net, 1, at(1), getter, nil, opts...)
		end := lingering(t, net, old, 1)
		for _, n := range []*placed{a, old} {
			if err := n.pool.Set(at(0), at(1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.unready(t); err != nil {
			t.Fatal(err)
		}
		key := keyOwnedBy(t, []*node{a.node, old.node}, 0, 1)
		answered := make(chan error)
		go func() {
			_, err := a.group.Get(t.Context(), key)
			answered <- err
		}()
		time.Sleep(time.Second)
		end()
		synctest.Wait()
		close(slow)
		next := place(t, net, 1, at(1), getter, nil, opts...)
		if err := next.pool.Set(at(0), at(1)); err != nil {
			t.Fatal(err)
		}
		if err := next.unready(t); err != nil {
			t.Errorf("Ready returns %v", err)
		}
		if err := <-answered; err != nil {
			t.Errorf("the old process answers %v", err)
		}
		time.Sleep(time.Second)
		for i := range 20 {
			a.get(t, strconv.Itoa(i))
		}
		if err := a.group.Remove(t.Context(), key); err != nil {
			t.Errorf("Remove returns %v", err)
		}
		synctest.Wait()
		if lines := a.log.with("two processes"); len(lines) > 0 {
			t.Errorf("%q: want no such warning", lines)
		}
	})
}

// Where two processes share an address, and most requests lead to the same one of them, that
// one is found out as well, and no lucky look makes all seem well.
func TestP8TwoProcessesAtAnAddressUnevenly(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		var turn atomic.Int64
		var second *placed
		ready := make(chan bool)
		first := place(t, net, 0, at(0), &o, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-ready
				if n := turn.Add(1); n%8 == 0 || n%8 == 3 {
					second.pool.ServeHTTP(w, r)
				} else {
					h.ServeHTTP(w, r)
				}
			})
		})
		second = place(t, net, 1, at(0), &o, nil)
		close(ready)
		third := place(t, net, 2, at(2), &o, nil)
		nodes := []*placed{first, second, third}
		for _, n := range nodes {
			if err := n.pool.Set(at(0), at(2)); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			checkFresh(t, &o, nodes)
			time.Sleep(700 * time.Millisecond)
		}
		for i, n := range nodes[:2] {
			if err := n.unready(t); err == nil || !strings.Contains(err.Error(), "another process answers") {
				t.Errorf("node %d: Ready returns %v", i, err)
			}
		}
	})
}
