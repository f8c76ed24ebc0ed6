package redistest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache/resp/codec"
)

// server is a redis-server with a connection to it.
type server struct {
	t       testing.TB
	conn    net.Conn
	replies *codec.Replies
}

// guard runs what follows it until its input ends, which it also does when this process dies.
const guard = `"$@" </dev/null & read -r _; kill -9 $!; wait $!`

// start starts a redis-server at a socket in a directory of its own.
func start(t testing.TB) *server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("there is no redis-server to compare with")
	}
	if v, err := exec.Command(program, "--version").Output(); err != nil || !strings.Contains(string(v), "v=7.0.") {
		t.Skipf("other versions of redis-server than 7.0 reply otherwise: %s, %v", v, err)
	}
	dir, err := os.MkdirTemp("", "redis") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("/bin/sh", "-c", guard, "sh", program, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
		"--dir", dir, "--daemonize", "no")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		cmd.Wait()
	})
	s := &server{t: t}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if s.conn, err = net.Dial("unix", socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not start: %v", err)
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Cleanup(func() { s.conn.Close() })
	s.replies = codec.NewReplies(s.conn)
	return s
}

// do runs a command.
func (s *server) do(args ...string) codec.Reply {
	if _, err := s.conn.Write(codec.AppendCommand(nil, args...)); err != nil {
		s.t.Fatal(err)
	}
	return s.read(args...)
}

// read returns the next reply. args is what it replies to, or nothing.
func (s *server) read(args ...string) codec.Reply {
	s.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	reply, err := s.replies.Read()
	if err != nil {
		s.t.Fatalf("redis-server, after %s: %v", quote(args), err)
	}
	return reply
}
