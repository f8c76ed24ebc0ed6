//go:build unix

package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// shared is the server of all tests, which have a database each.
var shared *server

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
		os.RemoveAll(shared.dir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// server is a real PostgreSQL, at a socket in a directory of its own.
type server struct {
	dir  string
	bin  string
	as   *syscall.SysProcAttr // root may not run it
	stop func()
}

// program returns where a program of PostgreSQL is, or an empty string.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return path
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// start returns the server, which the first test starts.
func start(t *testing.T) *server {
	t.Helper()
	if shared != nil {
		return shared
	}
	initdb := program("initdb")
	if initdb == "" {
		t.Skip("there is no initdb of PostgreSQL")
	}
	s := &server{bin: filepath.Dir(initdb), as: &syscall.SysProcAttr{}}
	var err error
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil { // a short path, for the socket
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		other, err := user.Lookup("postgres")
		if err != nil {
			t.Skipf("PostgreSQL does not run as root, and there is no user for it: %v", err)
		}
		uid, _ := strconv.Atoi(other.Uid)
		gid, _ := strconv.Atoi(other.Gid)
		s.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			t.Skipf("PostgreSQL does not run as root, and nothing can be given to another user: %v", err)
		}
	}
	cmd := exec.Command(initdb, "-D", filepath.Join(s.dir, "data"), "-U", "test", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = s.as, s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(s.dir)
		t.Skipf("initdb does not run here: %v: %s", err, out)
	}
	s.run(t)
	shared = s
	return s
}

// run starts the server, and waits until it answers.
func (s *server) run(t *testing.T) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", filepath.Join(s.dir, "data"), "-k", s.dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50", "-c", "shared_buffers=16MB")
	cmd.SysProcAttr, cmd.Dir, cmd.Stderr = s.as, s.dir, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it ends at once, and its children with it
		<-exited
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := pgx.Connect(t.Context(), s.dsn("postgres"))
		if err == nil {
			_ = c.Close(t.Context())
			return
		}
		select {
		case <-exited:
			t.Fatalf("postgres has ended: %s", &log)
		case <-tick.C:
		}
	}
}

func (s *server) dsn(database string) string {
	return "host=" + s.dir + " user=test dbname=" + database
}

// database makes one with such statements, and returns its DSN.
func (s *server) database(t *testing.T, statements ...string) string {
	t.Helper()
	name := strings.ToLower(t.Name())
	s.do(t, s.dsn("postgres"), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	s.do(t, s.dsn(name), statements...)
	return s.dsn(name)
}

// do runs statements past the origin.
func (s *server) do(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	for _, statement := range statements {
		if _, err := c.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
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
