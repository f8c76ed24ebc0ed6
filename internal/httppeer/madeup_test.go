package httppeer

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// Who has the secret can give any name. Names that are on no list have one number of idle connections
// together, so they do not make it larger.
func TestIdleConnectionsUnderMadeUpNames(t *testing.T) {
	ours := NewSecret("a secret of this cluster")
	cfg := fakeConfig()
	cfg.Secrets = []Secret{ours}
	cfg.Knows = func(name string) bool { return name == "http://listed" }
	cfg.Connections.IdlePerPeer = 2
	s := NewServer(cfg, fakeProcess{}, "http://127.0.0.1:1")
	server := s.HTTPServer(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(l) }()
	defer func() { server.Close(); <-served }()
	number := uint64(0)
	enter := func(name string) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		in := bufio.NewReader(nc)
		ask := func(auth string) *http.Response {
			fmt.Fprintf(nc, "GET /_peercache/none HTTP/1.1\r\nHost: 127.0.0.1:1\r\nPeercache-Peer: %s\r\nPeercache-Auth: %s\r\n\r\n", name, auth)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp
		}
		r, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:1/_peercache/none", nil)
		p := &plainProof{challenge: decode64(ask("").Header.Get(challengeHeader)), asker: 1, body: sha256.Sum256(nil)}
		number++
		p.number = number
		p.macs = [][]byte{p.mac(ours, r, peer.Identity{Name: name}, "http://127.0.0.1:1")}
		if resp := ask(p.String()); resp.StatusCode != http.StatusBadRequest {
			t.Fatalf("%s: %s, want that the proof is accepted", name, resp.Status)
		}
	}
	for i := range 20 {
		enter(fmt.Sprint("http://made-up-", i))
	}
	enter("http://listed")
	left := -1
	for range 200 {
		s.visitors.mu.Lock()
		left = len(s.visitors.all)
		s.visitors.mu.Unlock()
		if left <= 3 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if left != 3 {
		t.Errorf("%d connections are idle, want 2 of those who are not listed, and that of a peer", left)
	}
}
