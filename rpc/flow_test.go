package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// frame returns an HTTP/2 frame.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// callHeaders returns the header block of a Set.
func callHeaders() (b []byte) {
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", cachepb.Cache_Set_FullMethodName}, {":authority", "x"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		b = append(append(b, 0, byte(len(h[0]))), h[0]...)
		b = append(append(b, byte(len(h[1]))), h[1]...)
	}
	return b
}

// TestRequestBytes has connections begin many large messages, and end none.
func TestRequestBytes(t *testing.T) {
	s, err := New([]door.Cache{newFake("g")}, WithLimits(Limits{MessageBytes: 1 << 20, RequestBytes: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	defer s.Shutdown(context.Background())
	const attackers, streams, part = 5, 10, 60_000
	ended := make(chan error, attackers)
	for range attackers {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		out := append([]byte(preface), frame(4, 0, 0, nil)...)
		for i := range uint32(streams) {
			out = append(out, frame(frameHeaders, 4, 2*i+1, callHeaders())...)
			for sent := 0; sent < part; sent += 10_000 {
				piece := make([]byte, 10_000)
				if sent == 0 {
					binary.BigEndian.PutUint32(piece[1:], 1<<20-100) // what the message is to have
				}
				out = append(out, frame(frameData, 0, 2*i+1, piece)...)
			}
		}
		go nc.Write(out)
		go func() {
			_, err := io.Copy(io.Discard, nc)
			ended <- err
		}()
	}
	// 3 MB are sent, of which 1 MiB has room: four of the five connections are closed, or three, if the last
	// bytes of one have not been read.
	for range attackers - 2 {
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("the requests take %d bytes, and no connection is closed", s.flow.bytes.Load())
		}
	}
	if n := s.flow.bytes.Load(); n > 1<<20 {
		t.Errorf("the requests take %d bytes: want at most 1 MiB", n)
	}
	eventually(t, "the log", func() bool { return s.audits.Count(audit.Connection) >= attackers-2 })
}

// TestFlowForgets checks that calls which have ended, however that came, count no more.
func TestFlowForgets(t *testing.T) {
	f := newFake("g")
	blocked := make(chan struct{}, 1)
	f.get = func(ctx context.Context, key string) (string, time.Duration, error) {
		if key != "hangs" {
			return "value", 0, nil
		}
		blocked <- struct{}{}
		<-ctx.Done()
		return "", 0, ctx.Err()
	}
	s, cc := serve(t, []door.Cache{f}, WithLimits(Limits{MessageBytes: 100_000}))
	c := cachepb.NewCacheClient(cc)
	for range 3 {
		if _, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(within(t), &cachepb.GetRequest{Group: "no"}); status.Code(err) != codes.NotFound {
			t.Fatal(err)
		}
		if _, err := c.Set(within(t), &cachepb.SetRequest{Group: "g", Value: make([]byte, 200_000)}); status.Code(err) != codes.ResourceExhausted {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(within(t))
		go func() {
			<-blocked
			cancel()
		}()
		if _, err := c.Get(ctx, &cachepb.GetRequest{Group: "g", Key: []byte("hangs")}); !errors.Is(ctx.Err(), context.Canceled) {
			t.Fatal(err)
		}
		w, err := c.Watch(within(t), &cachepb.WatchRequest{Group: "g"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Recv(); err != nil || s.flow.calls.Load() < 1 {
			t.Fatalf("%v, %d calls in progress", err, s.flow.calls.Load())
		}
	}
	eventually(t, "three Watches to be all", func() bool { return s.flow.calls.Load() == 3 })
	cc.Close()
	eventually(t, "nothing to be in progress", func() bool { return s.flow.calls.Load() == 0 && s.flow.bytes.Load() == 0 })
}

// TestCalls checks that calls beyond Limits.Calls are refused, and that health is still answered.
func TestCalls(t *testing.T) {
	f := newFake("g")
	release := make(chan struct{})
	f.get = func(ctx context.Context, key string) (string, time.Duration, error) {
		if key == "hangs" {
			<-release
		}
		return "value", 0, nil
	}
	s, cc := serve(t, []door.Cache{f}, WithLimits(Limits{Calls: 3}))
	c := cachepb.NewCacheClient(cc)
	done := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("hangs")})
			done <- err
		}()
	}
	eventually(t, "three calls", func() bool { return s.flow.calls.Load() == 3 })
	if _, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("the fourth call: %v", err)
	}
	if _, err := healthpb.NewHealthClient(cc).Check(within(t), new(healthpb.HealthCheckRequest)); err != nil {
		t.Errorf("health: %v", err)
	}
	close(release)
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte("k")}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// outside is a listener that others than this machine reach.
type outside struct{ closed chan struct{} }

func (o *outside) Accept() (net.Conn, error) { <-o.closed; return nil, net.ErrClosed }
func (o *outside) Close() error              { close(o.closed); return nil }
func (o *outside) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8004} }

func TestOpenServerIsRefused(t *testing.T) {
	s, err := New([]door.Cache{newFake("g")})
	if err != nil {
		t.Fatal(err)
	}
	l := &outside{make(chan struct{})}
	if err := s.Serve(l); err == nil {
		t.Error("a server that everybody reaches is started")
	}
	<-l.closed
	for _, opt := range []Option{WithInsecure(), tokens(t, map[string]door.Rights{reader: {May: door.AllRights}})} {
		if s, err = New([]door.Cache{newFake("g")}, opt); err != nil {
			t.Fatal(err)
		}
		if err := s.checkOpen(l.Addr()); err != nil {
			t.Error(err)
		}
	}
}
