package simnet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/simnet"
)

const ms = time.Millisecond

// bubble runs f with a network in a bubble, which fails the test if anything is
// left waiting when f has returned and the network is closed.
func bubble(t *testing.T, f func(t *testing.T, n *simnet.Network)) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		f(t, n)
	})
}

// connect returns both ends of a connection from a to b.
func connect(t testing.TB, n *simnet.Network, a, b string) (near, far net.Conn) {
	t.Helper()
	l, err := n.Host(b).Listen(":0")
	must(t, err)
	defer l.Close()
	near, err = n.Host(a).DialContext(context.Background(), "tcp", l.Addr().String())
	must(t, err)
	far, err = l.Accept()
	must(t, err)
	return near, far
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	var op *net.OpError
	if want != io.EOF && !errors.As(err, &op) {
		t.Fatalf("%T %v is no *net.OpError", err, err)
	}
}

// since checks how much time has passed.
func since(t testing.TB, start time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(start); got != want {
		t.Fatalf("took %v, want %v", got, want)
	}
}

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	n, err := c.Write([]byte(s))
	if err != nil || n != len(s) {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

func expect(t testing.TB, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v, want %q", b[:n], err, want)
	}
}

// fails checks that nothing more can be read.
func fails(t testing.TB, c net.Conn, want error) {
	t.Helper()
	n, err := c.Read(make([]byte, 10))
	if n != 0 {
		t.Fatalf("read %d bytes, want %v", n, want)
	}
	wantErr(t, err, want)
}

// silent checks that nothing comes for a while.
func silent(t testing.TB, c net.Conn, d time.Duration) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(d)))
	start := time.Now()
	fails(t, c, os.ErrDeadlineExceeded)
	since(t, start, d)
	must(t, c.SetReadDeadline(time.Time{}))
}

func TestLatency(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(30*ms, 30*ms)
		start := time.Now()
		a, b := connect(t, n, "a", "b")
		since(t, start, 60*ms) // the handshake
		send(t, a, "ping")
		send(t, a, "!")
		since(t, start, 60*ms)
		expect(t, b, "ping!")
		since(t, start, 90*ms)
		send(t, b, "pong")
		expect(t, a, "pong")
		since(t, start, 120*ms)
		if a.LocalAddr().String() != b.RemoteAddr().String() || a.RemoteAddr().String() != b.LocalAddr().String() {
			t.Errorf("addresses %v %v, %v %v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
		}
		if a.LocalAddr().Network() != "tcp" {
			t.Error("the network is not tcp")
		}
	})
}

func TestBandwidth(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLinkBetween("a", "b", simnet.Link{MinLatency: 10 * ms, MaxLatency: 10 * ms, Bandwidth: 1 << 20})
		a, b := connect(t, n, "a", "b")
		start := time.Now()
		go a.Write(make([]byte, 1<<20))
		_, err := io.ReadFull(b, make([]byte, 1<<20))
		must(t, err)
		since(t, start, time.Second+10*ms)
	})
}

func TestJitterAndLossKeepOrder(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLink(simnet.Link{MinLatency: 1 * ms, MaxLatency: 50 * ms, Loss: 0.1, Segment: 7})
		a, b := connect(t, n, "a", "b")
		sent, got := sha256.New(), sha256.New()
		go func() {
			r := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				p := make([]byte, r.IntN(100))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				sent.Write(p)
				a.Write(p)
				time.Sleep(time.Duration(r.IntN(5)) * ms)
			}
			a.Close()
		}()
		_, err := io.Copy(got, b)
		must(t, err)
		if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
			t.Error("the bytes differ")
		}
	})
}

func TestCloseIsHalf(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(5*ms, 5*ms)
		a, b := connect(t, n, "a", "b")
		send(t, a, "last words")
		must(t, a.Close())
		expect(t, b, "last words")
		fails(t, b, io.EOF)
		fails(t, b, io.EOF)
		send(t, b, "too late") // nobody can know yet
		time.Sleep(10 * ms)    // there, and the reset back
		_, err := b.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
		wantErr(t, a.Close(), net.ErrClosed)
		fails(t, a, net.ErrClosed)
		_, err = a.Write([]byte("x"))
		wantErr(t, err, net.ErrClosed)
		wantErr(t, a.SetDeadline(time.Time{}), net.ErrClosed)
	})
}

