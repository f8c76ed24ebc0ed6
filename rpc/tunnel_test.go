package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertest"
)

// listen listens on a port of this machine.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect returns both ends of a connection through a tunnel.
func connect(t *testing.T) (asker, owner net.Conn) {
	t.Helper()
	l := Listen(listen(t, "127.0.0.1:0"))
	t.Cleanup(func() { l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	asker, err := new(Tunnel).DialContext(within(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	owner = <-accepted
	t.Cleanup(func() {
		asker.Close()
		owner.Close()
	})
	return asker, owner
}

// TestCallConn checks that both ends of a tunnel are a net.Conn, but that a Write that has timed
// out ends it: the tests of nettest want it to go on.
func TestCallConn(t *testing.T) {
	for _, side := range []string{"asker", "owner"} {
		ends := func(t *testing.T) (net.Conn, net.Conn) {
			asker, owner := connect(t)
			if side == "asker" {
				return asker, owner
			}
			return owner, asker
		}
		t.Run(side+"/both ways at once", func(t *testing.T) {
			a, b := ends(t)
			sent := bytes.Repeat([]byte("0123456789"), 1<<17)
			var all sync.WaitGroup
			for _, c := range []net.Conn{a, b} {
				all.Go(func() {
					if n, err := c.Write(sent); err != nil || n != len(sent) {
						t.Errorf("Write: %d, %v", n, err)
					}
				})
				all.Go(func() {
					got := make([]byte, len(sent))
					if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
						t.Errorf("Read: %v, or other bytes", err)
					}
				})
			}
			all.Wait()
		})
		t.Run(side+"/deadlines", func(t *testing.T) {
			a, b := ends(t)
			buf := make([]byte, 10)
			for _, when := range []time.Time{time.Unix(1, 0), time.Now().Add(20 * time.Millisecond)} {
				a.SetReadDeadline(when)
				if _, err := a.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read with a deadline: %v", err)
				}
			}
			a.SetDeadline(time.Time{})
			read := make(chan error, 1)
			go func() {
				_, err := a.Read(buf)
				read <- err
			}()
			a.SetReadDeadline(time.Unix(1, 0)) // as net/http does
			if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read that a deadline ends: %v", err)
			}
			a.SetDeadline(time.Time{})
			b.Write([]byte("still here"))
			if _, err := io.ReadFull(a, buf); err != nil || string(buf) != "still here" {
				t.Errorf("Read after deadlines: %q, %v", buf, err)
			}
			a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			if n, err := a.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write to one who reads nothing: %d, %v", n, err)
			}
			if _, err := io.Copy(io.Discard, b); err != nil && side == "asker" {
				var n net.Error
				if errors.As(err, &n) && n.Timeout() {
					t.Errorf("the other end of it: %v", err)
				}
			}
		})
		t.Run(side+"/Close", func(t *testing.T) {
			a, b := ends(t)
			wrote, read := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := a.Write(make([]byte, 64<<20))
				wrote <- err
			}()
			go func() {
				_, err := a.Read(make([]byte, 1))
				read <- err
			}()
			if _, err := io.ReadFull(b, make([]byte, 1<<20)); err != nil {
				t.Error(err)
			}
			a.Close()
			if err := <-wrote; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write, and then Close: %v", err)
			}
			if err := <-read; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read, and then Close: %v", err)
			}
			if _, err := a.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write after Close: %v", err)
			}
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read after Close: %v", err)
			}
			io.Copy(io.Discard, b) // it ends
			eventually(t, "an error of Write at the other end", func() bool {
				_, err := b.Write([]byte("late"))
				return err != nil
			})
		})
	}
}

// TestTransport runs the contract of a transport for HTTP through a tunnel, as an HTTPPool uses it.
func TestTransport(t *testing.T) {
	peertest.TestTransport(t, harness(time.Second))
}

