package integration

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/etcd"
)

// startThree starts three processes, each by a client of its own to an endpoint,
// and waits until they see each other. It returns how many views each has had.
func startThree(t *testing.T, endpoint string) (peers []*peer, seen []int) {
	t.Helper()
	for _, url := range []string{a, b, c} {
		peers = append(peers, startPeer(t, url, newClient(t, endpoint)))
	}
	for _, p := range peers {
		seen = append(seen, p.awaitPeers(t, 0, a, b, c))
	}
	return peers, seen
}

// awaitBack waits until all have lapsed and are sure again, and checks that no view
// was without one of them.
func awaitBack(t *testing.T, peers []*peer, seen []int) {
	t.Helper()
	for i, p := range peers {
		p.awaitPeers(t, p.awaitLapsed(t, seen[i]), a, b, c)
	}
	for i, p := range peers {
		p.checkKept(t, seen[i]-1, a, b, c)
	}
}

// awaitSettled waits until the views are of these.
func awaitSettled(t *testing.T, peers []*peer, seen []int, left ...string) {
	t.Helper()
	for i, p := range peers {
		p.awaitPeers(t, seen[i], left...)
	}
}

// TestRestart stops etcd for longer than a lease, and starts it again.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	peers, seen := startThree(t, s.endpoint)
	s.stop()
	for i, p := range peers {
		p.awaitLapsed(t, seen[i])
	}
	s.start(t)
	awaitBack(t, peers, seen)
}

// TestAllExpired cuts all processes off until etcd has no lease any more.
func TestAllExpired(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	g := startGate(t, s)
	peers, seen := startThree(t, g.endpoint)
	g.shut()
	awaitLeases(t, newClient(t, s.endpoint), 0)
	g.mend()
	awaitBack(t, peers, seen)

	// Who does not come back in the time of grace leaves.
	for i, p := range peers[:2] {
		seen[i] = len(p.seen(0))
	}
	g.shut()
	awaitLeases(t, newClient(t, s.endpoint), 0)
	peers[2].stop(t)
	g.mend()
	mended := time.Now()
	awaitSettled(t, peers[:2], seen, a, b)
	if took := time.Since(mended); took < ttl {
		t.Errorf("a process that was missing after an outage left after %v: want at least the TTL, %v", took, ttl)
	}
	for i, p := range peers[:2] {
		p.checkKept(t, seen[i], a, b)
	}
}

// TestCompaction cuts a process off while much happens, and is compacted: it reads
// all again. The lease is a long one, so that it does not lapse.
func TestCompaction(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	g := startGate(t, s)
	log := &lines{written: make(chan struct{}, 1)}
	p := startPeer(t, a, newClient(t, g.endpoint), etcd.WithLeaseTTL(time.Minute),
		etcd.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	n := p.awaitPeers(t, 0, a)
	g.shut()
	client := newClient(t, s.endpoint)
	var revision int64
	for _, url := range []string{b, c} {
		resp, err := client.Put(t.Context(), prefix+url, url)
		if err != nil {
			t.Fatal(err)
		}
		revision = resp.Header.Revision
	}
	if _, err := client.Delete(t.Context(), prefix+b); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), revision+1); err != nil {
		t.Fatal(err)
	}
	g.mend()
	p.awaitPeers(t, n, a, c)
	if !strings.Contains(log.String(), "compacted") {
		t.Errorf("there was no compaction in the way:\n%s", log)
	}
	if slices.ContainsFunc(p.seen(0), func(v discovery.View) bool { return v.Lapsed }) {
		t.Errorf("lapsed: %v", p.seen(0))
	}
}

// watches is a Watcher that counts the watches. The first of them may be deaf.
type watches struct {
	clientv3.Watcher
	deaf bool
	n    atomic.Int32
}

func (w *watches) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	ch := w.Watcher.Watch(ctx, key, opts...)
	if w.n.Add(1) == 1 && w.deaf {
		return make(clientv3.WatchChan)
	}
	return ch
}

// TestSilentWatch has a watch on which nothing comes, while the lease is renewed:
// it is replaced.
func TestSilentWatch(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	client := newClient(t, s.endpoint)
	client.Watcher = &watches{Watcher: client.Watcher, deaf: true}
	p := startPeer(t, a, client)
	n := p.awaitPeers(t, 0, a)
	startPeer(t, b, newClient(t, s.endpoint))
	p.awaitPeers(t, n, a, b)
	if slices.ContainsFunc(p.seen(0), func(v discovery.View) bool { return v.Lapsed }) {
		t.Errorf("lapsed: %v", p.seen(0))
	}
}

// TestStopWithoutServer stops a process that cannot withdraw: it takes two seconds.
func TestStopWithoutServer(t *testing.T) {
	t.Parallel()
	g := startGate(t, startServer(t))
	p := startPeer(t, a, newClient(t, g.endpoint))
	p.awaitPeers(t, 0, a)
	g.shut()
	began := time.Now()
	p.stop(t)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %v to stop: want 2s", took)
	}
}
