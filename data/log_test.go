package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var policies = map[string]SyncPolicy{"always": SyncAlways, "interval": SyncInterval(50 * time.Millisecond), "never": SyncNever}

// logged makes a Memory with a log.
func logged(t *testing.T, dir string, opts ...LogOption) *Memory {
	t.Helper()
	m, err := NewMemory(WithLog(dir, append([]LogOption{LogReports(slog.New(slog.DiscardHandler))}, opts...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// run runs a command of words.
func run(t *testing.T, m *Memory, line string) Reply {
	t.Helper()
	words := strings.Fields(line)
	reply, err := m.do(context.Background(), words)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if reply.Kind == ErrorReply {
		t.Fatalf("%s: %s", line, reply.Str)
	}
	return reply
}

func text(t *testing.T, m *Memory, key string) string {
	t.Helper()
	return run(t, m, "get "+key).Str
}

// After Close, all that was written is there again, with its expiry, whatever the policy.
func TestD3Reopen(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m := logged(t, dir, LogSync(policy))
			for i := range 100 {
				run(t, m, fmt.Sprintf("set key%d value%d", i, i))
			}
			run(t, m, "set short x px 1")
			run(t, m, "set late y ex 1000")
			run(t, m, "del key5")
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			m = logged(t, dir, LogSync(policy))
			if got := text(t, m, "key7"); got != "value7" {
				t.Errorf("key7 is %q", got)
			}
			if got := run(t, m, "exists key5").Int; got != 0 {
				t.Error("key5 is back")
			}
			if ttl := run(t, m, "ttl late").Int; ttl < 900 || ttl > 1000 {
				t.Errorf("late expires in %d s", ttl)
			}
		})
	}
}

// The log is rewritten while clients write. What they have written is there afterwards, and after a restart.
func TestD3RewriteUnderLoad(t *testing.T) {
	dir := t.TempDir()
	m := logged(t, dir, LogSync(SyncAlways))
	ctx := context.Background()
	var writers sync.WaitGroup
	const each = 300
	for w := range 4 {
		writers.Go(func() {
			for i := range each {
				run(t, m, fmt.Sprintf("set %d:%d %d", w, i, i))
				run(t, m, fmt.Sprintf("set big%d %s", i%20, strings.Repeat("x", 20_000)))
			}
		})
	}
	for range 5 {
		if err := m.RewriteLog(ctx); err != nil {
			t.Error(err)
		}
	}
	writers.Wait()
	if err := m.RewriteLog(ctx); err != nil {
		t.Error(err)
	}
	run(t, m, "set last end")
	if s := m.LogStats(); s.Rewrites != 6 || s.Snapshot == 0 || s.Log > 1000 {
		t.Errorf("figures of the log: %+v", s)
	}
	m.Close()
	m = logged(t, dir)
	for w := range 4 {
		for i := range each {
			if got := text(t, m, fmt.Sprintf("%d:%d", w, i)); got != fmt.Sprint(i) {
				t.Errorf("%d:%d is %q", w, i, got)
			}
		}
	}
	if got := text(t, m, "last"); got != "end" {
		t.Errorf("last is %q", got)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 4 {
		t.Errorf("files: %q, want a segment, a snapshot, a manifest and a lock", names)
	}
}

// A log that has grown is rewritten by itself.
func TestLogIsRewrittenWhenItHasGrown(t *testing.T) {
	m := logged(t, t.TempDir(), LogSync(SyncNever), LogRewriteAt(100, 100_000))
	value := strings.Repeat("x", 1000)
	for deadline := time.Now().Add(20 * time.Second); m.LogStats().Rewrites == 0; {
		if time.Now().After(deadline) {
			t.Fatalf("never rewritten: %+v", m.LogStats())
		}
		run(t, m, "set key "+value)
	}
}

// A backup is of one moment, whatever is written or removed meanwhile, and a restore replaces all.
func TestBackupAndRestore(t *testing.T) {
	ctx := context.Background()
	for _, withLog := range []bool{false, true} {
		t.Run(fmt.Sprint("log: ", withLog), func(t *testing.T) {
			var m *Memory
			dir := t.TempDir()
			if withLog {
				m = logged(t, dir)
			} else {
				m, _ = NewMemory()
				defer m.Close()
			}
			for i := range 1000 {
				run(t, m, fmt.Sprintf("set key%d %s", i, strings.Repeat("v", 1000)))
			}
			run(t, m, "set counter 7 ex 1000")
			var b bytes.Buffer
			if err := m.Backup(ctx, &flushesMeanwhile{t: t, m: m, w: &b}); err != nil {
				t.Fatal(err)
			}
			if n := run(t, m, "dbsize").Int; n != 1 {
				t.Fatalf("%d keys after all were removed", n)
			}
			for cut := range []int{0, 1, 10, 100, 100_000} {
				damaged := b.Bytes()[:b.Len()-1-cut]
				if err := m.Restore(ctx, bytes.NewReader(damaged)); err == nil {
					t.Fatalf("a backup without its last %d bytes was restored", cut+1)
				}
			}
			flipped := bytes.Clone(b.Bytes())
			flipped[len(flipped)/2] ^= 4
			if err := m.Restore(ctx, bytes.NewReader(flipped)); err == nil || !strings.Contains(err.Error(), "what was read is damaged at offset ") {
				t.Fatalf("a damaged backup was restored, or the error does not say where it is damaged: %v", err)
			}
			if got := text(t, m, "new"); got != "value" {
				t.Fatalf("a restore that failed has changed something: new is %q", got)
			}
			if err := m.Restore(ctx, &b); err != nil {
				t.Fatal(err)
			}
			check := func() {
				t.Helper()
				if n := run(t, m, "dbsize").Int; n != 1001 {
					t.Errorf("%d keys, want 1001", n)
				}
				if ttl := run(t, m, "ttl counter").Int; ttl < 900 {
					t.Errorf("counter expires in %d s", ttl)
				}
			}
			check()
			run(t, m, "set counter 8 keepttl")
			if withLog {
				m.Close()
				m = logged(t, dir)
				check()
			}
			if got := text(t, m, "counter"); got != "8" {
				t.Errorf("counter is %q", got)
			}
		})
	}
}

// flushesMeanwhile is a Writer in whose first Write of a block all keys are removed.
type flushesMeanwhile struct {
	t      *testing.T
	m      *Memory
	w      io.Writer
	writes int
}

func (f *flushesMeanwhile) Write(b []byte) (int, error) {
	if f.writes++; f.writes == 2 {
		run(f.t, f.m, "flushdb")
		run(f.t, f.m, "set new value")
	}
	return f.w.Write(b)
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	logged(t, dir)
	if m, err := NewMemory(WithLog(dir)); err == nil {
		m.Close()
		t.Error("two have the same directory")
	}
}

// A damaged middle is no torn end: nothing is loaded, and the error says where it is.
func TestD3BrokenMiddle(t *testing.T) {
	dir := t.TempDir()
	m := logged(t, dir, LogSync(SyncAlways))
	for i := range 100 {
		run(t, m, fmt.Sprintf("set key%d value", i))
	}
	m.Close()
	path := filepath.Join(dir, "000001.log")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewMemory(WithLog(dir)); err == nil || !strings.Contains(err.Error(), "000001.log is damaged at offset ") {
		t.Errorf("%v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, b) {
		t.Error("the file was changed")
	}
}

func TestLogOptions(t *testing.T) {
	for name, opt := range map[string]MemoryOption{
		"no directory":      WithLog(""),
		"no interval":       WithLog(t.TempDir(), LogSync(SyncInterval(0))),
		"negative per cent": WithLog(t.TempDir(), LogRewriteAt(-1, 0)),
	} {
		if _, err := NewMemory(opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	m, _ := NewMemory()
	defer m.Close()
	if err := m.RewriteLog(context.Background()); err == nil {
		t.Error("what has no log was rewritten")
	}
	if (m.LogStats() != LogStats{}) {
		t.Error("what has no log has figures of it")
	}
	if errors.Is(m.Backup(context.Background(), io.Discard), io.EOF) {
		t.Error("no backup")
	}
}

// A backup of more than the Memory may have is not read to its end.
func TestRestoreOfTooMuchEndsEarly(t *testing.T) {
	from, err := NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	for i := range 200 {
		if _, err := from.Do(t.Context(), Cmd{Name: "SET", Args: []string{fmt.Sprint("key", i), strings.Repeat("x", 100<<10)}}); err != nil {
			t.Fatal(err)
		}
	}
	var backup bytes.Buffer
	if err := from.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	to, err := NewMemory(WithBytes(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	size := backup.Len()
	if err := to.Restore(t.Context(), &backup); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if backup.Len() < size/2 {
		t.Errorf("%d bytes of %d were read", size-backup.Len(), size)
	}
}
