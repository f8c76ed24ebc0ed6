package integration

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// gate is a way to etcd that can be shut: then nothing passes, and nothing is
// closed either, as when a cable is pulled.
type gate struct {
	endpoint string
	listener net.Listener
	server   string // path of the socket of etcd

	running sync.WaitGroup
	mu      sync.Mutex    // guards what follows
	open    chan struct{} // closed while the gate is open
	conns   []net.Conn
}

// startGate makes a gate, open, to a server.
func startGate(t *testing.T, s *server) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{
		endpoint: "http://" + l.Addr().String(),
		listener: l,
		server:   strings.TrimPrefix(s.endpoint, "unix://"),
		open:     make(chan struct{}),
	}
	close(g.open)
	g.running.Go(g.accept)
	t.Cleanup(func() {
		l.Close()
		g.mend()
		g.running.Wait()
	})
	return g
}

func (g *gate) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", g.server)
		if err != nil {
			conn.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, conn, server)
		g.mu.Unlock()
		g.running.Go(func() { g.pass(conn, server) })
		g.running.Go(func() { g.pass(server, conn) })
	}
}

// pass copies what comes from one side to the other.
func (g *gate) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		<-open
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// shut lets nothing pass any more.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

// mend closes the connections that there are, and opens the gate for others.
func (g *gate) mend() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}
