package peertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
)

// oneLoad has all processes get all keys at once, alone and many together. Where a process was
// silent because the machine is busy, the next one has loaded its keys, as it should: then the
// check begins anew, twice at most.
func oneLoad(t testing.TB, h Harness) {
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("key %d", i))
	}
	for again := 2; ; again-- {
		o := newOrigin()
		o.load = func(_ context.Context, key string) (peercache.Item, error) {
			pause(context.Background(), time.Millisecond)
			return peercache.Item{Value: []byte("value of " + key)}, nil
		}
		nodes := newNodes(t, h, 4, o)
		getEverywhere(t, nodes, keys)
		var silent int64
		for _, n := range nodes {
			silent += n.group.Stats().PeerErrors
		}
		if silent > 0 && again > 0 && !t.Failed() {
			continue
		}
		for _, key := range keys {
			if loads := o.count(key); loads != 1 {
				t.Errorf("%q was loaded %d times: want once in the cluster (P1); peers could not be reached %d times", key, loads, silent)
			}
		}
		return
	}
}

// getEverywhere gets all keys at all nodes at once, by Get and by GetMulti.
func getEverywhere(t testing.TB, nodes []*node, keys []string) {
	right := func(n *node, key string, view peercache.ByteView, err error) {
		if err != nil || view.String() != "value of "+key {
			t.Errorf("Get of %q at %s: %.40q, %v", key, n.name, view, err)
		}
	}
	var all sync.WaitGroup
	for _, n := range nodes {
		for part := range 4 {
			all.Go(func() {
				for i := range keys {
					key := keys[(i+part*25)%len(keys)]
					view, err := n.group.Get(within(t), key)
					right(n, key, view, err)
				}
			})
		}
		all.Go(func() {
			for i, r := range n.group.GetMulti(within(t), keys) {
				right(n, keys[i], r.View, r.Err)
			}
		})
	}
	all.Wait()
}

// largeValues has all processes get a large value at once.
func largeValues(t testing.TB, h Harness) {
	o := newOrigin()
	o.load = func(context.Context, string) (peercache.Item, error) {
		return peercache.Item{Value: make([]byte, 3<<20)}, nil
	}
	nodes := newNodes(t, h, 4, o)
	large := nodes[0].ownedBy(t, nodes[1], "large")
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() {
			if view, err := n.group.Get(within(t), large); err != nil || view.Len() != 3<<20 {
				t.Errorf("Get of a value of 3 MiB at %s: %d bytes, %v", n.name, view.Len(), err)
			}
		})
	}
	all.Wait()
}

// terminal asks a process for a key that another one owns (P2).
func terminal(t testing.TB, h Harness) {
	o := newOrigin()
	nodes := newNodes(t, h, 3, o)
	asker := &local{who: nodes[2].pool.Identity()}
	conn := h.Transport(t, nodes[2].name).Dial(asker, nodes[0].name)
	defer conn.Close(within(t))
	key := nodes[0].ownedBy(t, nodes[1], "key")
	before := nodes[1].spy.loads.Load()
	a, err := conn.Get(within(t), &peer.Query{Group: "peertest", Key: key})
	if err != nil || string(a.Value) != "0" || o.count(key) != 1 {
		t.Errorf("a process that was asked for a key of another one: %q, %v, and %d loads, want it to load", a.Value, err, o.count(key))
	}
	if asked := nodes[1].spy.loads.Load() - before; asked > 0 {
		t.Errorf("a process that was asked has asked another one to load, %d times", asked)
	}
}

