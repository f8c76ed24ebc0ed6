package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// hangs are the ways in which a host says nothing.
var hangs = map[string]struct{ begin, end func(*simnet.Network, string) }{
	"it is frozen":  {(*simnet.Network).Freeze, (*simnet.Network).Thaw},
	"it is cut off": {(*simnet.Network).Isolate, (*simnet.Network).Rejoin},
}

// bothWays are the ways by which peers are spoken to.
var bothWays = map[string][]peercache.PoolOption{"stream": nil, "plain": {peercache.WithoutStream()}}

// An owner that hangs is tried as long as the context lasts: when it is back, all is well.
func TestP8RemoveTriesAnOwnerThatHangs(t *testing.T) {
	for way, opts := range bothWays {
		for name, hang := range hangs {
			t.Run(way+"/"+name, func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}, pool: func(int) []peercache.PoolOption { return opts }})
					key := keyOwnedBy(t, nodes, 0, 1)
					nodes[0].brings(t, key, "1")
					hang.begin(net, host(1))
					time.AfterFunc(5*time.Second, func() { hang.end(net, host(1)) })
					ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
					defer cancel()
					start := time.Now()
					if err := nodes[0].group.Remove(ctx, key); err != nil {
						t.Errorf("after %v: %v", time.Since(start), err)
					}
					for _, n := range nodes {
						if got := n.get(t, key); got == "1" {
							t.Errorf("%s has the old value", n.url)
						}
					}
				})
			})
		}
	}
}

// Without a deadline an owner that hangs is tried for the time of a lease. The error names
// it alone, and why.
func TestP8RemoveWithoutADeadlineWhoseOwnerHangs(t *testing.T) {
	for way, opts := range bothWays {
		for name, hang := range hangs {
			t.Run(way+"/"+name, func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}, pool: func(int) []peercache.PoolOption { return opts }})
					key := keyOwnedBy(t, nodes, 0, 1)
					nodes[0].brings(t, key, "1")
					hang.begin(net, host(1))
					defer hang.end(net, host(1))
					start := time.Now()
					p := pending(t, nodes[0].group.Remove(context.Background(), key), nodes[1])
					if took := time.Since(start); took < peercache.DefaultLease || took > peercache.DefaultLease+5*time.Second || !p.Until.IsZero() {
						t.Errorf("an error after %v, which says that it ends at %v", took, p.Until)
					}
				})
			})
		}
	}
}

// Where nothing listens at the owner's address, Remove fails at once.
func TestP8RemoveWhoseOwnerIsGone(t *testing.T) {
	for way, opts := range bothWays {
		t.Run(way, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}, pool: func(int) []peercache.PoolOption { return opts }})
				key := keyOwnedBy(t, nodes, 0, 1)
				net.Crash(host(1))
				start := time.Now()
				pending(t, nodes[0].group.Remove(inside(t), key), nodes[1])
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// Machines that were replaced, and hang, cost the first Remove the detection time at most,
// however many they are, and the others nothing.
func TestRemoveAfterMachinesWereReplaced(t *testing.T) {
	for name, begin := range map[string]func(*simnet.Network, string){
		"frozen": (*simnet.Network).Freeze, "cut off": (*simnet.Network).Isolate,
	} {
		for _, n := range []int{1, 40, 170} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					c := simConfig{getter: &editions{}}
					var nodes []*node
					for i := range 3 {
						nodes = append(nodes, startSimNode(t, net, i, c))
					}
					all := slices.Clone(nodes)
					for i := range n {
						l, err := net.Host(host(3 + i)).Listen(":8001") // and accepts nothing
						if err != nil {
							t.Fatal(err)
						}
						defer l.Close()
						begin(net, host(3+i))
						all = append(all, &node{url: "http://" + host(3+i) + ":8001"})
					}
					introduce(t, nodes, all...)
					time.Sleep(time.Second)
					introduce(t, nodes, nodes...)
					time.Sleep(time.Second)
					for i := range 60 { // longer than departedAgain
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						start := time.Now()
						err := nodes[0].group.Remove(ctx, fmt.Sprint("key", i))
						cancel()
						most := 20 * time.Millisecond
						if i == 0 {
							most += detection
						}
						if took := time.Since(start); err != nil || took > most {
							t.Errorf("Remove %d took %v, error %v: want at most %v", i, took, err, most)
						}
						time.Sleep(time.Second / 2)
					}
				})
			})
		}
	}
}

