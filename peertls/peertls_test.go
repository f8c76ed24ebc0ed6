package peertls_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/peertls"
)

// TestHandshake connects two sides, each with its own set, and checks who is let in.
func TestHandshake(t *testing.T) {
	ca, other := testca.New(t, "ours"), testca.New(t, "another")
	good := func() *peertls.Set {
		return &peertls.Set{Certificate: ca.Sign(testca.Template("localhost", "127.0.0.1")), Roots: testca.Pool(ca)}
	}
	for _, tt := range []struct {
		name      string
		client    func() *peertls.Set
		server    func() *peertls.Set
		host      string // that the client dials
		from      string // that the client calls itself
		opts      []peertls.Option
		clientErr string
		refusal   string
		serverErr string
	}{
		{name: "both good", host: "localhost", from: "localhost"},
		{name: "an IP address", host: "127.0.0.1", from: "127.0.0.1"},
		{name: "another name of the server", host: "elsewhere", clientErr: "certificate is valid for localhost, not elsewhere"},
		{name: "another IP address of the server", host: "10.0.0.1", clientErr: "not 10.0.0.1"},
		{name: "the client has another name", host: "localhost", from: "elsewhere", refusal: "not elsewhere"},
		{name: "the client is of another CA", host: "localhost", client: func() *peertls.Set {
			return &peertls.Set{Certificate: other.Sign(testca.Template("localhost")), Roots: testca.Pool(ca, other)}
		}, serverErr: "unknown authority"},
		{name: "the server is of another CA", host: "localhost", server: func() *peertls.Set {
			return &peertls.Set{Certificate: other.Sign(testca.Template("localhost")), Roots: testca.Pool(ca, other)}
		}, clientErr: "unknown authority"},
		{name: "a URI that is accepted", host: "anything", from: "something", opts: []peertls.Option{peertls.WithIdentity("spiffe://prod.example/ns/*/sa/cache")},
			client: func() *peertls.Set {
				return &peertls.Set{Certificate: ca.Sign(testca.Template("spiffe://prod.example/ns/a/sa/cache")), Roots: testca.Pool(ca)}
			}, server: func() *peertls.Set {
				return &peertls.Set{Certificate: ca.Sign(testca.Template("spiffe://prod.example/ns/b/sa/cache")), Roots: testca.Pool(ca)}
			}},
		{name: "a URI that is not accepted, of the server", host: "anything", opts: []peertls.Option{peertls.WithIdentity("spiffe://prod.example/ns/*/sa/cache")},
			server: func() *peertls.Set {
				return &peertls.Set{Certificate: ca.Sign(testca.Template("spiffe://prod.example/ns/b/c/sa/cache")), Roots: testca.Pool(ca)}
			}, clientErr: "not valid for any names"},
		{name: "a URI that is not accepted, of the client", host: "localhost", from: "localhost", opts: []peertls.Option{peertls.WithIdentity("spiffe://prod.example/ns/*/sa/cache")},
			client: func() *peertls.Set {
				return &peertls.Set{Certificate: ca.Sign(testca.Template("spiffe://evil.example/ns/a/sa/cache")), Roots: testca.Pool(ca)}
			}, refusal: "not valid for any names"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.client == nil {
				tt.client = good
			}
			if tt.server == nil {
				tt.server = good
			}
			client, server := source(t, tt.client(), tt.opts...), source(t, tt.server(), tt.opts...)
			cs, clientErr, serverErr := shakeHands(t, client.Client(tt.host), server.Server())
			want(t, "client", clientErr, tt.clientErr, serverErr != nil)
			if tt.clientErr != "" {
				return
			}
			want(t, "server", serverErr, tt.serverErr, false)
			if tt.serverErr == "" {
				want(t, "Verify", server.Verify(&cs, tt.from), tt.refusal, false)
			}
		})
	}
	t.Run("without a certificate", func(t *testing.T) {
		_, _, err := shakeHands(t, &tls.Config{InsecureSkipVerify: true}, source(t, good()).Server())
		want(t, "server", err, "client didn't provide a certificate", false)
	})
	t.Run("without TLS", func(t *testing.T) {
		want(t, "Verify", source(t, good()).Verify(nil, "localhost"), "does not use TLS", false)
	})
}

