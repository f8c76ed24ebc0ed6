package integration

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/etcd"
)

const (
	prefix = "/peercache/test/"
	ttl    = time.Second
)

// peer is a process of a cluster: a Discovery that runs, and what it has reported.
type peer struct {
	url    string
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of Run

	mu      sync.Mutex
	views   []discovery.View
	changed chan struct{} // closed when there is another view
}

// startPeer runs a Discovery until the test ends.
func startPeer(t *testing.T, url string, client *clientv3.Client, opts ...etcd.Option) *peer {
	t.Helper()
	d, err := etcd.New(client, prefix, append([]etcd.Option{etcd.WithLeaseTTL(ttl), etcd.WithLogger(testLog(t))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return runPeer(t, url, d)
}

func runPeer(t *testing.T, url string, d discovery.Discovery) *peer {
	ctx, cancel := context.WithCancel(t.Context())
	p := &peer{url: url, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = d.Run(ctx, url, p.report)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
		if t.Failed() {
			t.Logf("%s: %v", url, p.views)
		}
	})
	return p
}

func (p *peer) report(v discovery.View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.views = append(p.views, v)
	close(p.changed)
	p.changed = make(chan struct{})
}

// seen returns the views that were reported, but for the first n.
func (p *peer) seen(n int) []discovery.View {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.views[n:])
}

// await waits until there is a view like that after the first n, and returns the
// number of those up to it.
func (p *peer) await(t *testing.T, n int, want string, like func(discovery.View) bool) int {
	t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		views, changed := p.views[n:], p.changed
		p.mu.Unlock()
		if i := slices.IndexFunc(views, like); i >= 0 {
			return n + i + 1
		}
		n += len(views)
		select {
		case <-changed:
		case <-p.done:
			t.Fatalf("%s: Run returned %v, want a view: %s", p.url, p.err, want)
		case <-deadline:
			t.Fatalf("%s: no view like that: %s", p.url, want)
		}
	}
}

// awaitPeers waits until the view after the first n is of these peers, and holds.
func (p *peer) awaitPeers(t *testing.T, n int, urls ...string) int {
	t.Helper()
	slices.Sort(urls)
	return p.await(t, n, "of all peers", func(v discovery.View) bool {
		return !v.Lapsed && slices.Equal(v.Peers, urls)
	})
}

// awaitLapsed waits until a view after the first n is lapsed.
func (p *peer) awaitLapsed(t *testing.T, n int) int {
	t.Helper()
	return p.await(t, n, "lapsed", func(v discovery.View) bool { return v.Lapsed })
}

// checkKept checks that all views after the first n have these peers.
func (p *peer) checkKept(t *testing.T, n int, urls ...string) {
	t.Helper()
	for _, v := range p.seen(n) {
		for _, url := range urls {
			if !slices.Contains(v.Peers, url) {
				t.Errorf("%s: %s lives and is not in the view %v", p.url, url, v)
			}
		}
	}
}

// ended waits until Run has returned, and returns its error.
func (p *peer) ended(t *testing.T) error {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s: Run does not return", p.url)
	}
	return p.err
}

// stop ends Run, and checks that it returns nil, soon.
func (p *peer) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	if err := p.ended(t); err != nil {
		t.Errorf("%s: Run returned %v: want nil", p.url, err)
	}
}

// testLog is the log of a test.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