// A Remove whose context is short leaves most of it to the peers of the view.
func TestRemoveAfterMachinesWereReplacedInAShortTime(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 4, simConfig{getter: &editions{}})
		net.Freeze(host(3))
		defer net.Thaw(host(3))
		introduce(t, nodes[:3], nodes[:3]...)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := nodes[0].group.Remove(ctx, "k"); err != nil {
			t.Error(err)
		}
	})
}

// Nodes are replaced one after the other at new addresses, the old ones being killed or
// hanging when they are off the lists, which come to each node in its own time. No Remove
// fails, and none takes longer than the lists need to agree.
func TestP8RemoveInARollingReplacement(t *testing.T) {
	for name, end := range map[string]func(*simnet.Network, string){
		"killed": (*simnet.Network).Crash, "hung": (*simnet.Network).Freeze, "powered off": (*simnet.Network).PowerOff,
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				const size, spread = 6, 300 * time.Millisecond
				c := simConfig{getter: &editions{}}
				nodes := newSimCluster(t, net, size, c)
				var removes, failed int
				var slowest time.Duration
				tell := func(list []*node) { // within the spread
					for _, n := range list {
						time.AfterFunc(time.Duration(len(n.url)*7919%5+1)*spread/8, func() { introduce(t, []*node{n}, list...) })
					}
				}
				done, over := make(chan struct{}), make(chan struct{})
				current := make(chan []*node, 1)
				current <- nodes
				go func() {
					defer close(over)
					for i := 0; ; i++ {
						select {
						case <-done:
							return
						case <-time.After(50 * time.Millisecond):
						}
						list := <-current
						current <- list
						key := fmt.Sprint("key", i%50)
						from := list[len(list)-1-i%3]
						for _, n := range list[3:] {
							n.get(t, key)
						}
						ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
						start := time.Now()
						err := from.group.Remove(ctx, key)
						cancel()
						removes++
						slowest = max(slowest, time.Since(start))
						if err != nil {
							failed++
							t.Errorf("%v", err)
						}
					}
				}()
				for i := range size {
					old := nodes[0]
					nodes = append(slices.Clone(nodes[1:]), startSimNode(t, net, size+i, c))
					tell(append([]*node{}, nodes...))
					<-current
					current <- nodes
					time.Sleep(2 * spread)
					end(net, strings.TrimSuffix(strings.TrimPrefix(old.url, "http://"), ":8001"))
					time.Sleep(2 * time.Second)
				}
				close(done)
				<-over
				t.Logf("%d Removes, the slowest took %v", removes, slowest)
				if failed > 0 || slowest > spread+detection+retell {
					t.Errorf("%d of %d Removes failed, the slowest took %v", failed, removes, slowest)
				}
				for i := range size {
					net.Thaw(host(i))
				}
			})
		})
	}
}

// retell is how long a Remove waits at most before it tries again.
const retell = 200 * time.Millisecond

// Whatever views do, a Remove ends when its context does, or without a deadline within the
// documented time.
func TestRemoveEndsWhileViewsChangeAllTheTime(t *testing.T) {
	for name, other := range map[string]int{"and they agree": 3, "and one peer has another": 2} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				net.SetLatency(60*time.Millisecond, 60*time.Millisecond) // a round takes longer than a view stays
				nodes := newSimCluster(t, net, 4, simConfig{getter: &editions{}})
				ctx, stop := context.WithCancel(t.Context())
				stopped := make(chan struct{})
				go func() {
					defer close(stopped)
					for i := 0; ctx.Err() == nil; i++ {
						introduce(t, nodes[:other], nodes[:3+i%2]...)
						time.Sleep(50 * time.Millisecond)
					}
				}()
				bounded, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				for most, ctx := range map[time.Duration]context.Context{7 * time.Second: bounded, time.Minute + 5*time.Second: context.Background()} {
					start := time.Now()
					err := nodes[0].group.Remove(ctx, "k")
					took := time.Since(start)
					failed, ok := errors.AsType[*peercache.InvalidationError](err)
					if err != nil && (!ok || len(failed.Pending) == 0) {
						t.Errorf("error %v: want one that names peers", err)
					}
					if took > most+time.Second {
						t.Errorf("it took %v, want %v at most", took, most)
					}
				}
				stop()
				<-stopped
				introduce(t, nodes, nodes...)
			})
		})
	}
}