func source(t *testing.T, set *peertls.Set, opts ...peertls.Option) *peertls.Source {
	s, err := peertls.New(func() (*peertls.Set, error) { return set, nil }, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// want checks an error by a part of its text. mayFail says that another error is no surprise.
func want(t *testing.T, what string, err error, part string, mayFail bool) {
	t.Helper()
	switch {
	case part == "" && err != nil && !mayFail:
		t.Errorf("%s: %v, want no error", what, err)
	case part != "" && (err == nil || !strings.Contains(err.Error(), part)):
		t.Errorf("%s: %v, want an error with %q", what, err, part)
	}
}

// shakeHands connects two sides and sends a byte each way. It returns the connection as the server
// sees it.
func shakeHands(t *testing.T, client, server *tls.Config) (cs tls.ConnectionState, clientErr, serverErr error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		nc, err := l.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer nc.Close()
		c := tls.Server(nc, server)
		if serverErr = c.Handshake(); serverErr == nil {
			cs = c.ConnectionState()
			io.ReadFull(c, make([]byte, 1))
			c.Write([]byte{1})
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(nc, client)
	if clientErr = c.Handshake(); clientErr == nil {
		c.Write([]byte{1})
		_, clientErr = io.ReadFull(c, make([]byte, 1))
	}
	c.Close()
	<-served
	return cs, clientErr, serverErr
}

// TestSets has sets that no peer would accept.
func TestSets(t *testing.T) {
	ca, other := testca.New(t, "ours"), testca.New(t, "another")
	changed := func(change func(*x509.Certificate)) *peertls.Set {
		c := testca.Template("localhost")
		change(c)
		return &peertls.Set{Certificate: ca.Sign(c), Roots: testca.Pool(ca)}
	}
	for _, tt := range []struct {
		name, want string
		set        *peertls.Set
	}{
		{"nothing", "want all three", nil},
		{"no key", "want all three", &peertls.Set{Roots: testca.Pool(ca)}},
		{"expired", "expired", changed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		{"not valid yet", "not yet valid", changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })},
		{"of another CA", "unknown authority", &peertls.Set{Certificate: other.Sign(testca.Template("localhost")), Roots: testca.Pool(ca)}},
		{"for servers alone", "incompatible key usage", changed(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })},
		{"for clients alone", "incompatible key usage", changed(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] })},
	} {
		_, err := peertls.New(func() (*peertls.Set, error) { return tt.set, nil })
		want(t, tt.name, err, tt.want, false)
	}
}

func TestOptions(t *testing.T) {
	ca := testca.New(t, "ours")
	set := &peertls.Set{Certificate: ca.Sign(testca.Template("localhost")), Roots: testca.Pool(ca)}
	for _, tt := range []struct {
		opt  peertls.Option
		want string
	}{
		{nil, "option 0 is nil"},
		{peertls.Every(time.Millisecond), "want 10ms to 1h"},
		{peertls.WithIdentity(""), "want a URI"},
		{peertls.WithIdentity("cache.example"), "want a URI"},
		{peertls.WithIdentity("spiffe:///ns/a"), "want a URI"},
		{peertls.WithIdentity("spiffe://*/ns/a"), "want no * before the path"},
		{peertls.WithIdentity("*://prod.example/ns/a"), "want no * before the path"},
		{peertls.WithIdentity("spiffe://prod.example/ns/[ab]"), "want no special character"},
		{peertls.WithIdentity("spiffe://prod.example/ns/*"), ""},
		{peertls.Every(time.Hour), ""},
	} {
		_, err := peertls.New(func() (*peertls.Set, error) { return set, nil }, tt.opt)
		want(t, tt.want, err, tt.want, false)
	}
	if _, err := peertls.New(nil); err == nil {
		t.Error("New(nil): want an error")
	}
}

