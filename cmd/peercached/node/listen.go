package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// listeners are those of a node, by name.
type listeners map[string]net.Listener

// inherited returns the sockets that systemd has opened, by their FileDescriptorName.
func inherited() (listeners, error) {
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("the sockets of systemd: %w", err)
	}
	all := listeners{}
	for name, some := range named {
		for i, l := range some {
			switch {
			case l == nil:
				return nil, fmt.Errorf("the socket %q of systemd is no stream: want ListenStream", name)
			case i > 0:
				return nil, fmt.Errorf("systemd gives two sockets of the name %q: want one for each FileDescriptorName", name)
			}
			all[name] = l
		}
	}
	return all, nil
}

// listen opens all listeners of a configuration, but for those that systemd has opened.
func listen(c *config.Config) (_ listeners, err error) {
	given, err := inherited()
	if err != nil {
		return nil, err
	}
	all := listeners{}
	defer func() {
		if err != nil {
			all.close()
			given.close()
		}
	}()
	for _, one := range c.Listeners() {
		if l, ok := given[one.Name]; ok {
			// The configuration was checked for the address that it names, not for this one.
			if a, tcp := l.Addr().(*net.TCPAddr); tcp && !a.IP.IsLoopback() && one.Name != "peers" && !c.Guarded(one.Name) {
				return nil, fmt.Errorf("the socket %s of systemd: %s", one.Name, c.Open(one.Name, a.String(), strconv.Itoa(a.Port)))
			}
			all[one.Name] = l
			delete(given, one.Name)
			continue
		}
		l, err := net.Listen("tcp", one.Listen)
		if err != nil {
			return nil, fmt.Errorf("%s.listen: %w", one.Name, err)
		}
		all[one.Name] = l
	}
	for name := range given {
		return nil, fmt.Errorf("systemd gives a socket of the name %q, for which the configuration has no use: want FileDescriptorName= to be one of the sections with a listen", name)
	}
	return all, nil
}

func (l listeners) close() {
	for _, one := range l {
		one.Close()
	}
}

// certificate is that of a listener, read again when its files have changed.
type certificate struct {
	cfg *config.ServerTLS

	mu     sync.Mutex
	looked time.Time   // guarded by mu, like those below
	stamp  [3]fileTime // of the files as they were read last
	config *tls.Config
}

// fileTime tells one content of a file from the next.
type fileTime struct {
	size int64
	time time.Time
}

// serverTLS returns the configuration of a listener, nil if t is. New certificates in its files are used
// for new connections, without a restart.
func serverTLS(t *config.ServerTLS, protocols ...string) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &certificate{cfg: t}
	if err := c.load(protocols); err != nil {
		return nil, err
	}
	first := c.config
	whole := first.Clone()
	whole.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(protocols), nil }
	return whole, nil
}

// current returns the configuration of this moment. Files that cannot be used leave the last one in place.
func (c *certificate) current(protocols []string) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= c.cfg.Every {
		_ = c.load(protocols) // they may be half replaced
	}
	return c.config
}

// load reads the files, if they have changed. The caller holds c.mu, or nobody else has c.
func (c *certificate) load(protocols []string) error {
	c.looked = time.Now()
	var stamp [3]fileTime
	for i, path := range []string{c.cfg.Cert, c.cfg.Key, c.cfg.ClientCA} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		stamp[i] = fileTime{info.Size(), info.ModTime()}
	}
	if c.config != nil && stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cfg.Cert, c.cfg.Key)
	if err != nil {
		return err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: protocols}
	if c.cfg.ClientCA != "" {
		pem, err := os.ReadFile(c.cfg.ClientCA)
		if err != nil {
			return err
		}
		t.ClientCAs, t.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !t.ClientCAs.AppendCertsFromPEM(pem) {
			return errors.New(c.cfg.ClientCA + ": no certificate in it: want the CAs in PEM")
		}
	}
	c.config, c.stamp = t, stamp
	return nil
}
