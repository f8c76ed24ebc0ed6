package simnet

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// DialTimeout is how long the transport of a host tries to connect.
const DialTimeout = 2 * time.Second

// Serve runs an HTTP server on a host. The returned function ends it with all
// its connections, the hijacked ones too, and waits until the server and all
// handlers have returned. Call it after a crash, too: it then only waits.
func Serve(h *Host, address string, handler http.Handler) (stop func(), err error) {
	l, err := h.Listen(address)
	if err != nil {
		return nil, err
	}
	return ServeOn(l, handler), nil
}

// ServeOn does what Serve does, with a listener that is there.
func ServeOn(l net.Listener, handler http.Handler) (stop func()) {
	var (
		running  sync.WaitGroup
		hijacked connSet
	)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Done()
			handler.ServeHTTP(w, r)
		}),
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateHijacked {
				hijacked.add(c)
			}
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	running.Go(func() { server.Serve(l) })
	return func() {
		server.Close()
		hijacked.close()
		running.Wait()
	}
}

// connSet is the connections that a server has given away.
type connSet struct {
	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

func (s *connSet) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return
	}
	s.conns = append(s.conns, c)
}

func (s *connSet) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.conns {
		c.Close()
	}
}

// Transport returns a new transport that dials from the host, for its HTTP
// clients. It gives up a dial after DialTimeout.
func (h *Host) Transport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, DialTimeout)
			defer cancel()
			return h.DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}
