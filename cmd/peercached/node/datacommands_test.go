package node

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/peercache/peercache/data"
)

// filledLog returns the directory of a log with three keys.
func filledLog(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	m, err := data.NewMemory(data.WithLog(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Do(t.Context(), data.Command("SET", "first", "1"), data.Command("SET", "second", "2"), data.Command("SET", "third", "3")); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// flip changes a byte of the segment of a log, where it has a text.
func flip(t *testing.T, dir, text string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			b[i] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no %q in %q", text, names)
}

// wants checks what a command prints.
func wants(t *testing.T, status int, text string, args ...string) {
	t.Helper()
	got, stdout, stderr := run(t, nil, args...)
	if got != status || !strings.Contains(stdout+stderr, text) {
		t.Errorf("%q: status %d:\n%s%s\nwant status %d, and %q", args, got, stdout, stderr, status, text)
	}
}

// A log is looked at, cut off where it is damaged, and not without being told to.
func TestLogCommands(t *testing.T) {
	dir := filledLog(t)
	wants(t, ExitOK, "the log is whole\n", "log", "check", dir)
	wants(t, ExitOK, "there is nothing to repair", "log", "repair", dir, "--yes")
	wants(t, ExitOK, `"SET" "second" "2"`, "log", "dump", dir)
	wants(t, ExitFailed, "no such file", "log", "check", dir+"x")
	wants(t, ExitUsage, "<dir>", "log", "check")

	flip(t, dir, "second")
	wants(t, ExitFailed, "the log is broken\n", "log", "check", dir)
	wants(t, ExitFailed, "peercached log repair keeps what was before the damage", "log", "check", dir)
	wants(t, ExitFailed, "nothing was changed: --yes sets aside", "log", "repair", dir)
	wants(t, ExitFailed, "the log is broken\n", "log", "check", dir)
	wants(t, ExitOK, "was cut off at offset", "log", "repair", dir, "--yes")
	wants(t, ExitOK, "the log is whole\n", "log", "check", dir)
	if _, dumped, _ := run(t, nil, "log", "dump", dir); !strings.Contains(dumped, "first") || strings.Contains(dumped, "second") {
		t.Errorf("after the repair the log has\n%s", dumped)
	}
}

// A node does not start with a broken log, says which command helps, and changes nothing.
func TestBrokenLog(t *testing.T) {
	t.Parallel()
	dir := filledLog(t)
	flip(t, dir, "second")
	p := start(t, nil, "serve", "--peers.listen=127.0.0.1:0", "--peers.self=http://127.0.0.1:1", "--admin.listen=127.0.0.1:0", "--resp.listen=127.0.0.1:0", "--data.log.dir="+dir)
	if status := p.status(t); status != ExitFailed || !strings.Contains(p.log.String(), "(peercached log check "+dir+" says what is there)") {
		t.Errorf("exit status %d:\n%s", status, p.log)
	}
	wants(t, ExitFailed, "the log is broken\n", "log", "check", dir)
}

// A backup is taken of a node in use, and comes back in it, in a log, or not at all.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "backup")
	flags := []string{"--data.log.dir=" + filepath.Join(dir, "log"), "--admin.token=a-token-of-operators", "--log.level=debug"}
	p, respPort, _, adminPort := dataNode(t, flags...)
	node := []string{"--admin=http://127.0.0.1:" + adminPort, "--token=a-token-of-operators"}
	with := func(args ...string) []string { return append(args, node...) }
	c := dialRedis(t, respPort)
	c.says(t, "SET tom 630", "OK", "RPUSH list x y", "2")

	wants(t, ExitFailed, "(--token, or PEERCACHED_TOKEN)", "backup", file, node[0])
	if left, _ := filepath.Glob(file + "*"); len(left) > 0 {
		t.Errorf("a backup that has failed has left %q", left)
	}
	wants(t, ExitOK, "bytes\n", with("backup", file)...)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a backup: %v, %v: want that its owner alone reads it", info, err)
	}
	c.says(t, "SET tom 1", "OK", "SET jack 2", "OK")

	wants(t, ExitUsage, "--yes does that", with("restore", file)...)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := file + ".cut"
	if err := os.WriteFile(cut, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, ExitFailed, "422 Unprocessable Entity", with("restore", cut, "--yes")...)
	c.says(t, "GET tom", "1", "DBSIZE", "3")
	wants(t, ExitOK, "restored: 2 keys\n", with("restore", file, "--yes")...)
	c.says(t, "GET tom", "630", "LRANGE list 0 -1", "[x y]", "DBSIZE", "2")

	wants(t, ExitFailed, "is not empty", "log", "restore", dir, file)
	wants(t, ExitOK, "is a log with 2 keys\n", "log", "restore", filepath.Join(dir, "other"), file)
	wants(t, ExitOK, "the log is whole\n", "log", "check", filepath.Join(dir, "other"))
	wants(t, ExitFailed, "log", "log", "check", filepath.Join(dir, "log")) // the node has it

	// Pages of other sites cannot ask for it.
	req, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:"+adminPort+dataPath+"backup", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer a-token-of-operators")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d for a page of another site", resp.StatusCode)
	}

	// A client that sends half a backup does not hold up the end.
	body := &endless{first: whole[:len(whole)/2], asked: make(chan struct{}), end: make(chan struct{})}
	defer close(body.end)
	go http.DefaultClient.Do(must(http.NewRequest(http.MethodPost, "http://a:a-token-of-operators@127.0.0.1:"+adminPort+dataPath+"restore", body)))
	<-body.asked
	p.Process.Signal(syscall.SIGTERM)
	if status := p.status(t); status != ExitOK || strings.Contains(p.log.String(), "the listener for operators was closed") {
		t.Errorf("exit status %d, and the end has waited for a client that sends nothing:\n%s", status, p.log)
	}

	_, respPort, _, adminPort = dataNode(t, flags[0], "--admin.read_only")
	dialRedis(t, respPort).says(t, "GET tom", "630", "DBSIZE", "2")
	wants(t, ExitFailed, "", "backup", file, "--admin=http://127.0.0.1:"+adminPort)
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, whole) {
		t.Errorf("a backup that was refused has changed the file, %v", err)
	}
}

// endless is a body whose end does not come.
type endless struct {
	first      []byte
	asked, end chan struct{}
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.first) > 0 {
		n := copy(b, e.first)
		e.first = e.first[n:]
		return n, nil
	}
	close(e.asked)
	<-e.end
	return 0, http.ErrAbortHandler
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
