// Package redisserver starts real Redis servers, for tests.
package redisserver

import (
	"bytes"
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
)

// Server is a redis-server, at a socket in a directory of its own, and at a port if it needs one.
type Server struct {
	Socket string
	Port   string // or empty

	args []string
	stop func()
}

// Want skips a test if the redis-server here is of another version than the one that begins so, such as "7.0.", because others reply
// otherwise.
func Want(t testing.TB, version string) {
	t.Helper()
	out, err := exec.Command("redis-server", "--version").Output()
	if err != nil || !strings.Contains(string(out), "v="+version) {
		t.Skipf("want redis-server %s*: %s, %v", version, out, err)
	}
}

// guard runs what follows it, and kills it when its input ends, which it also does when this process dies.
const guard = `exec 3<&0; "$@" </dev/null 3<&- & p=$!; (read -r _ <&3; kill -9 $p) >/dev/null 2>&1 & exec 3<&-; wait $p`

// Start starts a server with such arguments, until the end of the test. PORT in them is a port that was free. If there is no redis-server, the test is
// skipped.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skipf("there is no redis-server: %v", err)
	}
	dir, err := os.MkdirTemp("", "") // a short path, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{Socket: filepath.Join(dir, "redis.sock")}
	for range 10 { // somebody else may take the port
		s.args = []string{"--dir", dir, "--unixsocket", s.Socket, "--save", "", "--daemonize", "no"}
		if s.Port = ""; strings.Contains(strings.Join(args, " "), "PORT") {
			s.Port = freePort(t)
		} else {
			s.args = append(s.args, "--port", "0")
		}
		for _, arg := range args {
			s.args = append(s.args, strings.ReplaceAll(arg, "PORT", s.Port))
		}
		if len(args) > 0 && strings.HasPrefix(args[0], "/") { // a file, which comes first
			at := slices.Index(s.args, args[0])
			s.args = slices.Insert(slices.Delete(s.args, at, at+1), 0, args[0])
		}
		if err = s.Run(); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatal(err)
	return nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Stop kills the server.
func (s *Server) Stop() { s.stop() }

// Run starts a server again that was stopped, and waits until it listens.
func (s *Server) Run() error {
	os.Remove(s.Socket)
	var log bytes.Buffer
	cmd := exec.Command("/bin/sh", append([]string{"-c", guard, "sh", "redis-server"}, s.args...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.stop = sync.OnceFunc(func() {
		input.Close()
		<-exited
		os.Remove(s.Socket)
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", s.Socket); err == nil {
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
