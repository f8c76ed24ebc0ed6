package integration

import (
	"net/url"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// patience is how long a test waits for what takes moments.
const patience = 20 * time.Second

// server is an etcd that can be stopped, and started again with the same data at
// the same address: a socket in the file system, whose name nobody else takes.
type server struct {
	endpoint string
	config   *embed.Config
	etcd     *embed.Etcd
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t, "unix")
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

// newServer makes one that is to be started. The scheme is unix, or unixs for one with TLS.
func newServer(t *testing.T, scheme string) *server {
	t.Helper()
	dir := t.TempDir()
	c := embed.NewConfig()
	c.Dir = filepath.Join(dir, "data")
	c.LogLevel = "fatal"
	// The least TTL of a lease follows from these: one second.
	c.TickMs, c.ElectionMs = 20, 200
	c.UnsafeNoFsync = true
	c.BcryptCost = 4 // the least
	client := url.URL{Scheme: scheme, Path: filepath.Join(dir, "client")}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(dir, "peer")}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	return &server{endpoint: client.String(), config: c}
}

func (s *server) start(t *testing.T) {
	t.Helper()
	etcd, err := embed.StartEtcd(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.etcd = etcd
	select {
	case <-etcd.Server.ReadyNotify():
	case <-time.After(patience):
		t.Fatal("etcd does not start")
	}
}

// stop may be called again.
func (s *server) stop() {
	if s.etcd != nil {
		s.etcd.Close()
		s.etcd = nil
	}
}

// newClient makes a client for etcd at an endpoint, or a gate to it.
func newClient(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}
