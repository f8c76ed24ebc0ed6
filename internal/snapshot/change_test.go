package snapshot

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A file that is written to while it is read gives an error before its end, or what it had.
func TestFileThatChangesWhileItIsRead(t *testing.T) {
	large := []Record{{Key: "first", Value: bytes.Repeat([]byte("v"), 2*bufferSize)}, {Key: "last", Value: bytes.Repeat([]byte("w"), 2*bufferSize)}}
	for _, c := range []struct {
		name   string
		change func(path string, size int64) error
		fails  bool
	}{
		{"it is cut short", func(path string, size int64) error { return os.Truncate(path, size/2) }, true},
		{"it is empty", func(path string, _ int64) error { return os.Truncate(path, 0) }, true},
		{"it grows", func(path string, size int64) error { return os.Truncate(path, 2*size) }, false},
		{"a byte of a value changes", func(path string, size int64) error {
			file, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = file.WriteAt([]byte("x"), size-bufferSize)
			return err
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scores")
			save(t, path, large...)
			taken, err := Take(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := taken.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			info, err := os.Stat(taken.path)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.change(taken.path, info.Size()); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = r.Next()
			}
			if (err != io.EOF) != c.fails {
				t.Errorf("%v at the end, want an error: %t", err, c.fails)
			}
		})
	}
}

// What is longer than the reader's limits is passed over, and nothing is set aside for it.
func TestLimit(t *testing.T) {
	const large = 32 << 20
	path := filepath.Join(t.TempDir(), "scores")
	save(t, path,
		Record{Key: "a", Value: []byte("1")},
		Record{Key: "b", Value: make([]byte, large)},
		Record{Key: strings.Repeat("c", 100), Value: []byte("3")},
		Record{Key: "d", Value: []byte("4")})
	taken, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := taken.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Limit(99, 1<<10)
	var keys string
	for _, record := range all(t, r) {
		keys += record.Key
	}
	runtime.ReadMemStats(&after)
	if keys != "ad" {
		t.Errorf("the keys %q, want those within the limits, a and d", keys)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > large/16 {
		t.Errorf("%d bytes were allocated for a file with a value of %d that is not wanted", n, large)
	}
}
