package node

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/peercache/peercache/peertls"
)

// tlsFiles are the certificate of this process, its key and the CAs of all processes: PEM files,
// which may be replaced while it runs.
type tlsFiles struct {
	cert, key, ca string // all empty: no TLS
	every         time.Duration
}

// define defines the flags.
func (t *tlsFiles) define(f *flag.FlagSet) {
	f.StringVar(&t.cert, "tls-cert", "", "`path` of this process's certificate, in PEM, for clients and servers, with the host of its\n"+
		"base URL: then the processes speak TLS, both ways; -tls-key and -tls-ca are needed as well")
	f.StringVar(&t.key, "tls-key", "", "`path` of the key of -tls-cert")
	f.StringVar(&t.ca, "tls-ca", "", "`path` of the CAs that sign the certificates of all processes")
	f.DurationVar(&t.every, "tls-every", peertls.DefaultEvery, "how often to look whether these files have been replaced")
}

// on reports whether the processes speak TLS.
func (t *tlsFiles) on() bool { return t.cert != "" }

// scheme returns what base URLs begin with.
func (t *tlsFiles) scheme() string {
	if t.on() {
		return "https://"
	}
	return "http://"
}

// check returns an error if only some of the files are given.
func (t *tlsFiles) check() error {
	if all := t.on() && t.key != "" && t.ca != ""; !all && t.cert+t.key+t.ca != "" {
		return errors.New("-tls-cert, -tls-key and -tls-ca go together: want all three, or none")
	}
	return nil
}

// checkURLs returns an error if one of the base URLs is for processes without TLS.
func (t *tlsFiles) checkURLs(urls []string) error {
	for _, url := range urls {
		if t.on() && !strings.HasPrefix(url, t.scheme()) {
			return fmt.Errorf("-tls-cert and the base URL %s: want %s", url, t.scheme())
		}
	}
	return nil
}

// open reads the files.
func (t *tlsFiles) open() (*peertls.Source, error) {
	source, err := peertls.Files(t.cert, t.key, t.ca, peertls.Every(t.every))
	if err != nil {
		return nil, fmt.Errorf("-tls-cert: %w", err)
	}
	return source, nil
}
