package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peertls"
)

// protections are the ways to keep strangers out that are compared, with what a process has of
// them: dir is where the certificate is.
var protections = []struct {
	name string
	tls  bool
	opts func(dir string) ([]peercache.PoolOption, error)
}{
	{"ours, open", false, func(string) ([]peercache.PoolOption, error) { return nil, nil }},
	{"ours, WithSecrets", false, func(string) ([]peercache.PoolOption, error) {
		return []peercache.PoolOption{peercache.WithSecrets("a secret for a comparison")}, nil
	}},
	{"ours, WithTLS", true, func(dir string) ([]peercache.PoolOption, error) {
		cert := filepath.Join(dir, certFile)
		source, err := peertls.Files(cert, filepath.Join(dir, keyFile), cert)
		return []peercache.PoolOption{peercache.WithTLS(source)}, err
	}},
}

// The places in protections of those that targets name.
const (
	unprotected = iota
	bySecret
	byTLS
)

// protectedPools has a pool for each of the protections, each with one group of small values.
type protectedPools struct {
	pools  []*peercache.HTTPPool
	groups []*peercache.Group
	urls   []string // by pool
	close  func()
}

// protect makes them, and serves them.
func protect(dir string, getter peercache.GetterFunc) (p *protectedPools, err error) {
	p = new(protectedPools)
	var closers []func()
	p.close = func() {
		for _, f := range closers {
			f()
		}
	}
	for _, by := range protections {
		opts, err := by.opts(dir)
		if err != nil {
			return p, err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		closers = append(closers, func() { l.Close() })
		url := "http://" + l.Addr().String()
		if by.tls {
			url = "https://" + l.Addr().String()
		}
		pool, err := peercache.NewHTTPPool(url, opts...)
		if err != nil {
			return p, err
		}
		server := pool.Server()
		serve := server.Serve
		if by.tls {
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		go serve(l)
		closers = append(closers, func() { pool.Shutdown(context.Background()); server.Close() })
		group, err := peercache.NewGroup(valueKinds[small].name, ownerBytes, getter, peercache.WithPeers(pool), peercache.WithHotShare(0))
		if err != nil {
			return p, err
		}
		p.pools, p.groups, p.urls = append(p.pools, pool), append(p.groups, group), append(p.urls, url)
	}
	return p, nil
}

// join tells each pool who its peer is.
func (p *protectedPools) join(others []string) error {
	if len(others) != len(p.urls) {
		return fmt.Errorf("%d peers for %d pools", len(others), len(p.urls))
	}
	for i, pool := range p.pools {
		if err := pool.Set(p.urls[i], others[i]); err != nil {
			return err
		}
	}
	return nil
}

// runProtected is an owner in a process of its own. A line has the URLs of the asker's pools.
func runProtected(dir string) error {
	p, err := protect(dir, func(context.Context, string) ([]byte, error) { return small.value(), nil })
	defer p.close()
	if err != nil {
		return err
	}
	orders := bufio.NewScanner(os.Stdin)
	for {
		if err := json.NewEncoder(os.Stdout).Encode(report{URL: strings.Join(p.urls, ","), CPU: cpuTime()}); err != nil {
			return err
		}
		if !orders.Scan() {
			return nil
		}
		if list := orders.Text(); list != "" {
			if err := p.join(strings.Split(list, ",")); err != nil {
				return err
			}
		}
	}
}

// protectedBench is a comparison of the protections. Its closers are those that it was made with.
func (b *peersBench) protectedBench() (*peersBench, error) {
	dir, err := os.MkdirTemp("", "peercache-bench-")
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, func() { os.RemoveAll(dir) })
	if err := writeCertificate(dir); err != nil {
		return nil, err
	}
	owner, err := startReporting(protectedPrefix + dir)
	if err != nil {
		return nil, err
	}
	b.closers = append(b.closers, owner.stop)
	p, err := protect(dir, func(context.Context, string) ([]byte, error) { return nil, errAsked })
	b.closers = append(b.closers, p.close)
	if err == nil {
		err = p.join(strings.Split(owner.url, ","))
	}
	if err == nil {
		_, err = owner.tell(strings.Join(p.urls, ","))
	}
	if err != nil {
		return nil, err
	}
	own := &peersBench{w: b.w, m: b.m, nodes: []*node{owner}, keys: make([][]string, len(valueKinds))}
	own.m.repeats *= 2 // the differences are small
	for i, by := range protections {
		own.fetchers = append(own.fetchers, &fetcher{name: by.name, dials: new(dials), get: func(of valueKind, key string) error {
			view, err := p.groups[i].Get(context.Background(), key)
			return check(of, view.Len(), err)
		}})
	}
	for i := 0; len(own.keys[small]) < len(b.keys[small]); i++ {
		key, foreign := fmt.Sprintf("%s:%08d", valueKinds[small].name, i), true
		for _, pool := range p.pools {
			foreign = foreign && pool.Pick(key, 0) != nil
		}
		if foreign {
			own.keys[small] = append(own.keys[small], key)
		}
	}
	for _, f := range own.fetchers {
		if err := own.warm(f, small); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return own, nil
}

// protected compares fetches with what keeps strangers out.
func (b *peersBench) protected() error {
	own, err := b.protectedBench()
	if err != nil {
		return err
	}
	some, err := own.inTurns(own.fetchers, small, load{workers: 64})
	if err != nil {
		return err
	}
	many, err := own.inTurns(own.fetchers, small, load{workers: 512})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\n1 KiB values without copies, and what keeps strangers out: keys fetched in a second, and processor time a key:\n")
	t := newTable("", "c=64", "× ours", "µs", "c=512", "× ours", "µs")
	for i, f := range own.fetchers {
		t.add(f.name, some[i].rate, some[i].rate/some[unprotected].rate, us(some[i].cpu),
			many[i].rate, many[i].rate/many[unprotected].rate, us(many[i].cpu))
	}
	b.targets.add("1 KiB, c=64, keys/s, a secret to none", some[bySecret].rate/some[unprotected].rate, false, 0.97)
	b.targets.add("1 KiB, c=64, keys/s, mTLS to none", some[byTLS].rate/some[unprotected].rate, false, 0.8)
	return t.print(b.w)
}

const (
	certFile = "tls.crt"
	keyFile  = "tls.key"
)

// writeCertificate writes a certificate of this machine, which is its own CA, and its key.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(name, kind string, b []byte) error {
		return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600)
	}
	return errors.Join(write(certFile, "CERTIFICATE", cert), write(keyFile, "PRIVATE KEY", der))
}
