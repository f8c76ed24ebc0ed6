package redis

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a real redis-server, at a socket in a directory of its own, and at a port if it needs one.
type server struct {
	socket string
	port   string // or empty

	t      *testing.T
	args   []string
	stop   func()
	client rueidis.Client
}

// start starts a server with such arguments. PORT in them is a port that was free.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skipf("there is no redis-server: %v", err)
	}
	dir, err := os.MkdirTemp("", "") // a short path, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, socket: filepath.Join(dir, "redis.sock")}
	for range 10 { // somebody else may take the port
		s.args = []string{"--dir", dir, "--unixsocket", s.socket, "--save", "", "--daemonize", "no"}
		if s.port = ""; strings.Contains(strings.Join(args, " "), "PORT") {
			s.port = freePort(t)
		} else {
			s.args = append(s.args, "--port", "0")
		}
		for _, arg := range args {
			s.args = append(s.args, strings.ReplaceAll(arg, "PORT", s.port))
		}
		if len(args) > 0 && strings.HasPrefix(args[0], "/") { // a file, which comes first
			s.args = slices.Insert(slices.Delete(s.args, slices.Index(s.args, args[0]), slices.Index(s.args, args[0])+1), 0, args[0])
		}
		if err = s.run(); err == nil {
			t.Cleanup(func() { s.stop() })
			return s
		}
	}
	t.Fatal(err)
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// run starts the server, and waits until it listens.
func (s *server) run() error {
	var log bytes.Buffer
	cmd := exec.Command("redis-server", s.args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.stop = sync.OnceFunc(func() {
		if s.client != nil {
			s.client.Close()
			s.client = nil
		}
		_ = cmd.Process.Kill()
		<-exited
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", s.socket); err == nil {
			c.Close()
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("redis-server has ended: %s", &log)
		case <-tick.C:
		}
	}
}

// do sends a command past the origin.
func (s *server) do(args ...string) string {
	s.t.Helper()
	if s.client == nil {
		client, err := rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{s.socket}, ForceSingleClient: true, DisableCache: true,
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
