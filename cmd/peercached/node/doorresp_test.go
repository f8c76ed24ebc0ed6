package node

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

// TestRESPUsers checks that a node with passwords for Redis clients starts, and wants them.
func TestRESPUsers(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 3)
	p := start(t, nil, "serve", "--peers.listen=127.0.0.1:"+ports[0], "--admin.listen=127.0.0.1:"+ports[1], "--resp.listen=127.0.0.1:"+ports[2],
		"--resp.password=hush hush hush", "--resp.users=[{name: bob, password: bobs secret, read_only: true}]",
		"--groups.a.bytes=4MiB", "--groups.a.origin.upper.suffix=!")
	p.wait(t, "serving")
	conn, err := net.Dial("tcp", "127.0.0.1:"+ports[2])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	for _, one := range []struct{ command, want string }{
		{"GET a:Tom", "-NOAUTH Authentication required.\r\n"},
		{"AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
		{`AUTH "hush hush hush"`, "+OK\r\n"},
		{"STRLEN a:Tom", ":4\r\n"},
		{`AUTH bob "bobs secret"`, "+OK\r\n"},
		{"DEL a:Tom", "-NOPERM this user has no permissions to run the 'del' command\r\n"},
	} {
		fmt.Fprintf(conn, "%s\r\n", one.command)
		if got, err := in.ReadString('\n'); err != nil || got != one.want {
			t.Fatalf("%s: %q, %v: want %q", one.command, got, err, one.want)
		}
	}
}