func TestCloseWithUnreadBytesResets(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetWindow(8)
		a, b := connect(t, n, "a", "b")
		go func() {
			time.Sleep(time.Second)
			b.Close()
		}()
		start := time.Now()
		k, err := a.Write([]byte("more than the window"))
		wantErr(t, err, syscall.EPIPE)
		since(t, start, time.Second)
		if k != 8 {
			t.Errorf("wrote %d, want 8", k)
		}
		a.Close()
	})
}

func TestCloseWrite(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		a, b := connect(t, n, "a", "b")
		send(t, a, "question")
		must(t, a.(interface{ CloseWrite() error }).CloseWrite())
		_, err := a.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
		got, err := io.ReadAll(b)
		must(t, err)
		send(t, b, string(got)+"!")
		expect(t, a, "question!")
	})
}

func TestCloseWakesReadersAndWriters(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetWindow(4)
		a, _ := connect(t, n, "a", "b")
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { fails(t, a, net.ErrClosed) })
			all.Go(func() {
				_, err := a.Write(make([]byte, 100))
				wantErr(t, err, net.ErrClosed)
			})
		}
		synctest.Wait()
		must(t, a.Close())
		all.Wait()
	})
}

func TestBackpressure(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetWindow(1000)
		n.SetLatency(1*ms, 1*ms)
		a, b := connect(t, n, "a", "b")
		must(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		start := time.Now()
		k, err := a.Write(make([]byte, 5000))
		wantErr(t, err, os.ErrDeadlineExceeded)
		since(t, start, time.Second)
		if k != 1000 {
			t.Fatalf("wrote %d, want the window", k)
		}
		must(t, a.SetWriteDeadline(time.Time{}))
		done := make(chan int)
		go func() {
			k, _ := a.Write(make([]byte, 3000))
			done <- k
		}()
		_, err = io.ReadFull(b, make([]byte, 2999))
		must(t, err)
		select {
		case <-done:
			t.Fatal("the writer is ahead of the window")
		case <-time.After(time.Minute):
		}
		_, err = io.ReadFull(b, make([]byte, 1))
		must(t, err)
		if k := <-done; k != 3000 {
			t.Fatalf("wrote %d", k)
		}
	})
}

func TestDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		a, b := connect(t, n, "a", "b")
		silent(t, a, time.Second)
		must(t, a.SetDeadline(time.Unix(1, 0))) // long ago
		_, err := a.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		_, err = a.Write([]byte("x"))
		wantErr(t, err, os.ErrDeadlineExceeded)
		send(t, b, "there")
		fails(t, a, os.ErrDeadlineExceeded)
		must(t, a.SetDeadline(time.Time{}))
		expect(t, a, "there")

		// A deadline that is set, or moved, while somebody reads.
		start := time.Now()
		time.AfterFunc(time.Second, func() { a.SetReadDeadline(time.Now().Add(2 * time.Second)) })
		time.AfterFunc(2*time.Second, func() { a.SetReadDeadline(time.Now().Add(3 * time.Second)) })
		fails(t, a, os.ErrDeadlineExceeded)
		since(t, start, 5*time.Second)
	})
}

func TestManyReadersAndWriters(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetWindow(10)
		a, b := connect(t, n, "a", "b")
		var writers, readers sync.WaitGroup
		var mu sync.Mutex
		var got []byte
		for range 10 {
			writers.Go(func() {
				for range 50 {
					send(t, a, "abcdefg") // a Write is whole
				}
			})
			readers.Go(func() {
				p := make([]byte, 3)
				for {
					k, err := b.Read(p)
					mu.Lock()
					got = append(got, p[:k]...)
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		writers.Wait()
		a.Close()
		readers.Wait()
		if len(got) != 3500 {
			t.Errorf("read %d bytes, want 3500", len(got))
		}
	})
}

// Outside of a bubble the network runs in real time, so that the race detector
// sees real concurrency.
func TestRealTime(t *testing.T) {
	n := simnet.New(1)
	defer n.Close()
	n.SetLink(simnet.Link{MaxLatency: 100 * time.Microsecond, Segment: 100})
	var all sync.WaitGroup
	for range 8 {
		a, b := connect(t, n, "a", "b")
		all.Go(func() { io.Copy(b, b); b.Close() })
		all.Go(func() {
			for range 50 {
				send(t, a, "there and back")
				expect(t, a, "there and back")
			}
			a.Close()
		})
	}
	all.Wait()
	if s := n.Stats(); s.Open != 0 || s.Messages < 800 {
		t.Errorf("%+v", s)
	}
}
