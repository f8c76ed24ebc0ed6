package integration

import (
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/etcd"
)

const (
	a = "http://10.0.0.1:8001"
	b = "http://10.0.0.2:8001"
	c = "http://10.0.0.3:8001"
)

// keyOf reads the key of a process.
func keyOf(t *testing.T, client *clientv3.Client, url string) *clientv3.GetResponse {
	t.Helper()
	resp, err := client.Get(t.Context(), prefix+url)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestPeersSeeEachOther(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	client := newClient(t, s.endpoint)
	first := startPeer(t, a, client)
	n := first.awaitPeers(t, 0, a)
	second := startPeer(t, b, newClient(t, s.endpoint))
	n = first.awaitPeers(t, n, a, b)
	second.awaitPeers(t, 0, a, b)

	second.stop(t)
	if resp := keyOf(t, client, b); resp.Count != 0 {
		t.Errorf("the key of a process that stopped is there: %v", resp.Kvs)
	}
	first.awaitPeers(t, n, a)
	if leases, err := client.Leases(t.Context()); err != nil || len(leases.Leases) != 1 {
		t.Errorf("leases of one process: %v, %v", leases, err)
	}
}

func TestClustersArePrefixes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	client := newClient(t, s.endpoint)
	if _, err := client.Put(t.Context(), prefix[:len(prefix)-1]+"2/"+c, c); err != nil {
		t.Fatal(err)
	}
	startPeer(t, a, client).awaitPeers(t, 0, a)
}

// TestDead cuts one process off for good: it leaves the view of the other when its
// lease has run out, and neither before nor long after that.
func TestDead(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second // of a second, etcd's own grain is half
	s := startServer(t)
	g := startGate(t, s)
	client := newClient(t, s.endpoint)
	idle := &watches{Watcher: client.Watcher}
	client.Watcher = idle
	alive := startPeer(t, a, client, etcd.WithLeaseTTL(ttl/2))
	dead := startPeer(t, b, newClient(t, g.endpoint), etcd.WithLeaseTTL(ttl))
	dead.awaitPeers(t, 0, a, b)
	n := alive.awaitPeers(t, 0, a, b)
	shut := time.Now()
	g.shut()

	m := dead.awaitLapsed(t, 0)
	lapsed := time.Since(shut)
	alive.awaitPeers(t, n, a)
	left := time.Since(shut)
	// The last renewal was at most a third of the TTL before. etcd looks for leases
	// that have run out twice a second.
	if left < ttl/2 || left > ttl+3*time.Second {
		t.Errorf("a process that died left after %v: want the TTL, %v", left, ttl)
	}
	if lapsed >= left {
		t.Errorf("lapsed after %v, but the others knew after %v", lapsed, left)
	}
	if v := dead.seen(m - 1)[0]; !slices.Equal(v.Peers, []string{a, b}) {
		t.Errorf("lapsed with %v: want the last peers, %v", v.Peers, []string{a, b})
	}
	// More than two TTLs of the one that lives have passed.
	if n := idle.n.Load(); n != 1 {
		t.Errorf("%d watches, where nothing was wrong with the first", n)
	}
	g.mend()
	dead.awaitPeers(t, m, a, b)
}

// TestRegistrationTakenAway revokes the lease of a process that lives, deletes its
// key, and writes to it: each time it says that it lapsed, and registers again.
func TestRegistrationTakenAway(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	client := newClient(t, s.endpoint)
	other := startPeer(t, b, newClient(t, s.endpoint))
	p := startPeer(t, a, newClient(t, s.endpoint))
	n, m := p.awaitPeers(t, 0, a, b), other.awaitPeers(t, 0, a, b)
	leaseOf := func() clientv3.LeaseID { return clientv3.LeaseID(keyOf(t, client, a).Kvs[0].Lease) }
	for _, take := range []struct {
		name string
		how  func() error
		gone bool // the other sees it
	}{
		{"revoked", func() error { _, err := client.Revoke(t.Context(), leaseOf()); return err }, true},
		{"deleted", func() error { _, err := client.Delete(t.Context(), prefix+a); return err }, true},
		{"overwritten", func() error { _, err := client.Put(t.Context(), prefix+a, a); return err }, false},
	} {
		lease := leaseOf()
		if err := take.how(); err != nil {
			t.Fatal(take.name, err)
		}
		n = p.awaitPeers(t, p.awaitLapsed(t, n), a, b)
		if take.gone {
			m = other.awaitPeers(t, other.awaitPeers(t, m, b), a, b)
		}
		if again := leaseOf(); again == lease || again == clientv3.NoLease {
			t.Errorf("%s: the key hangs on lease %d, after %d: want another", take.name, again, lease)
		}
	}
	p.checkKept(t, 2, a, b)
}

// TestSameURLTwice restarts a process before its lease has run out: the key passes
// over to the new one, and is not taken away with the lease of the old one.
func TestSameURLTwice(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	g := startGate(t, s)
	startPeer(t, b, newClient(t, g.endpoint)).awaitPeers(t, 0, b)
	other := startPeer(t, a, newClient(t, s.endpoint))
	n := other.awaitPeers(t, 0, a, b)
	g.shut()
	again := startPeer(t, b, newClient(t, s.endpoint))
	again.awaitPeers(t, 0, a, b)
	client := newClient(t, s.endpoint)
	awaitLeases(t, client, 2)
	other.checkKept(t, n-1, a, b)
	if keyOf(t, client, b).Count != 1 {
		t.Error("the key has gone with the lease of the process before")
	}
	g.mend()
}

// awaitLeases waits until etcd has so many leases.
func awaitLeases(t *testing.T, client *clientv3.Client, n int) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := client.Leases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Leases) == n {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d leases: want %d", len(resp.Leases), n)
		}
	}
}

// TestRubbish registers what is no base URL: it is passed on. The value counts, not
// the key, and two keys with one value are one peer.
func TestRubbish(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	client := newClient(t, s.endpoint)
	put := func(key, value string) {
		if _, err := client.Put(t.Context(), prefix+key, value); err != nil {
			t.Fatal(err)
		}
	}
	put("x", "no URL")
	put("y", "")
	put("by-hand", c)
	put("by-hand-too", c)
	p := startPeer(t, a, client)
	n := p.awaitPeers(t, 0, "", a, c, "no URL")
	put("z", "\xff")
	p.await(t, n, "with rubbish", func(v discovery.View) bool { return slices.Contains(v.Peers, "\xff") })
}