// The text of an error names a few peers, and counts the others.
func TestInvalidationErrorIsShort(t *testing.T) {
	e := &peercache.InvalidationError{Group: "g"}
	for i := range 499 {
		e.Pending = append(e.Pending, peercache.Pending{Peer: fmt.Sprint("http://", host(i)), Err: errors.New("connection refused")})
	}
	text := e.Error()
	if len(text) > 1000 || !strings.Contains(text, host(0)) || !strings.HasSuffix(text, "and by 494 more") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

// A difference of lists is named: by Remove, and by Ready.
func TestP8RemoveNamesTheDifference(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 4, simConfig{getter: &editions{}})
		introduce(t, nodes[:1], nodes[0], nodes[1], nodes[3]) // it lacks the third
		introduce(t, nodes[1:3], nodes[:3]...)                // these lack the fourth
		time.Sleep(time.Second)
		start := time.Now()
		err := nodes[1].group.Remove(inside(t), "k")
		p := pending(t, err, nodes[0])
		for _, want := range []string{
			nodes[3].url + " is in its list and not in this one's", nodes[2].url + " is in this one's list and not in its",
		} {
			if !strings.Contains(p.Err.Error(), want) {
				t.Errorf("error %v: want %q", p.Err, want)
			}
		}
		if took := time.Since(start); took < peercache.DefaultLease || took > peercache.DefaultLease+time.Second {
			t.Errorf("it took %v, want the time of a lease", took)
		}
	})
}

// After the own Shutdown, peers that end do so unheard: the error says that this is why.
func TestRemoveAfterTheOwnShutdownSaysSo(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}})
		key := keyOwnedBy(t, nodes, 0, 1)
		nodes[0].stop(t)
		if err := nodes[0].group.Remove(inside(t), key); err != nil {
			t.Errorf("while all peers are there: %v", err)
		}
		nodes[1].stop(t)
		err := nodes[0].group.Remove(inside(t), key)
		pending(t, err, nodes[1])
		if !errors.Is(err, peercache.ErrClosed) || !strings.HasPrefix(err.Error(), `peercache: group "test": `+peercache.ErrClosed.Error()) {
			t.Errorf("error %v: want one that begins with ErrClosed", err)
		}
	})
}

// A peer may say of the holders of copies what it likes: no lease is longer than a minute.
func TestP10PendingIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		left time.Duration
		most time.Duration
	}{
		"too long": {math.MaxInt64, time.Minute}, "over": {math.MinInt64, 0}, "some": {time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				picker := &onePeer{held: []peercache.Holder{{Peer: "http://10.0.0.9:8001", Left: c.left, Reason: "why"}}}
				g, err := peercache.NewGroup("test", 1<<20, &editions{}, peercache.WithPeers(picker))
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				if err := g.Remove(ctx, "k"); err != nil {
					t.Errorf("error %v: want it to outlast the copy", err)
				}
				if took := time.Since(start); took < c.most || took > c.most+time.Second {
					t.Errorf("it took %v, want %v", took, c.most)
				}
			})
		})
	}
}

// onePeer is a PeerPicker of one peer that names holders for each change.
type onePeer struct{ held []peercache.Holder }

func (p *onePeer) Register(*peercache.Group) error     { return nil }
func (p *onePeer) Pick(_ string, n int) peercache.Peer { return p.Peers()[0] }
func (p *onePeer) Peers() []peercache.Peer             { return []peercache.Peer{p} }
func (p *onePeer) Name() string                        { return "http://10.0.0.2:8001" }

func (p *onePeer) Get(context.Context, peercache.Query) (peercache.Answer, error) {
	return peercache.Answer{}, errors.ErrUnsupported
}

func (p *onePeer) Change(context.Context, peercache.Change) ([]peercache.Holder, error) {
	return p.held, nil
}
