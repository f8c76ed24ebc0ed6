package respdoor_test

import (
	"net"
	"strings"
	"testing"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/bridge"
	"github.com/peercache/peercache/data/respdoor"
	"github.com/peercache/peercache/resp"
)

// A subscriber that does not read is disconnected, and slows nobody who publishes.
func TestSlowSubscriber(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f, err := respdoor.New(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := resp.New(nil, resp.WithFallback(f), resp.WithLimits(resp.Limits{MessageBytes: 1 << 20}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	slow, b := dial(t, l.Addr().String()), dial(t, l.Addr().String())
	slow.want("*[subscribe a :1]", "SUBSCRIBE a")
	text := strings.Repeat("x", 10_000)
	for n := 0; bridge.EngineOf(m).Messages.Subscribers(false, "a") > 0; n++ {
		if n == 100_000 {
			t.Fatal("it is still there")
		}
		b.send("PUBLISH a " + text)
		if _, err := b.r.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if unread := s.Stats().Unread; unread != 1 {
		t.Errorf("Unread is %d, want 1", unread)
	}
	b.want(":0", "PUBLISH a x")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
