package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

// tree is a directory for the tests: tree/… is served, secret is beside it.
func tree(t *testing.T) (served *os.Root, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range map[string]string{
		"secret":              "nobody's business",
		"tree/empty":          "",
		"tree/file":           "a file",
		"tree/a b/plus+%2F.é": "an odd name",
		"tree/limit":          strings.Repeat("x", 100),
		"tree/large":          strings.Repeat("x", 101),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(filepath.Join(dir, "tree"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

// checkFile checks that a getter of files of up to 100 bytes gives the content,
// or an error that is want.
func checkFile(t *testing.T, root *os.Root, key, content string, want error) {
	t.Helper()
	b, err := getFile(root, 100)(t.Context(), key)
	if string(b) != content || !errors.Is(err, want) {
		t.Errorf("key %.80q: got %q, error %v: want %q, error %v", key, b, err, content, want)
	}
}

func TestFiles(t *testing.T) {
	root, dir := tree(t)
	for key, content := range map[string]string{
		"empty":          "",
		"file":           "a file",
		"a b/plus+%2F.é": "an odd name",
		"limit":          strings.Repeat("x", 100),
	} {
		checkFile(t, root, key, content, nil)
	}
	for _, key := range []string{
		"missing", "missing/file", "file/below", "FILE/",
		"", ".", "a b", "a b/", // directories
		"..", "../secret", "a b/../../secret", "../tree/file", filepath.Join(dir, "secret"),
		"./file", "a b/../file", "a b//plus+%2F.é", "/file", // other ways to write a name
		"file\x00", "\x00", "\xff", strings.Repeat("x", 300), strings.Repeat("x/", 20000) + "x",
	} {
		checkFile(t, root, key, "", peercache.ErrNotFound)
	}
	checkFile(t, root, "large", "", peercache.ErrValueSize)
}

func TestScores(t *testing.T) {
	for key, score := range map[string]string{"Tom": "630", "Jack": "589", "Sam": "567"} {
		if b, err := getScore(t.Context(), key); string(b) != score || err != nil {
			t.Errorf("%s: got %q, error %v: want %q", key, b, err, score)
		}
	}
	if _, err := getScore(t.Context(), "tom"); !errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("error %v: want ErrNotFound", err)
	}
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := slow(getScore, time.Second)
		start := time.Now()
		if b, err := load(t.Context(), "Tom"); string(b) != "630" || err != nil || time.Since(start) != time.Second {
			t.Errorf("got %q, error %v after %v: want 630 after 1s", b, err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := load(ctx, "Tom"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v: want the context's", err)
		}
	})
}