func TestConfigs(t *testing.T) {
	ca := testca.New(t, "ours")
	cert := ca.Sign(testca.Template("localhost"))
	server := &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: testca.Pool(ca), ClientAuth: tls.RequireAndVerifyClientCert}
	client := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: testca.Pool(ca)}
	s, err := peertls.Configs(server, client)
	if err != nil {
		t.Fatal(err)
	}
	cs, clientErr, serverErr := shakeHands(t, s.Client("localhost"), s.Server())
	want(t, "client", clientErr, "", false)
	want(t, "server", serverErr, "", false)
	want(t, "Verify", s.Verify(&cs, "localhost"), "", false)
	want(t, "Verify another name", s.Verify(&cs, "elsewhere"), "not elsewhere", false)
	cs.VerifiedChains = nil
	want(t, "Verify what the server has not", s.Verify(&cs, "localhost"), "has not verified", false)
	_, clientErr, _ = shakeHands(t, s.Client("elsewhere"), s.Server())
	want(t, "client", clientErr, "not elsewhere", false)

	_, err = peertls.Configs(nil, client)
	want(t, "no server", err, "both sides", false)
	_, err = peertls.Configs(&tls.Config{}, client)
	want(t, "a server that verifies nobody", err, "RequireAndVerifyClientCert", false)
}

// TestRotation replaces the files under a watch: by good ones, bad ones, and good ones again.
func TestRotation(t *testing.T) {
	ca, next := testca.New(t, "ours"), testca.New(t, "next")
	dir := testca.NewDir(t)
	dir.Write(ca.Sign(testca.Template("localhost")), ca)
	s, err := peertls.Files(dir.Cert, dir.Key, dir.CA, peertls.Every(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	rotated := make(chan struct{}, 16)
	watched := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(watched)
		s.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil)), func() { rotated <- struct{}{} })
	}()

	early, _, err := shakeHands(t, s.Client("localhost"), s.Server())
	want(t, "before", err, "", false)

	dir.Write(next.Sign(testca.Template("localhost")), ca, next)
	<-rotated
	both, _, err := shakeHands(t, s.Client("localhost"), s.Server())
	want(t, "with both CAs", err, "", false)
	if issuer := both.PeerCertificates[0].Issuer.CommonName; issuer != "next" {
		t.Errorf("the certificate in use is signed by %q, want the new one", issuer)
	}
	want(t, "the connection of before", s.Verify(&early, "localhost"), "", false)

	dir.WriteFile(dir.Cert, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n"))
	log.await(t, "the last good ones stay")
	_, _, err = shakeHands(t, s.Client("localhost"), s.Server())
	want(t, "with a broken file", err, "", false)

	dir.Write(next.Sign(testca.Template("localhost")), next)
	<-rotated
	want(t, "the connection of before, whose CA is gone", s.Verify(&early, "localhost"), "unknown authority", false)
	want(t, "the connection of after", s.Verify(&both, "localhost"), "", false)
	if n := strings.Count(log.String(), "the last good ones stay"); n != 1 {
		t.Errorf("%d warnings of one broken file, want 1", n)
	}
}

func TestFiles(t *testing.T) {
	ca := testca.New(t, "ours")
	for _, tt := range []struct {
		name, want string
		spoil      func(*testca.Dir)
	}{
		{"no CA file", "ca.crt", func(d *testca.Dir) { d.CA += "x" }},
		{"an empty CA file", "no certificate in it", func(d *testca.Dir) { d.WriteFile(d.CA, nil) }},
		{"a key among the CAs", `a block of type "PRIVATE KEY"`, func(d *testca.Dir) {
			d.WriteFile(d.CA, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))
		}},
		{"a broken CA", "malformed certificate", func(d *testca.Dir) {
			d.WriteFile(d.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
		}},
		{"a CA that is cut short", "cut short", func(d *testca.Dir) {
			whole := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Sign(testca.Template("x")).Certificate[0]})
			d.WriteFile(d.CA, append(whole, whole[:100]...))
		}},
		{"another key", "private key does not match", func(d *testca.Dir) {
			other := testca.NewDir(t)
			other.Write(ca.Sign(testca.Template("localhost")), ca)
			d.Key = other.Key
		}},
		{"no path of the key", "no path of the key", func(d *testca.Dir) { d.Key = "" }},
		{"a huge file", "more than", func(d *testca.Dir) { d.WriteFile(d.CA, make([]byte, 5<<20)) }},
	} {
		dir := testca.NewDir(t)
		dir.Write(ca.Sign(testca.Template("localhost")), ca)
		tt.spoil(dir)
		_, err := peertls.Files(dir.Cert, dir.Key, dir.CA)
		want(t, tt.name, err, tt.want, false)
	}
}

// syncBuffer is a log that a test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// await waits until the log has a text.
func (b *syncBuffer) await(t *testing.T, text string) {
	for !strings.Contains(b.String(), text) {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("no %q in %s", text, b)
		}
	}
}