// callersLeave has callers at several processes leave while the key is loaded (P3).
func callersLeave(t testing.TB, h Harness) {
	begun, release := make(chan struct{}, 10), make(chan struct{})
	o := newOrigin()
	o.load = func(ctx context.Context, key string) (peercache.Item, error) {
		begun <- struct{}{}
		select {
		case <-release:
			return peercache.Item{Value: []byte("v")}, nil
		case <-ctx.Done():
			return peercache.Item{}, ctx.Err()
		}
	}
	nodes := newNodes(t, h, 3, o)
	key := nodes[0].ownedBy(t, nodes[1], "key")
	leaves, leave := context.WithCancel(context.Background())
	left, stayed := make(chan error, 2), make(chan error, 2)
	go func() { // the first, whose leaving must not end the load
		_, err := nodes[0].group.Get(leaves, key)
		left <- err
	}()
	<-begun
	for _, n := range []*node{nodes[0], nodes[2]} {
		go func() {
			_, err := n.group.Get(within(t), key)
			stayed <- err
		}()
	}
	leave()
	select {
	case err := <-left:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who left: %v, want context.Canceled", err)
		}
	case <-time.After(patience):
		t.Error("a caller goes on waiting after its context has ended")
	}
	close(release)
	for range 2 {
		if err := <-stayed; err != nil {
			t.Errorf("a caller who stayed: %v", err)
		}
	}
	if n := o.count(key); n != 1 {
		t.Errorf("the key was loaded %d times, want once", n)
	}
}

// getterErrors checks that the error of a getter is the answer, wherever it ran (P6).
func getterErrors(t testing.TB, h Harness) {
	kinds := map[string]error{
		"not found": peer.ErrNotFound, "too large": peer.ErrValueSize, "slow": context.DeadlineExceeded, "canceled": context.Canceled,
		"other cluster": nil, "broken": nil,
	}
	o := newOrigin()
	o.load = func(_ context.Context, key string) (peercache.Item, error) {
		switch kind, _, _ := strings.Cut(key, "-"); {
		case kind == "too large":
			return peercache.Item{Value: make([]byte, 4<<20+1)}, nil
		case kind == "other cluster":
			return peercache.Item{}, &peer.PeerError{Peer: "http://other", Err: fmt.Errorf("broken %w", peer.ErrClosed)}
		case kinds[kind] != nil:
			return peercache.Item{}, fmt.Errorf("the origin: %w", kinds[kind])
		}
		return peercache.Item{}, errors.New("broken origin")
	}
	nodes := newNodes(t, h, 3, o)
	for kind, want := range kinds {
		for _, many := range []bool{false, true} {
			key := nodes[0].ownedBy(t, nodes[1], fmt.Sprintf("%s-%v-", kind, many))
			other := nodes[0].ownedBy(t, nodes[1], fmt.Sprintf("broken-%s-%v-", strings.ReplaceAll(kind, " ", ""), many))
			ask := func() error {
				if !many {
					_, err := nodes[0].group.Get(within(t), key)
					return err
				}
				return nodes[0].group.GetMulti(within(t), []string{other, key})[1].Err
			}
			err := ask()
			remote, ok := errors.AsType[*peer.RemoteError](err)
			if !ok || remote.Peer != nodes[1].name || peer.Unreachable(err) {
				t.Errorf("%s (many: %v): %v, want a *peer.RemoteError of %s", kind, many, err, nodes[1].name)
				continue
			}
			if want != nil && !errors.Is(err, want) {
				t.Errorf("%s (many: %v): %v, which is not %v", kind, many, err, want)
			}
			if kind == "broken" && !strings.Contains(remote.Message, "broken origin") {
				t.Errorf("the text of the error is %q", remote.Message)
			}
			if n := o.count(key); n != 1 {
				t.Errorf("%s (many: %v): there were %d loads, want one: an error is an answer", kind, many, n)
			}
			if errors.Is(want, peer.ErrNotFound) {
				if ask(); o.count(key) != 1 {
					t.Errorf("%s (many: %v): loaded again, want it remembered (WithNegativeTTL)", kind, many)
				}
			}
		}
	}
	if s := nodes[0].group.Stats(); s.PeerErrors > 0 {
		t.Errorf("%d errors of a getter count as failures to reach a peer", s.PeerErrors)
	}
}

