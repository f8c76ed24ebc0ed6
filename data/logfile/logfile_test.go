package logfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/logfile"
)

func open(t *testing.T, dir string) (*data.Memory, error) {
	t.Helper()
	return data.NewMemory(data.WithLog(dir, data.LogSync(data.SyncAlways), data.LogReports(slog.New(slog.DiscardHandler))))
}

func set(t *testing.T, m *data.Memory, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := m.Do(context.Background(), data.Command("SET", fmt.Sprint("key", i), fmt.Sprint("value", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// filled returns a directory with a snapshot of 100 keys, and 100 records.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m, err := open(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	set(t, m, 0, 100)
	if err := m.RewriteLog(context.Background()); err != nil {
		t.Fatal(err)
	}
	set(t, m, 100, 200)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func change(t *testing.T, path string, f func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckAndRepair(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		state  logfile.State
		report string
		keys   int64 // after Repair; 0: it cannot be repaired
	}{
		{"whole", func(*testing.T, string) {}, logfile.Whole, "000002.log: whole, ", 200},
		{"the last record is torn", func(t *testing.T, dir string) {
			// 32 bytes are the mark of Close.
			change(t, filepath.Join(dir, "000002.log"), func(b []byte) []byte { return b[:len(b)-40] })
		}, logfile.Torn, "a frame ends early", 199},
		{"a record in the middle is damaged", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, "000002.log"), func(b []byte) []byte { b[bytes.Index(b, []byte("value150"))] ^= 1; return b })
		}, logfile.Broken, "a frame has a wrong checksum", 150},
		{"the snapshot is damaged", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, "000002.snap"), func(b []byte) []byte { b[100] ^= 1; return b })
		}, logfile.Broken, "000002.snap: broken", 0},
		{"the snapshot has no end", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, "000002.snap"), func(b []byte) []byte { return b[:len(b)-32] })
		}, logfile.Broken, "the end is missing", 0},
		{"the manifest is missing", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "manifest"))
		}, logfile.Broken, "manifest is damaged", 200},
		{"the manifest is damaged", func(t *testing.T, dir string) {
			change(t, filepath.Join(dir, "manifest"), func(b []byte) []byte { b[len(b)-2] ^= 1; return b })
		}, logfile.Broken, "its checksum is wrong", 200},
		{"a segment is missing", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "000002.log"))
		}, logfile.Broken, "000002.log is damaged at offset 0: it is missing", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filled(t)
			c.damage(t, dir)
			r, err := logfile.Check(dir)
			if err != nil {
				t.Fatal(err)
			}
			if r.State != c.state || !strings.Contains(r.String(), c.report) {
				t.Fatalf("want a log that is %s, and %q:\n%s", c.state, c.report, r)
			}
			if m, err := open(t, dir); (err == nil) != (c.state != logfile.Broken) {
				t.Fatalf("opened: %v", err)
			} else if err == nil {
				m.Close()
			}
			done, r, err := logfile.Repair(dir)
			if c.keys == 0 {
				if !errors.Is(err, logfile.ErrLost) {
					t.Fatalf("Repair: %v, want ErrLost", err)
				}
				return
			}
			if err != nil || r.State == logfile.Broken || (len(done) > 0) != (c.state == logfile.Broken) {
				t.Fatalf("Repair: %q, %v\n%s", done, err, r)
			}
			m, err := open(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if _, err := logfile.Check(dir); err == nil {
				t.Error("the log of a process that runs was checked")
			}
			replies, err := m.Do(context.Background(), data.Command("DBSIZE"))
			if err != nil || replies[0].Int != c.keys {
				t.Errorf("%d keys, want %d (%v)", replies[0].Int, c.keys, err)
			}
		})
	}
}

func TestDump(t *testing.T) {
	dir := filled(t)
	var b strings.Builder
	if err := logfile.Dump(dir, &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"000002.snap: \"key7\" string \"value7\"\n", "000002.log:64: \"SET\" \"key100\" \"value100\"\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 200 {
		t.Errorf("%d lines", n)
	}
}

func TestNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if _, err := logfile.Check(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("Check has made the directory")
	}
}
