package peercache_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
)

// noPeers is a transport that reaches nobody.
type noPeers struct{}

func (noPeers) Check(string) error                { return nil }
func (noPeers) Dial(peer.Local, string) peer.Conn { return noPeers{} }

var errNoPeers = &peer.PeerError{Peer: "there", Err: peer.ErrRefused}

func (noPeers) Get(context.Context, *peer.Query) (peer.Answer, error) {
	return peer.Answer{}, errNoPeers
}
func (noPeers) Change(context.Context, *peer.Change) (peer.Changed, error) {
	return peer.Changed{}, errNoPeers
}
func (noPeers) Ping(context.Context) (peer.Identity, error) { return peer.Identity{}, errNoPeers }
func (noPeers) Wake()                                       {}
func (noPeers) Replaced(uint32)                             {}
func (noPeers) Close(context.Context)                       {}

// TestNewPoolRefusesOptionsOfHTTP shows that an option which has an effect over HTTP alone is an
// error of NewPool, which names it, and that the others are accepted.
func TestNewPoolRefusesOptionsOfHTTP(t *testing.T) {
	for name, opt := range map[string]peercache.PoolOption{
		"WithBasePath":         peercache.WithBasePath("/cache/"),
		"WithGroupcacheCompat": peercache.WithGroupcacheCompat(),
		"WithPeerTimeout":      peercache.WithPeerTimeout(time.Minute),
		"WithLargeValue":       peercache.WithLargeValue(1 << 20),
		"WithMaxLargeRequests": peercache.WithMaxLargeRequests(8),
		"WithoutStream":        peercache.WithoutStream(),
		"WithRequestMemory":    peercache.WithRequestMemory(1 << 30),
		"WithAnswerMemory":     peercache.WithAnswerMemory(1 << 30),
		"WithRequestTimeout":   peercache.WithRequestTimeout(time.Second),
		"WithHosts":            peercache.WithHosts("cache.example"),
		"WithStreamLimits":     peercache.WithStreamLimits(peercache.StreamLimits{}),
		"WithTransport":        peercache.WithTransport(http.DefaultTransport),
	} {
		_, err := peercache.NewPool("http://here", noPeers{}, opt)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "NewHTTPPool") {
			t.Errorf("NewPool with %s: error %v, want one that names the option and NewHTTPPool", name, err)
		}
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", opt); err != nil {
			t.Errorf("NewHTTPPool with %s: %v", name, err)
		}
	}
	pool, err := peercache.NewPool("http://here", noPeers{}, peercache.WithDetectionTime(time.Second), peercache.WithCluster("shop"),
		peercache.WithReconnectRate(8), peercache.WithMaxPeers(2), peercache.WithHandover(1, time.Second))
	if err != nil {
		t.Fatalf("NewPool with options of any transport: %v", err)
	}
	if err := pool.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
