package redis

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/peercache/peercache/internal/redisserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a real redis-server, with a client.
type server struct {
	*redisserver.Server
	t      *testing.T
	client rueidis.Client
}

func start(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{Server: redisserver.Start(t, args...), t: t}
	t.Cleanup(s.disconnect)
	return s
}

func (s *server) disconnect() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// stop kills the server.
func (s *server) stop() {
	s.disconnect()
	s.Stop()
}

// do sends a command past the origin.
func (s *server) do(args ...string) string {
	s.t.Helper()
	if s.client == nil {
		client, err := rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{s.Socket}, ForceSingleClient: true, DisableCache: true,
			DialCtxFn: (&Config{}).mustOption(s.t).DialCtxFn,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.client = client
	}
	answer, err := s.client.Do(context.Background(), s.client.B().Arbitrary(args...).Build()).ToAny()
	if err != nil && !rueidis.IsRedisNil(err) {
		s.t.Fatalf("%q: %v", args, err)
	}
	return fmt.Sprint(answer)
}

func (c *Config) mustOption(t *testing.T) rueidis.ClientOption {
	option, err := c.option()
	if err != nil {
		t.Fatal(err)
	}
	return option
}

func newOrigin(t *testing.T, c Config) *Origin {
	t.Helper()
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}
