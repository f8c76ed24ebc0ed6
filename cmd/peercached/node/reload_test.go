//go:build unix

package node

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// write replaces a file as a whole.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A changed file, and a SIGHUP, change what can change, and the log says what cannot. A wrong file
// changes nothing.
func TestReload(t *testing.T) {
	ports := freePorts(t, 3)
	path := filepath.Join(t.TempDir(), "c.yaml")
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "a-token-of-before-of-the-tokens")
	file := func(level, ttl string) string {
		return fmt.Sprintf("peers: {listen: '127.0.0.1:%s'}\nadmin: {listen: '127.0.0.1:%s'}\nhttp: {listen: '127.0.0.1:%s', tokens: [{token: {file: %s}}]}\n"+
			"log: {level: %s}\nreload: {every: 20ms}\ngroups: [{name: a, bytes: 1MiB, ttl: %s, origin: {upper: {suffix: '!'}}}]\n", ports[0], ports[1], ports[2], token, level, ttl)
	}
	write(t, path, file("info", "1m"))
	p := start(t, nil, "serve", "-c", path)
	p.wait(t, "msg=serving")
	url := "http://127.0.0.1:" + ports[2] + "/v1/a/tom"
	first, second := "Bearer the-first-of-the-tokens", "Bearer the-second-of-the-tokens"
	write(t, token, "the-first-of-the-tokens\n")
	if err := p.Process.Signal(syscall.SIGHUP); err != nil { // the key is the same, the content of its file is not
		t.Fatal(err)
	}
	p.wait(t, "the configuration was read again")
	if status, body := get(t, url, "Authorization", first); status != http.StatusOK || body != "TOM!" {
		t.Fatalf("status %d, %q", status, body)
	}

	write(t, path, file("debug", "2m"))
	p.wait(t, "keys have changed that need a restart\" keys=groups.a.ttl")
	p.wait(t, "changed=log.level")
	get(t, url, "Authorization", first)
	p.wait(t, "msg=hit") // of level debug

	write(t, path, file("debug", "2m")+"data: {name: d, bytes: 1MiB}\n")
	p.wait(t, "keys=\"data.bytes data.driver")

	write(t, path, file("noisy", "60"))
	p.wait(t, "the one before stays in force")
	p.wait(t, `groups.a.ttl: \"60\" has no unit`)
	if status, _ := get(t, url, "Authorization", first); status != http.StatusOK {
		t.Errorf("status %d after a wrong file", status)
	}

	write(t, token, "the-second-of-the-tokens")
	write(t, path, file("warn", "1m"))
	eventually(t, func() error {
		if status, _ := get(t, url, "Authorization", second); status != http.StatusOK {
			return errNotYet
		}
		return nil
	})
	if status, _ := get(t, url, "Authorization", first); status != http.StatusUnauthorized {
		t.Errorf("status %d for the token of before", status)
	}

	// No door opens by a file that says no more of tokens.
	write(t, path, strings.Replace(file("warn", "1m"), "tokens:", "x-tokens:", 1))
	p.wait(t, "no such key")
	write(t, path, strings.Replace(file("warn", "1m"), fmt.Sprintf("[{token: {file: %s}}]", token), "[]", 1))
	p.wait(t, "http.tokens: no token is wanted any more")
	if status, _ := get(t, url); status != http.StatusUnauthorized {
		t.Errorf("status %d without a token, after a file without tokens", status)
	}
	if strings.Contains(p.log.String(), "of-the-tokens") {
		t.Error("a token is in the log")
	}
}

