package integration

import (
	"crypto/tls"
	"strings"
	"testing"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery/etcd"
	"github.com/peercache/peercache/internal/testca"
)

// TestTLS has an etcd that wants a certificate of each client.
func TestTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := testca.New(t, "ours"), testca.New(t, "another")
	// The name of etcd is that of its socket.
	files := func(ca *testca.CA) *testca.Dir {
		dir := testca.NewDir(t)
		dir.Write(ca.Sign(testca.Template("client")), ours)
		return dir
	}
	dir := files(ours)
	s := newServer(t, "unixs")
	s.config.ClientTLSInfo = transport.TLSInfo{CertFile: dir.Cert, KeyFile: dir.Key, TrustedCAFile: dir.CA, ClientCertAuth: true}
	s.start(t)
	t.Cleanup(s.stop)

	// as the documentation says it
	fromFiles := func(dir *testca.Dir) *tls.Config {
		config, err := transport.TLSInfo{CertFile: dir.Cert, KeyFile: dir.Key, TrustedCAFile: dir.CA}.ClientConfig()
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	discover := func(t *testing.T, log *lines, config *tls.Config) *peer {
		d, err := etcd.NewFromConfig(clientv3.Config{Endpoints: []string{s.endpoint}, TLS: config}, prefix,
			etcd.WithLeaseTTL(ttl), etcd.WithLogger(log.logger()))
		if err != nil {
			t.Fatal(err)
		}
		return runPeer(t, a, d)
	}
	t.Run("right", func(t *testing.T) {
		p := discover(t, newLines(), fromFiles(dir))
		p.awaitPeers(t, 0, a)
		p.stop(t)
	})
	for name, tt := range map[string]struct {
		config *tls.Config
		want   string // of etcd's refusal, a client learns now and then that it was about the certificate
	}{
		"no certificate":              {&tls.Config{RootCAs: testca.Pool(ours)}, "connection error"},
		"a certificate of another CA": {fromFiles(files(theirs)), "connection error"},
		"another CA for etcd":         {&tls.Config{RootCAs: testca.Pool(theirs)}, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			log := newLines()
			p := discover(t, log, tt.config)
			<-log.written
			p.stop(t)
			if len(p.seen(0)) > 0 {
				t.Errorf("it has seen %v", p.seen(0))
			}
			if text := log.String(); !strings.Contains(text, tt.want) {
				t.Errorf("want a warning with %q:\n%s", tt.want, text)
			}
		})
	}
}
