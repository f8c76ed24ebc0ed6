// Package testca makes certificates for tests.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// CA signs certificates.
type CA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial atomic.Int64

// New returns a CA of that name.
func New(t testing.TB, name string) *CA {
	ca := &CA{t: t}
	ca.cert, ca.key = ca.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	})
	return ca
}

// make signs a certificate with a new key; by itself, if the CA has none yet.
func (ca *CA) make(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(serial.Add(1))
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert, key
}

// Template returns a certificate for servers and clients, valid for an hour, with DNS names, IP
// addresses and URIs. It is to be changed, and given to Sign.
func Template(names ...string) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "peer"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			c.URIs = append(c.URIs, u)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

// Sign returns the certificate of a template, with a key of its own.
func (ca *CA) Sign(template *x509.Certificate) tls.Certificate {
	cert, key := ca.make(template)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// Pool returns a pool of CAs.
func Pool(cas ...*CA) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca.cert)
	}
	return pool
}

// Dir has the three files that peertls.Files reads. They are replaced all at once, as the kubelet
// does it: by a symbolic link to another directory.
type Dir struct {
	t             testing.TB
	dir           string
	Cert, Key, CA string // the paths
	writes        int
}

// NewDir returns a Dir without files.
func NewDir(t testing.TB) *Dir {
	dir := t.TempDir()
	now := filepath.Join(dir, "now")
	return &Dir{t: t, dir: dir, Cert: filepath.Join(now, "tls.crt"), Key: filepath.Join(now, "tls.key"), CA: filepath.Join(now, "ca.crt")}
}

// Write replaces the files: the certificate, its key, and the CAs.
func (d *Dir) Write(c tls.Certificate, cas ...*CA) {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		d.t.Fatal(err)
	}
	var certs, roots []byte
	for _, raw := range c.Certificate {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})...)
	}
	for _, ca := range cas {
		roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})...)
	}
	next := filepath.Join(d.dir, fmt.Sprint(d.writes))
	link := next + ".link"
	if err := os.Mkdir(next, 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.WriteFile(filepath.Join(next, "tls.crt"), certs)
	d.WriteFile(filepath.Join(next, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	d.WriteFile(filepath.Join(next, "ca.crt"), roots)
	if err := os.Symlink(next, link); err != nil {
		d.t.Skip("this system has no symbolic links: ", err)
	}
	if err := os.Rename(link, filepath.Join(d.dir, "now")); err != nil {
		d.t.Fatal(err)
	}
}

// WriteFile writes one file. Its time is another one than before, whatever the resolution of the
// file system.
func (d *Dir) WriteFile(path string, content []byte) {
	d.writes++
	when := time.Now().Add(time.Duration(d.writes) * time.Second)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Chtimes(path, when, when); err != nil {
		d.t.Fatal(err)
	}
}