// A node takes the sockets that systemd has opened, and tells it what it does.
func TestSystemd(t *testing.T) {
	dir, err := os.MkdirTemp("", "n") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	notices, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notices.Close()
	said := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		n, err := notices.Read(b)
		if err != nil || !strings.HasPrefix(string(b[:n]), want) {
			t.Fatalf("systemd hears %q, error %v: want %q", b[:n], err, want)
		}
	}

	names := []string{"peers", "admin", "http"}
	var files []*os.File
	var addrs []string
	for range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addrs = append(files, f), append(addrs, l.Addr().String())
	}
	activated := func(names ...string) func(c *exec.Cmd) {
		return func(c *exec.Cmd) {
			c.ExtraFiles = files[:len(names)]
			c.Env = append(c.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "s"), fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		}
	}
	args := []string{"serve", "--peers.self=http://" + addrs[0], "--http={}", "--groups.a.bytes=1MiB", "--groups.a.origin.upper.suffix=?", "--reload.every=0"}
	p := start(t, activated(names...), args...)
	said("READY=1")
	if status, body := get(t, "http://"+addrs[2]+"/v1/a/tom"); status != http.StatusOK || body != "TOM?" {
		t.Errorf("status %d, %q", status, body)
	}
	if status, _ := get(t, "http://"+addrs[1]+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: status %d", status)
	}
	p.Process.Signal(syscall.SIGHUP)
	said("RELOADING=1\nMONOTONIC_USEC=")
	said("READY=1")
	p.Process.Signal(syscall.SIGTERM)
	said("STOPPING=1")
	if status := p.status(t); status != ExitOK {
		t.Errorf("exit status %d", status)
	}

	// A socket that others than this machine reach is refused, as such an address in the configuration is.
	wide, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer wide.Close()
	whole, err := wide.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	own := files[2]
	files[2] = whole
	p = start(t, activated(names...), args...)
	if status := p.status(t); status != ExitFailed || !strings.Contains(p.log.String(), "the socket http of systemd: ") || !strings.Contains(p.log.String(), "http.tokens") {
		t.Errorf("an open socket: exit status %d:\n%s", status, p.log)
	}
	files[2] = own

	// A socket for which there is no use is a mistake of the unit.
	p = start(t, activated("peers", "admin", "htpp"), args...)
	if status := p.status(t); status != ExitFailed || !strings.Contains(p.log.String(), `a socket of the name "htpp"`) {
		t.Errorf("exit status %d:\n%s", status, p.log)
	}
}

// A request that hangs holds up the end; a second signal does not wait for it.
func TestSecondSignal(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(release)
	ports := freePorts(t, 3)
	p := start(t, nil, "serve", "--peers.listen=127.0.0.1:"+ports[0], "--admin.listen=127.0.0.1:"+ports[1], "--http.listen=127.0.0.1:"+ports[2],
		"--groups.a.bytes=1MiB", "--groups.a.origin.http.url="+slow.URL+"/{key}")
	p.wait(t, "msg=serving")
	go http.Get("http://127.0.0.1:" + ports[2] + "/v1/a/tom")
	<-asked
	p.Process.Signal(syscall.SIGTERM)
	p.wait(t, "the node ends: clients first")
	if status, _ := get(t, "http://127.0.0.1:"+ports[1]+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: status %d while the node ends", status)
	}
	p.Process.Signal(syscall.SIGTERM)
	if status := p.status(t); status != ExitSecond {
		t.Errorf("exit status %d: want %d", status, ExitSecond)
	}

	// Without a second signal the time of the shutdown bounds the wait.
	p = start(t, nil, "serve", "--peers.listen=127.0.0.1:"+ports[0], "--admin.listen=127.0.0.1:"+ports[1], "--http.listen=127.0.0.1:"+ports[2],
		"--groups.a.bytes=1MiB", "--groups.a.origin.http.url="+slow.URL+"/{key}", "--shutdown.timeout=200ms")
	p.wait(t, "msg=serving")
	go http.Get("http://127.0.0.1:" + ports[2] + "/v1/a/tom")
	<-asked
	p.Process.Signal(syscall.SIGTERM)
	if status := p.status(t); status != ExitIncomplete {
		t.Errorf("exit status %d: want %d", status, ExitIncomplete)
	}
}
