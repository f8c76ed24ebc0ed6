package redistest

import (
	"net"
	"testing"
	"time"

	"github.com/peercache/peercache/internal/redisserver"
	"github.com/peercache/peercache/resp/codec"
)

// server is a redis-server with a connection to it.
type server struct {
	t       testing.TB
	conn    net.Conn
	replies *codec.Replies
}

// start starts a redis-server.
func start(t testing.TB) *server {
	t.Helper()
	redisserver.Want(t, "7.0.")
	redis := redisserver.Start(t)
	conn, err := net.Dial("unix", redis.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &server{t: t, conn: conn, replies: codec.NewReplies(conn)}
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
