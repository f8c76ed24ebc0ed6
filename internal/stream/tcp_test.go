package stream

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// certificate makes one for the tests.
func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// overTCP makes a stream on the loopback interface.
func overTCP(t testing.TB, secure bool, h peer.Handler, cfg Config) (*Link, *Server) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	}
	servers, ran := make(chan *Server, 1), make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			close(servers)
			return
		}
		s := NewServer(nc, nil, h, cfg)
		servers <- s
		ran <- s.Run()
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	l, err := Open(t.Context(), nc, nil, peerName, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ran; err != nil {
			t.Error(err)
		}
		ln.Close()
	})
	return l, <-servers
}

// TestOverTCP asks for values of all sizes from many goroutines.
func TestOverTCP(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			value := func(key string) string {
				var n int
				fmt.Sscanf(key, "%d", &n)
				return strings.Repeat(key+".", 1+n*n%9973)
			}
			h := funcs{
				hit:  func(_, key string) (reply, bool) { return reply{Value: value(key)}, key[len(key)-1] != '7' },
				load: func(_ context.Context, _, key string) reply { return reply{Value: value(key)} },
				loadBatch: func(_ context.Context, _ string, keys []string, answer func(int, reply)) {
					for i, key := range keys {
						answer(i, reply{Value: value(key)})
					}
				},
			}
			l, _ := overTCP(t, secure, h, Config{MaxRequests: 20})
			var callers sync.WaitGroup
			for c := range 40 {
				callers.Go(func() {
					for i := range 50 {
						key := fmt.Sprint(c*50 + i)
						if a, err := get(t.Context(), l, queryFor("g", key)); err != nil || a.Value != value(key) {
							t.Errorf("key %s: %d bytes, %v", key, len(a.Value), err)
						}
						if i%10 == 0 {
							keys := []string{key, "17", key, "3", "77"}
							getBatch(t.Context(), l, "g", keys, func(i int, a reply, err error) {
								if err != nil || a.Value != value(keys[i]) {
									t.Errorf("key %s in a batch: %d bytes, %v", keys[i], len(a.Value), err)
								}
							})
						}
					}
				})
			}
			callers.Wait()
		})
	}
}

// TestUpgrade begins a stream behind an HTTP upgrade, with bytes of it in the
// buffers of both sides.
func TestUpgrade(t *testing.T) {
	ran := make(chan error, 1)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: peercache\r\n\r\n")
		ran <- NewServer(nc, rw.Reader, echo, Config{}).Run()
	}))
	defer ts.Close()
	nc, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: peercache\r\n\r\n")
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	l, err := Open(t.Context(), nc, br, peerName, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := get(t.Context(), l, queryFor("g", "k")); err != nil || a.Value != "k" {
		t.Error(a, err)
	}
	l.Close(t.Context())
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// always is a Handler that has the same answer for every key.
type always struct {
	funcs
	a peer.Answer
}

func (h always) Hit(*peer.Query) (peer.Answer, error) { return h.a, nil }

// BenchmarkGet compares a Get over the stream with one over net/http, each with 64
// goroutines, of values of 1 KiB.
func BenchmarkGet(b *testing.B) {
	value := strings.Repeat("v", 1024)
	parallel := func(b *testing.B, get func() int) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if get() != len(value) {
					b.Error("not the value")
				}
			}
		})
	}
	b.Run("stream", func(b *testing.B) {
		h := always{a: peer.Answer{Item: peer.Item{Value: []byte(value), TTL: time.Minute}}}
		l, _ := overTCP(b, false, h, Config{})
		parallel(b, func() int {
			a, _, _ := l.Get(b.Context(), queryFor("g", "key-000000000001"))
			return len(a.Value)
		})
	})
	b.Run("http", func(b *testing.B) {
		ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, value) }))
		defer ts.Close()
		tr := &http.Transport{MaxIdleConnsPerHost: 100}
		defer tr.CloseIdleConnections()
		client := &http.Client{Transport: tr}
		parallel(b, func() int {
			resp, err := client.Get(ts.URL + "/g/key-000000000001")
			if err != nil {
				b.Error(err)
				return 0
			}
			defer resp.Body.Close()
			n, _ := io.Copy(io.Discard, resp.Body)
			return int(n)
		})
	})
}
