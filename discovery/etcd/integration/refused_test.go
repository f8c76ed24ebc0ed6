package integration

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery/etcd"
)

// enableAuth makes users: root, and one each who may use the keys of the prefix,
// and other keys. Their passwords are their names.
func enableAuth(t *testing.T, client *clientv3.Client) {
	t.Helper()
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.RoleAdd(ctx, "root"))
	for name, keys := range map[string]string{"shop": prefix, "stranger": "/other/"} {
		must(client.RoleAdd(ctx, name))
		must(client.RoleGrantPermission(ctx, name, keys, clientv3.GetPrefixRangeEnd(keys), clientv3.PermissionType(clientv3.PermReadWrite)))
	}
	for _, name := range []string{"root", "shop", "stranger"} {
		must(client.UserAdd(ctx, name, name))
		must(client.UserGrantRole(ctx, name, name))
	}
	must(client.AuthEnable(ctx))
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	enableAuth(t, newClient(t, s.endpoint))
	for _, tc := range []struct {
		name, user, password string
		want                 error
	}{
		{"right", "shop", "shop", nil},
		{"none", "", "", rpctypes.ErrUserEmpty},
		{"wrong password", "shop", "guess", rpctypes.ErrAuthFailed},
		{"unknown user", "nobody", "nobody", rpctypes.ErrAuthFailed},
		{"not allowed", "stranger", "stranger", rpctypes.ErrPermissionDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := etcd.NewFromConfig(clientv3.Config{
				Endpoints: []string{s.endpoint}, Username: tc.user, Password: tc.password,
			}, prefix, etcd.WithLeaseTTL(ttl), etcd.WithLogger(testLog(t)))
			if err != nil {
				t.Fatal(err)
			}
			p := runPeer(t, a, d)
			if tc.want == nil {
				p.awaitPeers(t, 0, a)
				p.stop(t)
				return
			}
			if err := p.ended(t); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), s.endpoint) {
				t.Errorf("Run returned %v: want %v, and which etcd", err, tc.want)
			}
			if len(p.seen(0)) > 0 {
				t.Errorf("views of one who may not read them: %v", p.seen(0))
			}
		})
	}
}

// TestRefusedLater takes the right to the keys away from a process that runs, and
// gives it back: that is an outage like others.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	enableAuth(t, newClient(t, s.endpoint))
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{s.endpoint}, Username: "root", Password: "root"})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	d, err := etcd.NewFromConfig(clientv3.Config{
		Endpoints: []string{s.endpoint}, Username: "shop", Password: "shop",
	}, prefix, etcd.WithLeaseTTL(ttl), etcd.WithLogger(testLog(t)))
	if err != nil {
		t.Fatal(err)
	}
	p := runPeer(t, a, d)
	n := p.awaitPeers(t, 0, a)
	if _, err := root.UserRevokeRole(t.Context(), "shop", "shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Delete(t.Context(), prefix+a); err != nil {
		t.Fatal(err)
	}
	n = p.awaitLapsed(t, n)
	if _, err := root.UserGrantRole(t.Context(), "shop", "shop"); err != nil {
		t.Fatal(err)
	}
	p.awaitPeers(t, n, a)
}

// lines is a log that can be waited for.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func newLines() *lines { return &lines{written: make(chan struct{}, 1)} }

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.written <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestNobodyListens starts a process before etcd: it warns, once, waits, and
// registers when etcd is there.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.stop()
	log := newLines()
	d, err := etcd.NewFromConfig(clientv3.Config{Endpoints: []string{s.endpoint}}, prefix,
		etcd.WithLeaseTTL(ttl), etcd.WithLogger(log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	p := runPeer(t, a, d)
	<-log.written
	s.start(t)
	p.awaitPeers(t, 0, a)
	text := log.String()
	if strings.Count(text, "level=WARN msg=\"discovery/etcd: not registered") != 1 || !strings.Contains(text, "level=INFO msg=\"discovery/etcd: registered") {
		t.Errorf("want one warning, and that it is over:\n%s", text)
	}
	if !strings.Contains(text, s.endpoint) || !strings.Contains(text, "no such file") {
		t.Errorf("the log does not say which etcd, and why it cannot be reached:\n%s", text)
	}
}

// TestSilence finds an etcd that takes connections and says nothing: it warns, and
// can be stopped all the same.
func TestSilence(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log := newLines()
	d, err := etcd.NewFromConfig(clientv3.Config{
		Endpoints: []string{l.Addr().String()}, Username: "shop", Password: "shop", DialTimeout: ttl,
	}, prefix, etcd.WithLeaseTTL(ttl), etcd.WithLogger(log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	p := runPeer(t, a, d)
	<-log.written
	p.stop(t)
}
