package web

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// newReal returns an origin that asks a real server.
func newReal(t testing.TB, base string, c Config) *Origin {
	t.Helper()
	c.URL = base + "/{key...}"
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// What the server compresses is a plain value, revalidates as any other, and is bounded after decompression.
func TestCompression(t *testing.T) {
	value := strings.Repeat("630", 10000)
	var bodies atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding is %q", r.Header.Get("Accept-Encoding"))
		}
		headers(w, "ETag: \"1\"\nVary: Accept-Encoding\nContent-Encoding: gzip\nCache-Control: max-age=60")
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		bodies.Add(1)
		z := gzip.NewWriter(w)
		fmt.Fprint(z, value)
		z.Close()
	})
	o := newReal(t, s.URL, Config{})
	for range 3 {
		if item, err := o.Get(t.Context(), "Tom"); err != nil || string(item.Value) != value || item.TTL <= 0 {
			t.Fatalf("%d bytes for %v, %v", len(item.Value), item.TTL, err)
		}
	}
	if n := bodies.Load(); n != 1 {
		t.Errorf("%d bodies were sent, want 1", n)
	}
	if _, err := newReal(t, s.URL, Config{MaxBytes: 29999}).Get(t.Context(), "Tom"); !errors.Is(err, peercache.ErrValueSize) {
		t.Errorf("30000 bytes where 29999 are allowed: %v", err)
	}
	if _, err := newReal(t, s.URL, Config{MaxBytes: 30000}).Get(t.Context(), "Tom"); err != nil {
		t.Error(err)
	}
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", "br") })
	if _, err := newReal(t, other.URL, Config{}).Get(t.Context(), "Tom"); err == nil || !strings.Contains(err.Error(), `"br"`) {
		t.Errorf("a coding that was not asked for: %v", err)
	}
}

// TestRFC9111Section33 checks that a body that breaks off is no value (3.3), and is asked for again.
func TestRFC9111Section33(t *testing.T) {
	var requests atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.Header().Set("ETag", `"1"`)
		fmt.Fprint(w, "12345")
		if requests.Add(1) > 2 {
			fmt.Fprint(w, "67890")
		}
	})
	o := newReal(t, s.URL, Config{RetryWait: 1, Retries: 1})
	if _, err := o.Get(t.Context(), "Tom"); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("%v, want an error", err)
	}
	if item, err := o.Get(t.Context(), "Tom"); err != nil || string(item.Value) != "1234567890" {
		t.Errorf("%q, %v", item.Value, err)
	}
}

// A body is bounded before it is in memory: whether its length is known or not.
func TestBodiesAreBounded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "11")
		}
		fmt.Fprint(w, strings.Repeat("x", 11))
		if r.URL.Path == "/endless" {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}
	})
	o := newReal(t, s.URL, Config{MaxBytes: 10})
	for _, key := range []string{"known", "unknown", "endless"} {
		if _, err := o.Get(t.Context(), key); !errors.Is(err, peercache.ErrValueSize) || !strings.Contains(err.Error(), "max_bytes") {
			t.Errorf("%s: %v, want ErrValueSize", key, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	var mu sync.Mutex
	var leaked http.Header
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		leaked = r.Header
		mu.Unlock()
		fmt.Fprint(w, "other")
	})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a", "/b", "/c", "/d", "/e":
			http.Redirect(w, r, "/"+string(r.URL.Path[1]+1), http.StatusFound)
		case "/other":
			http.Redirect(w, r, other.URL+"/x", http.StatusTemporaryRedirect)
		case "/secure":
			http.Redirect(w, r, secure.URL, http.StatusMovedPermanently)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			fmt.Fprint(w, r.URL.Path)
		}
	})
	host := strings.TrimPrefix(other.URL, "http://")
	for _, c := range []struct {
		config    Config
		key, want string
		err       string
	}{
		{Config{}, "e", "/f", ""},
		{Config{}, "a", "/f", ""},
		{Config{Redirects: 4}, "a", "", "more than 4 of them (redirects)"},
		{Config{Redirects: 1}, "e", "/f", ""},
		{Config{Redirects: -1}, "e", "", "more than 0 of them"},
		{Config{}, "loop", "", "more than 5 of them"},
		{Config{}, "other", "", "to " + host + ", want it in redirect_hosts"},
		{Config{RedirectHosts: []string{host}}, "other", "other", ""},
		{Config{RedirectHosts: []string{strings.TrimPrefix(secure.URL, "https://")}}, "secure", "", "from http to https"},
	} {
		c.config.Headers = map[string]string{"Authorization": "Bearer x", "X-Api-Key": "y"}
		item, err := newReal(t, s.URL, c.config).Get(t.Context(), c.key)
		if string(item.Value) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v, want %q, %q", c.key, item.Value, err, c.want, c.err)
		}
		if err != nil && strings.Contains(err.Error(), "tries") {
			t.Errorf("%s: %v: want no retry", c.key, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if leaked == nil || leaked.Get("Authorization") != "" || leaked.Get("X-Api-Key") != "" {
		t.Errorf("the other host got %v", leaked)
	}
}

// A 304 of another URL than that which the kept answer came from says nothing about it.
func TestRevalidationAfterARedirectThatChanged(t *testing.T) {
	var target atomic.Value
	target.Store("/1")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/Tom" {
			http.Redirect(w, r, target.Load().(string), http.StatusFound)
			return
		}
		w.Header().Set("Last-Modified", at(0)) // the same for both
		if r.Header.Get("If-Modified-Since") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	})
	o := newReal(t, s.URL, Config{})
	for _, want := range []string{"/1", "/1", "/2", "/2"} {
		target.Store(want)
		if item, err := o.Get(t.Context(), "Tom"); err != nil || string(item.Value) != want {
			t.Errorf("%q, %v, want %s", item.Value, err, want)
		}
	}
}