// harness makes processes whose HTTP goes through tunnels, on ports of this machine.
func harness(detection time.Duration) peertest.Harness {
	config := func() httppeer.Config {
		c := httppeer.Config{
			BasePath: peercache.DefaultBasePath, Log: slog.New(slog.DiscardHandler), Detection: detection,
			RoundTripper: new(Tunnel).Transport(), LargeRequests: peercache.DefaultMaxLargeRequests, Pace: &breaker.Pace{Rate: peercache.DefaultReconnectRate},
			Streams: true, Stream: stream.Config{Detect: detection},
			Limits:       httppeer.Limits{}.WithDefaults(),
			RequestBytes: peercache.DefaultRequestMemory, AnswerBytes: peercache.DefaultAnswerMemory, RequestTimeout: peercache.DefaultRequestTimeout,
			Knows:        func(string) bool { return true },
			LargestValue: func() int64 { return 4 << 20 },
		}
		c.Limits.Apply(&c.Stream)
		return c
	}
	return peertest.Harness{
		Detection: detection,
		Address: func(t testing.TB) string {
			l := listen(t, "127.0.0.1:0")
			defer l.Close()
			return "http://" + l.Addr().String()
		},
		Transport: func(t testing.TB, self string) peer.Transport {
			transport := httppeer.NewTransport(config(), self)
			t.Cleanup(transport.CloseIdle)
			return transport
		},
		Serve: func(t testing.TB, address string, p peer.Process) func() {
			s := &killable{conns: make(map[net.Conn]bool)}
			s.server = &http.Server{Handler: httppeer.NewServer(config(), p, address), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
			l := Listen(&tracked{listen(t, address[len("http://"):]), s})
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.server.Serve(l)
			}()
			kill := sync.OnceFunc(func() {
				s.kill()
				<-done
			})
			t.Cleanup(kill)
			return kill
		},
	}
}

// killable is a server of which all TCP connections can be ended.
type killable struct {
	server *http.Server

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu
}

func (k *killable) kill() {
	k.server.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.conns {
		c.Close()
	}
}

// tracked tells a killable of its connections.
type tracked struct {
	net.Listener
	of *killable
}

func (t *tracked) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err == nil {
		t.of.mu.Lock()
		defer t.of.mu.Unlock()
		t.of.conns[c] = true
	}
	return c, err
}

// TestTunnelErrors checks that what cannot be reached is told apart, as a pool does it.
func TestTunnelErrors(t *testing.T) {
	gone := listen(t, "127.0.0.1:0")
	gone.Close()
	if _, err := new(Tunnel).DialContext(within(t), "tcp", gone.Addr().String()); !errors.Is(err, peer.ErrRefused) {
		t.Errorf("where nothing listens: %v, want peer.ErrRefused", err)
	}
	door := listen(t, "127.0.0.1:0")
	other := grpc.NewServer()
	go other.Serve(door)
	t.Cleanup(other.Stop)
	if _, err := new(Tunnel).DialContext(within(t), "tcp", door.Addr().String()); !errors.Is(err, peer.ErrNotAPeer) {
		t.Errorf("where another server of gRPC listens: %v, want peer.ErrNotAPeer", err)
	}
	hangs := listen(t, "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if _, err := new(Tunnel).DialContext(ctx, "tcp", hangs.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("where nobody answers: %v, want context.DeadlineExceeded", err)
	}
	l := Listen(listen(t, "127.0.0.1:0"))
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := new(Tunnel).DialContext(within(t), "tcp", l.Addr().String()); err == nil {
		t.Error("DialContext after Close: no error")
	}
}

// TestListenerClose checks that connections outlive their listener, and end cleanly.
func TestListenerClose(t *testing.T) {
	l := Listen(listen(t, "127.0.0.1:0"))
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	asker, err := new(Tunnel).DialContext(within(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	owner := <-accepted
	l.Close()
	go func() {
		asker.Write([]byte("the last words"))
		asker.Close()
	}()
	if all, err := io.ReadAll(owner); err != nil || string(all) != "the last words" {
		t.Errorf("after Close of the listener: %q, %v", all, err)
	}
	owner.Close()
}
