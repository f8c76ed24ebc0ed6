package peertls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Files returns a Source of three PEM files: the certificate of this process, with the
// intermediate ones after it, its key, and the CAs. They may be replaced at any time, in any order,
// as cert-manager and the kubelet do. Files looks at their sizes and times (Every), and reads them
// again when one has changed.
func Files(cert, key, ca string, opts ...Option) (*Source, error) {
	f := &files{paths: [3]string{cert, key, ca}}
	for i, what := range [...]string{"certificate", "key", "CAs"} {
		if f.paths[i] == "" {
			return nil, fmt.Errorf("peertls: Files: no path of the %s: want those of all three files", what)
		}
	}
	return New(f.load, opts...)
}

// mostFileBytes bounds what is read of one file.
const mostFileBytes = 4 << 20

// files loads a Set from PEM files.
type files struct {
	paths  [3]string
	stamps [3]stamp // of the files as they were read last
	set    *Set     // what was read then
}

// stamp tells one content of a file from the next.
type stamp struct {
	size int64
	time time.Time
}

// load returns the set of the files: the same one as before, if no file has changed since. Files
// that change while they are read may not fit together. Then the next load reads them again.
func (f *files) load() (*Set, error) {
	before, err := f.look()
	if err != nil {
		return nil, err
	}
	if f.set != nil && before == f.stamps {
		return f.set, nil
	}
	set, err := f.read()
	if err != nil {
		return nil, err
	}
	after, err := f.look()
	if err != nil {
		return nil, err
	}
	if after == before {
		f.set, f.stamps = set, after
	}
	return set, nil
}

// look returns the stamps of the files.
func (f *files) look() (stamps [3]stamp, err error) {
	for i, path := range f.paths {
		info, err := os.Stat(path)
		if err != nil {
			return stamps, err
		}
		stamps[i] = stamp{info.Size(), info.ModTime()}
	}
	return stamps, nil
}

// read reads the files.
func (f *files) read() (*Set, error) {
	var contents [3][]byte
	for i, path := range f.paths {
		var err error
		if contents[i], err = readFile(path); err != nil {
			return nil, err
		}
	}
	certificate, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.paths[0], f.paths[1], err)
	}
	roots, err := certPool(contents[2])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.paths[2], err)
	}
	return &Set{Certificate: certificate, Roots: roots}, nil
}

// readFile reads a file of at most mostFileBytes.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, mostFileBytes+1))
	if err == nil && len(b) > mostFileBytes {
		err = fmt.Errorf("%s: more than %d bytes", path, mostFileBytes)
	}
	return b, err
}

// certPool returns the certificates of a PEM file. Unlike x509.CertPool.AppendCertsFromPEM, it
// skips none that is broken.
func certPool(b []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		b = rest
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a block of type %q: want certificates alone", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(c)
		n++
	}
	switch {
	case n == 0:
		return nil, errors.New("no certificate in it: want the CAs in PEM")
	case len(bytes.TrimSpace(b)) > 0 && bytes.Contains(b, []byte("-----BEGIN")):
		return nil, errors.New("a block at its end is broken or cut short")
	}
	return pool, nil
}
