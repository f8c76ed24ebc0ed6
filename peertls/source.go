package peertls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Set is what one side of a connection needs at one time.
type Set struct {
	// Certificate is that of this process, with its key. Peers see it whoever has asked whom, so it
	// must be for servers and for clients.
	Certificate tls.Certificate
	// Roots are the CAs that sign the certificates of the peers, and that of this process.
	Roots *x509.CertPool
}

// Source gives a pool its certificates. It is made by Files, New or Configs, and may be shared by
// several pools.
type Source struct {
	load  func() (*Set, error) // nil: the configurations below are all there is
	every time.Duration
	accepts
	now func() time.Time // replaced by tests

	server, client *tls.Config // of Configs

	mu     sync.Mutex // held while the set is loaded
	loaded *Set       // guarded by mu; what load returned for current

	// current is the last good set. It is not changed, but replaced.
	current atomic.Pointer[Set]
	// version grows with each new set. It is written with mu held.
	version atomic.Uint64
	warned  atomic.Uint64 // the version of which it was logged that it expires
}

// Option changes what Files or New makes.
type Option func(*Source) error

// DefaultEvery is the default of Every.
const DefaultEvery = 10 * time.Second

// Every sets the time between two looks for a new set. It is 10 ms to 1 hour, the default is
// DefaultEvery.
func Every(d time.Duration) Option {
	return func(s *Source) error {
		if d < 10*time.Millisecond || d > time.Hour {
			return fmt.Errorf("Every(%v): want 10ms to 1h", d)
		}
		s.every = d
		return nil
	}
}

// New returns a Source of what load returns, which is called again and again (Every), but not
// concurrently. It returns the same *Set as long as nothing has changed. An error later, or a set
// that cannot be right, is logged once, and the last good set stays in use.
func New(load func() (*Set, error), opts ...Option) (*Source, error) {
	s := &Source{load: load, every: DefaultEvery, now: time.Now}
	if load == nil {
		return nil, errors.New("peertls: a Source without a func: want one that returns a Set")
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peertls: option %d is nil", i)
		}
		if err := opt(s); err != nil {
			return nil, fmt.Errorf("peertls: %w", err)
		}
	}
	if err := s.refresh(); err != nil {
		return nil, fmt.Errorf("peertls: %w", err)
	}
	return s, nil
}

// Configs returns a Source of two configurations of the user's own, for what Files and New cannot
// do. The pool copies them and changes nothing but the names: it asks for HTTP/1.1, and sets
// ServerName of client where it is empty. The server must verify its clients (ClientAuth). New
// certificates are the business of the callbacks in them. The pool does not see them, so that open
// connections stay as they are.
func Configs(server, client *tls.Config, opts ...Option) (*Source, error) {
	if server == nil || client == nil {
		return nil, errors.New("peertls: Configs: want the configurations of both sides")
	}
	if server.GetConfigForClient == nil && server.ClientAuth != tls.RequireAndVerifyClientCert {
		return nil, fmt.Errorf("peertls: Configs: the server's ClientAuth is %v: want RequireAndVerifyClientCert, or anybody gets in", server.ClientAuth)
	}
	s := &Source{server: server.Clone(), client: client.Clone(), now: time.Now, every: DefaultEvery}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peertls: option %d is nil", i)
		}
		if err := opt(s); err != nil {
			return nil, fmt.Errorf("peertls: %w", err)
		}
	}
	return s, nil
}

// refresh loads the set, and puts it in use if it is another one.
func (s *Source) refresh() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	set, err := s.load()
	if err != nil || set == s.loaded && set != nil {
		return err
	}
	good, err := s.checked(set)
	if err != nil {
		return err
	}
	s.loaded = set
	s.current.Store(good)
	s.version.Add(1)
	return nil
}

// Watch looks for a new set again and again until ctx ends, and calls rotated after each change. It
// logs what is wrong with a new set, once, when two looks in a row have found it.
func (s *Source) Watch(ctx context.Context, log *slog.Logger, rotated func()) {
	if s.load == nil {
		return
	}
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	failing, told := "", false
	for seen := s.version.Load(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch err := s.refresh(); {
		case err == nil:
			failing, told = "", false
		case err.Error() != failing: // files may be half replaced
			failing, told = err.Error(), false
		case !told:
			told = true
			log.Warn("the new certificates cannot be used, and the last good ones stay: want them mended before those expire",
				"expire", s.expires(), "err", err)
		}
		s.warnOfEnd(log)
		if now := s.version.Load(); now != seen { // whoever has loaded it
			seen = now
			log.Info("new certificates are in use", "expire", s.expires())
			rotated()
		}
	}
}

// warnOfEnd warns, once, if less than a tenth of the time of the certificate in use is left.
func (s *Source) warnOfEnd(log *slog.Logger) {
	leaf, version := s.current.Load().Certificate.Leaf, s.version.Load()
	if left := leaf.NotAfter.Sub(s.now()); left < leaf.NotAfter.Sub(leaf.NotBefore)/10 && s.warned.Swap(version) != version {
		log.Warn("the certificate of this process expires, and there is no new one: peers refuse it then", "expires", leaf.NotAfter, "left", left)
	}
}

// expires returns when the certificate in use expires.
func (s *Source) expires() time.Time { return s.current.Load().Certificate.Leaf.NotAfter }

// checked returns a set with its parsed leaf, or an error if no peer would accept its certificate.
func (s *Source) checked(set *Set) (*Set, error) {
	if set == nil || set.Roots == nil || len(set.Certificate.Certificate) == 0 || set.Certificate.PrivateKey == nil {
		return nil, errors.New("a set without a certificate, a key or CAs: want all three")
	}
	chain := make([]*x509.Certificate, 0, len(set.Certificate.Certificate))
	for _, der := range set.Certificate.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("the certificate of this process: %w", err)
		}
		chain = append(chain, c)
	}
	for _, side := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := verifyChain(set.Roots, chain, side, s.now()); err != nil {
			return nil, fmt.Errorf("the peers would refuse the certificate of this process: %w", err)
		}
	}
	whole := *set
	whole.Certificate.Leaf = chain[0]
	return &whole, nil
}
