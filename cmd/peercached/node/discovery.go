package node

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/discovery/etcd"
	"github.com/peercache/peercache/discovery/gossip"
	"github.com/peercache/peercache/discovery/kubernetes"
)

// newDiscovery makes the discovery that a configuration asks for. It is nil for a static list, which
// the pool is told: that can change while the node runs.
func newDiscovery(p *config.Peers, log *slog.Logger) (discovery.Discovery, error) {
	d := &p.Discovery
	switch {
	case d.Etcd != nil:
		return newEtcd(d.Etcd, log)
	case d.Gossip != nil:
		return newGossip(p, log)
	}
	found, err := newListing(d.File, d.DNS, d.Kubernetes, log)
	if err != nil || d.Gateways == nil {
		return found, err
	}
	gateways, err := newListing(d.Gateways.File, d.Gateways.DNS, d.Gateways.Kubernetes, log)
	if err != nil {
		return nil, err
	}
	return discovery.Merge(found, discovery.WithoutOwnership(gateways))
}

// newListing makes a discovery that registers nobody, nil if there is none.
func newListing(file *config.File, dns *config.DNS, pods *config.Kubernetes, log *slog.Logger) (discovery.Discovery, error) {
	switch {
	case file != nil:
		return discovery.File(file.Path, discovery.WithPoll(file.Poll), discovery.WithLogger(log))
	case dns != nil:
		opts := []discovery.Option{discovery.WithPoll(dns.Poll), discovery.WithKeepMissing(dns.KeepMissing), discovery.WithLogger(log)}
		if dns.SRV {
			return discovery.SRV(dns.URL, opts...)
		}
		return discovery.DNS(dns.URL, opts...)
	case pods != nil:
		opts := []kubernetes.Option{kubernetes.WithLogger(log)}
		if pods.Namespace != "" {
			opts = append(opts, kubernetes.WithNamespace(pods.Namespace))
		}
		if pods.Port != "" {
			opts = append(opts, kubernetes.WithPort(pods.Port))
		}
		return kubernetes.New(pods.Service, opts...)
	}
	return nil, nil
}

func newEtcd(e *config.Etcd, log *slog.Logger) (discovery.Discovery, error) {
	password, err := e.Password.Read()
	if err != nil {
		return nil, fmt.Errorf("the password of etcd: %w", err)
	}
	client := clientv3.Config{Endpoints: e.Endpoints, Username: e.User, Password: password}
	if e.TLS != nil {
		if client.TLS, err = clientTLS(e.TLS); err != nil {
			return nil, err
		}
	}
	return etcd.NewFromConfig(client, e.Prefix, etcd.WithLeaseTTL(e.LeaseTTL), etcd.WithLogger(log))
}

func newGossip(p *config.Peers, log *slog.Logger) (discovery.Discovery, error) {
	g := p.Discovery.Gossip
	profile := map[string]gossip.Profile{"lan": gossip.LAN, "wan": gossip.WAN, "local": gossip.Local}[g.Profile]
	opts := []gossip.Option{gossip.WithBind(g.Bind), gossip.WithProfile(profile), gossip.WithMaxMembers(g.MaxMembers), gossip.WithLogger(log)}
	if len(g.Join) > 0 {
		opts = append(opts, gossip.WithJoin(g.Join...))
	}
	if g.Advertise != "" {
		opts = append(opts, gossip.WithAdvertise(g.Advertise))
	}
	if p.Cluster != "" {
		opts = append(opts, gossip.WithCluster(p.Cluster))
	}
	if g.Key.IsSet() {
		key, err := gossipKey(g.Key)
		if err != nil {
			return nil, err
		}
		var previous [][]byte
		for _, s := range g.PreviousKeys {
			k, err := gossipKey(s)
			if err != nil {
				return nil, err
			}
			previous = append(previous, k)
		}
		opts = append(opts, gossip.WithKey(key, previous...))
	}
	return gossip.New(opts...)
}

// gossipKey returns the bytes of a key: what base64 says, if that has the length of a key.
func gossipKey(s config.Secret) ([]byte, error) {
	text, err := s.Read()
	if err != nil {
		return nil, fmt.Errorf("the key of gossip: %w", err)
	}
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && (len(b) == 16 || len(b) == 24 || len(b) == 32) {
		return b, nil
	}
	return []byte(text), nil
}

// clientTLS returns the configuration of a client. Its certificate is read again for each connection.
func clientTLS(c *config.ClientTLS) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it: want the CAs in PEM", c.CA)
		}
	}
	if c.Cert != "" {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			return nil, err
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
			return &pair, err
		}
	}
	return t, nil
}