// No more connections are made than are configured, and one is used again.
func TestConnections(t *testing.T) {
	var conns, running, most atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	o := newReal(t, s.URL, Config{Connections: 2})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			key := "Tom"
			if i%2 == 0 {
				key = "missing"
			}
			if _, err := o.Get(t.Context(), key); (err != nil) != (key == "missing") {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 2 || conns.Load() > 2 {
		t.Errorf("%d requests at one time on %d connections", most.Load(), conns.Load())
	}
}

// TLS with an authority of its own, a certificate of this process, and HTTP/2.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", len(r.TLS.PeerCertificates))
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	ca, cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(path, kind string, der []byte) {
		t.Helper()
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, "CERTIFICATE", s.Certificate().Raw)
	der, private := clientCertificate(t)
	write(cert, "CERTIFICATE", der)
	write(key, "PRIVATE KEY", private)
	for name, c := range map[string]struct {
		tls  TLS
		want string
		err  string
	}{
		"unknown authority": {TLS{}, "", "certificate"},
		"authority":         {TLS{CA: ca}, "HTTP/2.0 0", ""},
		"client":            {TLS{CA: ca, Cert: cert, Key: key}, "HTTP/2.0 1", ""},
		"name":              {TLS{CA: ca, ServerName: "example.com"}, "HTTP/2.0 0", ""},
		"another name":      {TLS{CA: ca, ServerName: "api.example"}, "", "api.example"},
		"insecure":          {TLS{Insecure: true}, "HTTP/2.0 0", ""},
	} {
		item, err := newReal(t, s.URL, Config{TLS: c.tls}).Get(t.Context(), "Tom")
		if string(item.Value) != c.want || (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "tries")) {
			t.Errorf("%s: %q, %v, want %q, %q without a retry", name, item.Value, err, c.want, c.err)
		}
	}
}

// The answers that are kept to be asked about take no more memory than allowed.
func TestKeptAnswersAreBounded(t *testing.T) {
	s := &server{answer: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+r.URL.Path+`"`)
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10000))
	}}
	o := newOrigin(t, s, Config{RevalidateBytes: 100 << 10})
	for i := range 100 {
		if _, err := o.Get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if stats := o.kept.answers.Stats(); stats.Bytes > 100<<10 || stats.Items < 5 || stats.Items > 10 {
		t.Errorf("%+v, want 100 KiB of answers of 10 KB", stats)
	}
}

// clientCertificate returns a certificate and its key.
func clientCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		t.Fatal(err)
	}
	return cert, key
}
