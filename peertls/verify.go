package peertls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// accepts says by what, other than its host, a peer may be recognised.
type accepts struct {
	patterns []string // of WithIdentity
}

// WithIdentity accepts a certificate with a URI that matches the pattern, such as a SPIFFE ID,
// "spiffe://prod.example/ns/shop/sa/*", besides those with the host of the peer's base URL. In the
// pattern a * stands for any characters but a slash. All that have such a URI may call themselves
// by any name on the list: the URI says that they belong to the cluster, not which of them they
// are. It may be given more than once.
func WithIdentity(pattern string) Option {
	return func(s *Source) error {
		scheme, rest, ok := strings.Cut(pattern, "://")
		host, _, _ := strings.Cut(rest, "/")
		switch {
		case !ok, scheme == "", host == "":
			return fmt.Errorf("WithIdentity(%q): want a URI, such as spiffe://prod.example/ns/shop/sa/*", pattern)
		case strings.Contains(scheme+host, "*"):
			return fmt.Errorf("WithIdentity(%q): want no * before the path: anybody may own another host", pattern)
		case strings.ContainsAny(pattern, `?[\`):
			return fmt.Errorf("WithIdentity(%q): want no special character but *", pattern)
		}
		s.patterns = append(s.patterns, pattern)
		return nil
	}
}

// holds returns nil if the holder of a certificate may call itself by a host: the certificate has
// it, as a DNS name or an IP address, or a URI that is accepted.
func (a *accepts) holds(leaf *x509.Certificate, host string) error {
	if a.vouches(leaf) {
		return nil
	}
	return leaf.VerifyHostname(host)
}

// Vouches reports whether the other end of a connection, which Verify has accepted, has a URI of
// WithIdentity: it is a process of the cluster. Else the host in its certificate says who it is, and
// not that.
func (s *Source) Vouches(cs *tls.ConnectionState) bool {
	return cs != nil && len(cs.PeerCertificates) > 0 && s.vouches(cs.PeerCertificates[0])
}

// vouches reports whether a certificate has a URI that is accepted.
func (a *accepts) vouches(leaf *x509.Certificate) bool {
	for _, u := range leaf.URIs {
		for _, pattern := range a.patterns {
			if ok, err := path.Match(pattern, u.String()); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// verifyChain returns an error if the chain of a peer does not lead to one of the roots, or is not
// for that side of a connection at that time.
func verifyChain(roots *x509.CertPool, chain []*x509.Certificate, side x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("it has no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{side}, CurrentTime: now}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// Client returns the configuration for a connection to a peer at a host. It is of that one
// connection: the set may be another one at the next.
func (s *Source) Client(host string) *tls.Config {
	if s.load == nil {
		c := s.client.Clone()
		c.NextProtos = []string{"http/1.1"}
		if c.ServerName == "" {
			c.ServerName = host
		}
		return c
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: host,
		NextProtos: []string{"http/1.1"},
		// crypto/tls would verify against the roots of this moment, and knows no URIs. So it
		// verifies nothing, and VerifyConnection all.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			chain := cs.PeerCertificates
			if err := verifyChain(s.current.Load().Roots, chain, x509.ExtKeyUsageServerAuth, s.now()); err != nil {
				return err
			}
			if err := s.holds(chain[0], host); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
			}
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &s.current.Load().Certificate, nil
		},
	}
}

// Server returns the configuration of the server that serves the pool. Each connection is verified
// against the set of that moment.
func (s *Source) Server() *tls.Config {
	if s.load == nil {
		return s.server.Clone()
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		ClientAuth: tls.RequireAnyClientCert, // and VerifyConnection verifies it, see Client
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyChain(s.current.Load().Roots, cs.PeerCertificates, x509.ExtKeyUsageClientAuth, s.now())
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &s.current.Load().Certificate, nil
		},
		// A session that is resumed would bring the certificate of before a rotation.
		SessionTicketsDisabled: true,
	}
}

// Verify returns nil if the other end of a connection, which has asked this process over it, may
// call itself by a host. It verifies the certificate once more, against the set in use now.
func (s *Source) Verify(cs *tls.ConnectionState, host string) error {
	switch {
	case cs == nil:
		return errors.New("it does not use TLS")
	case len(cs.PeerCertificates) == 0:
		return errors.New("it has no certificate")
	}
	if s.load == nil {
		if len(cs.VerifiedChains) == 0 {
			return errors.New("the server has not verified its certificate")
		}
	} else if err := verifyChain(s.current.Load().Roots, cs.PeerCertificates, x509.ExtKeyUsageClientAuth, s.now()); err != nil {
		return err
	}
	return s.holds(cs.PeerCertificates[0], host)
}
