package data

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// killedDir has a process of this test be one that writes to the log in that directory until it is killed. killedPolicy is the policy of the log.
const (
	killedDir    = "PEERCACHE_TEST_KILLED_DIR"
	killedPolicy = "PEERCACHE_TEST_KILLED_POLICY"
)

const killedWriters = 8

// TestMain has the process be what its environment says.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killedDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir, policies[os.Getenv(killedPolicy)]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled has clients count up, each by transactions of two keys, and says on the standard output how far they are. The log is rewritten all the time.
func writeUntilKilled(dir string, policy SyncPolicy) error {
	ctx := context.Background()
	m, err := NewMemory(WithLog(dir, LogSync(policy)))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for w := range killedWriters {
		go func() {
			for {
				var n int64
				err := m.Tx(ctx, func(tx Transaction) error {
					for _, name := range []string{"a", "b"} {
						reply, err := tx.Do(Command("INCR", fmt.Sprint(name, w)))
						if err != nil {
							return err
						}
						n = reply.Int
					}
					return nil
				})
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(w, n, time.Now().UnixNano())
				mu.Unlock()
			}
		}()
	}
	go func() {
		for {
			if err := m.RewriteLog(ctx); err != nil {
				failed <- err
				return
			}
		}
	}()
	return <-failed
}

// acknowledged is how far a client was at a time.
type acknowledged struct {
	n  int64
	at time.Time
}

// A process that is killed at any moment loses nothing of what SyncAlways has acknowledged, and with SyncInterval nothing that is older than two intervals;
// transactions are whole.
func TestD2D3Killed(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for round := range 4 {
				acks, end := runAndKill(t, dir, name, 40*(round+1))
				m := logged(t, dir, LogSync(policy))
				for w := range killedWriters {
					a, b := number(t, m, fmt.Sprint("a", w)), number(t, m, fmt.Sprint("b", w))
					if a != b {
						t.Errorf("half a transaction: %d and %d", a, b)
					}
					for _, ack := range acks[w] {
						due := policy == SyncAlways || policy != SyncNever && ack.at.Before(end.Add(-2*policy.interval))
						if due && a < ack.n {
							t.Fatalf("client %d is at %d, and %d was acknowledged %v before the end", w, a, ack.n, end.Sub(ack.at))
						}
					}
				}
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func number(t *testing.T, m *Memory, key string) int64 {
	t.Helper()
	s := text(t, m, key)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runAndKill starts a process that writes, kills it when it has said as many lines, and returns what it has said, and when it ended.
func runAndKill(t *testing.T, dir, policy string, lines int) (acks [killedWriters][]acknowledged, end time.Time) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedDir+"="+dir, killedPolicy+"="+policy)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for i := 0; said.Scan(); i++ {
		var w int
		var n, nanos int64
		if _, err := fmt.Sscan(said.Text(), &w, &n, &nanos); err != nil {
			continue // cut off by the kill
		}
		acks[w] = append(acks[w], acknowledged{n, time.Unix(0, nanos)})
		if i == lines {
			end = time.Now()
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the process was not killed: %v\n%s", err, &problems)
	}
	return acks, end
}
