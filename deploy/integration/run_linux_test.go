package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// system is a directory that is the root of the processes in it, which are user 65532 and have a
// network of their own: a container without Docker. All of it runs on one thread.
type system struct {
	t    *testing.T
	root string
	env  []string
}

// newSystem makes a system. Its ports are nobody else's, so that those of the files can be used.
func newSystem(t *testing.T) *system {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("takes root: the program gets a root directory, a user and a network of its own")
	}
	runtime.LockOSThread() // and never unlocked, so that the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("this machine gives no network of its own: %v", err)
	}
	if err := loopback(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // the user of the program passes
			t.Fatal(err)
		}
	}
	return &system{t: t, root: dir}
}

// loopback turns on 127.0.0.1 in the network of this thread.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// write puts a file into the system.
func (s *system) write(name string, content []byte, mode os.FileMode) {
	s.t.Helper()
	file := filepath.Join(s.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, content, mode); err != nil {
		s.t.Fatal(err)
	}
}

// copy copies a file or a directory of files into the system.
func (s *system) copy(from, name string) {
	s.t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		s.t.Fatal(err)
	}
	if info.IsDir() {
		if err := os.CopyFS(filepath.Join(s.root, name), os.DirFS(from)); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	s.write(name, []byte(text(s.t, from)), info.Mode())
}

func (s *system) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Err = nil // it is there, once the root has changed
	cmd.Dir, cmd.Env = "/", s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs a command to its end.
func (s *system) run(args ...string) (string, error) {
	out, err := s.command(args...).CombinedOutput()
	return string(out), err
}

// start runs a command that tells systemd of its state, and returns when it is ready. stop ends it as
// systemd does, and returns what it said.
func (s *system) start(args ...string) (stop func() (string, error)) {
	s.t.Helper()
	const name = "/notify"
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.root, name), Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	defer told.Close()
	if err := os.Chmod(filepath.Join(s.root, name), 0o777); err != nil {
		s.t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+name)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		told.SetReadDeadline(time.Now()) // nobody tells anything any more
	}()
	s.t.Cleanup(func() { cmd.Process.Kill() })
	told.SetReadDeadline(time.Now().Add(time.Minute))
	for b := make([]byte, 4096); ; {
		n, err := told.Read(b)
		if err != nil {
			cmd.Process.Kill()
			s.t.Fatalf("%v is not ready: %v, it ended with %v\n%s", args, err, <-ended, out.String())
		}
		if strings.Contains(string(b[:n]), "READY=1") {
			break
		}
	}
	return func() (string, error) {
		cmd.Process.Signal(syscall.SIGTERM)
		err := <-ended // and nothing writes to out any more
		return out.String(), err
	}
}

// get asks by HTTP. The connection is made on the thread of the system.
func (s *system) get(url string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", req.Host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	req.Close = true
	if err := req.Write(conn); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// The image runs as it is: nothing but what Dockerfile copies, and the user that it says. Its health
// is checked as Docker does.
func TestImageRuns(t *testing.T) {
	file := program(t)
	s := newSystem(t)
	made := imageOf(t, "")
	for _, c := range made.copies {
		switch c.DestPath {
		case "/peercached":
			s.copy(file, c.DestPath)
		case "/etc/ssl/certs/ca-certificates.crt":
			s.write(c.DestPath, nil, 0o644)
		default:
			t.Errorf("the image has %s, which this test knows nothing of", c.DestPath)
		}
	}
	s.write("/etc/peercached/peercached.yaml", []byte(`
peers: {listen: 127.0.0.1:8001}
http: {listen: 127.0.0.1:8003}
groups: [{name: files, bytes: 1MiB, origin: {files: {dir: /data}}}]
`), 0o644)
	s.write("/data/hello.txt", []byte("hello"), 0o644)
	if out, err := s.run(made.health[1:]...); err == nil {
		t.Errorf("before it runs, its health is said to be good:\n%s", out)
	}
	stop := s.start(append(made.entrypoint, made.cmd...)...)
	if out, err := s.run(made.health[1:]...); err != nil {
		t.Errorf("its health: %v\n%s", err, out)
	}
	if got, err := s.get("http://127.0.0.1:8003/v1/files/hello.txt"); err != nil || got != "hello" {
		t.Errorf("it answers %q, %v", got, err)
	}
	if out, err := stop(); err != nil {
		t.Errorf("it ends with %v\n%s", err, out)
	}
	if out, err := s.run(append(made.entrypoint, "version")...); err != nil || !strings.Contains(out, version) {
		t.Errorf("its version is %q, %v: want %s", out, err, version)
	}
}

// Whoever installs the package, and starts it, has an answer.
func TestDebianPackageRuns(t *testing.T) {
	file := program(t)
	data, _ := debian(t, file)
	s := newSystem(t)
	for name, m := range data {
		if !m.dir {
			s.write(name, m.content, os.FileMode(m.mode))
		}
	}
	var start []string
	for _, line := range strings.Split(string(data["/usr/lib/systemd/system/peercached.service"].content), "\n") {
		if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
			start = strings.Fields(command)
		}
		if command, ok := strings.CutPrefix(line, "ExecReload=/usr/bin/peercached "); ok {
			if out, err := s.run(append([]string{"/usr/bin/peercached"}, strings.Fields(command)...)...); err != nil {
				t.Errorf("%s: %v\n%s", command, err, out)
			}
		}
	}
	stop := s.start(start...)
	if got, err := s.get("http://127.0.0.1:8003/v1/docs/copyright"); err != nil || !strings.Contains(got, "Apache License") {
		t.Errorf("it answers %.200q, %v", got, err)
	}
	if _, err := s.get("http://127.0.0.1:8002/readyz"); err != nil {
		t.Errorf("it is not ready: %v", err)
	}
	if out, err := stop(); err != nil {
		t.Errorf("it ends with %v\n%s", err, out)
	}
}

// The nodes and the gateway of the compose file accept their configuration.
func TestComposeConfigurationIsRight(t *testing.T) {
	file := program(t)
	p, err := project(t, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t)
	s.copy(file, "/peercached")
	for _, v := range p.Services["node1"].Volumes {
		s.copy(v.Source, v.Target)
	}
	for _, service := range p.Services {
		self := service.Environment["PEERCACHED_PEERS_SELF"]
		if self == nil {
			continue
		}
		s.env = nil
		for name, value := range service.Environment {
			s.env = append(s.env, name+"="+*value)
		}
		args := []string{"/peercached", "check", "-c", "/etc/peercached/peercached.yaml"}
		if len(service.Command) > 0 && service.Command[0] == "gateway" {
			args = append(args, "--peers.own_nothing") // which the command adds by itself
		}
		if out, err := s.run(args...); err != nil {
			t.Errorf("%s: %v\n%s", service.Name, err, out)
		}
	}
}
