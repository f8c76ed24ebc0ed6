package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

// asProgram makes this binary the program peercached.
const asProgram = "TEST_AS_PEERCACHED"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("LISTEN_FDS") != "" { // systemd says whom it means; the parent could not know
		os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	}
	os.Exit(Main(context.Background(), os.Args[1:], Origins{"upper": upper}))
}

// upper is an origin of the test's own: the key in upper case, and what its section says.
func upper(_ context.Context, _ origin.Env, decode func(any) error) (peercache.Getter, error) {
	var c struct {
		Suffix string `yaml:"suffix"`
	}
	if err := decode(&c); err != nil {
		return nil, err
	}
	return peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
		if key == "nobody" {
			return nil, peercache.ErrNotFound
		}
		return []byte(strings.ToUpper(key) + c.Suffix), nil
	}), nil
}

// process is a peercached that runs.
type process struct {
	*exec.Cmd
	log    *logOf
	exited chan struct{} // closed when it has ended; then err is set
	err    error
}

// logOf is what a process writes to standard error.
type logOf struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed at the next write
}

func (l *logOf) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.more)
	l.more = make(chan struct{})
	return l.text.Write(b)
}

func (l *logOf) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// patience is how long a test waits for what takes a moment.
const patience = time.Minute

// wait waits until the log has a text, after the one that it had before.
func (p *process) wait(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		p.log.mu.Lock()
		more, have := p.log.more, strings.Contains(p.log.text.String(), text)
		p.log.mu.Unlock()
		if have {
			return
		}
		select {
		case <-more:
		case <-p.exited:
			if !strings.Contains(p.log.String(), text) {
				t.Fatalf("the process has ended (%v), and its log has no %q:\n%s", p.err, text, p.log)
			}
			return
		case <-timeout:
			t.Fatalf("no %q in the log:\n%s", text, p.log)
		}
	}
}

// start runs the program. It is killed at the end of the test.
func start(t *testing.T, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), log: &logOf{more: make(chan struct{})}, exited: make(chan struct{})}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stderr = p.log
	if change != nil {
		change(p.Cmd)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("the log of %v:\n%s", p.Process.Pid, p.log)
		}
	})
	return p
}

// status waits until the process has ended, and returns its exit status.
func (p *process) status(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("the process has not ended:\n%s", p.log)
		return -1
	}
}

// freePorts returns ports that nobody uses at the moment.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// get asks for a URL, and returns status and body.
func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// eventually calls f until it returns nil.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

var errNotYet = errors.New("not yet")