// ownerGone ends the owner of a key without a word: the next process loads it, once.
func ownerGone(t testing.TB, h Harness) {
	o := newOrigin()
	nodes := newNodes(t, h, 4, o)
	key := nodes[0].ownedBy(t, nodes[3], "key")
	nodes[3].crash()
	var all sync.WaitGroup
	for _, n := range nodes[:3] {
		for range 3 {
			all.Go(func() {
				if _, err := n.versionAt(within(t), key); err != nil {
					t.Errorf("Get at %s of a key whose owner is gone: %v", n.name, err)
				}
			})
		}
	}
	all.Wait()
	if n := o.count(key); n != 1 {
		t.Errorf("a key whose owner is gone was loaded %d times, want once, by the next", n)
	}
}

// contextTravels checks that the getter sees what a ContextCodec carries.
func contextTravels(t testing.TB, h Harness) {
	if h.lacks(QueryFields) {
		return
	}
	o := newOrigin()
	o.load = func(ctx context.Context, key string) (peercache.Item, error) {
		name, _ := ctx.Value(tenant{}).(string)
		return peercache.Item{Value: []byte(name)}, nil
	}
	nodes := newNodes(t, h, 2, o)
	ctx := context.WithValue(within(t), tenant{}, "shop \x00\xff")
	one := nodes[0].ownedBy(t, nodes[1], "one")
	if view, err := nodes[0].group.Get(ctx, one); err != nil || view.String() != "shop \x00\xff" {
		t.Errorf("Get: the getter saw %q, %v", view, err)
	}
	keys := []string{nodes[0].ownedBy(t, nodes[1], "two"), nodes[0].ownedBy(t, nodes[1], "three")}
	for i, r := range nodes[0].group.GetMulti(ctx, keys) {
		if r.Err != nil || r.View.String() != "shop \x00\xff" {
			t.Errorf("GetMulti of %s: the getter saw %q, %v", keys[i], r.View, r.Err)
		}
	}
}

// twoOfOneName starts a process with the name of another one, which nobody asks: what it has
// cached would not hear of changes. It must find out.
func twoOfOneName(t testing.TB, h Harness) {
	if h.lacks(QueryFields) {
		return
	}
	o := newOrigin()
	nodes := newNodes(t, h, 2, o)
	copied := unservedNode(t, h, nodes[1].name, o)
	if err := copied.pool.Set(nodes[0].name, nodes[1].name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a Remove to say that another process has the name of this one", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err := copied.group.Remove(ctx, "key")
		problem, ok := errors.AsType[*peer.ConfigError](err)
		return ok && problem.Problem == peer.WrongProcess && errors.Is(err, peer.ErrWrongPeer)
	})
	for range 2 {
		if _, err := copied.group.Get(within(t), "key"); err != nil {
			t.Errorf("Get at a process that has the name of another one: %v, want it loaded", err)
		}
	}
	if s := copied.group.Stats(); s.Main.Items > 0 {
		t.Errorf("a process that has the name of another one keeps %d values", s.Main.Items)
	}
}

// otherCluster has a process of another cluster in the list.
func otherCluster(t testing.TB, h Harness) {
	o := newOrigin()
	ours, theirs := newNode(t, h, h.Address(t), o, peercache.WithCluster("ours")), newNode(t, h, h.Address(t), o, peercache.WithCluster("theirs"))
	introduce(t, ours, theirs)
	key := ours.ownedBy(t, theirs, "key")
	if _, err := ours.group.Get(within(t), key); err != nil {
		t.Errorf("Get of a key whose owner is of another cluster: %v, want it loaded here", err)
	}
	if n := theirs.spy.loads.Load(); n > 0 {
		t.Errorf("a process of another cluster was asked to load %d times", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := ours.group.Remove(ctx, key); !errors.Is(err, peer.ErrWrongPeer) {
		t.Errorf("Remove of a key whose owner is of another cluster: %v, want an error that is peer.ErrWrongPeer", err)
	}
}
