package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
}

func TestWhatIsFound(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "root")
	write(t, filepath.Join(parent, "secret"), "secret")
	write(t, filepath.Join(dir, "Tom"), "630")
	write(t, filepath.Join(dir, "a", "b c", "ü.txt"), "deep")
	write(t, filepath.Join(dir, "empty"), "")
	write(t, filepath.Join(dir, "full"), strings.Repeat("x", 10))
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", 11))
	link(t, "Tom", filepath.Join(dir, "inside"))
	link(t, filepath.Join("..", "secret"), filepath.Join(dir, "outside"))
	link(t, filepath.Join(parent, "secret"), filepath.Join(dir, "absolute"))
	link(t, "..", filepath.Join(dir, "up"))
	link(t, "loop", filepath.Join(dir, "loop"))
	link(t, "nobody", filepath.Join(dir, "dangling"))

	o, err := New(Config{Dir: dir, MaxBytes: 10, TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	const missing = "\x00missing"
	for key, want := range map[string]string{
		"Tom":         "630",
		"a/b c/ü.txt": "deep",
		"empty":       "",
		"full":        "xxxxxxxxxx",
		"inside":      "630",

		"Sam":                     missing,
		"a":                       missing, // a directory
		"Tom/x":                   missing, // no directory
		"dangling":                missing,
		strings.Repeat("n", 999):  missing,
		"":                        missing,
		".":                       missing,
		"..":                      missing,
		"../secret":               missing,
		"a/../../secret":          missing,
		"a/../Tom":                missing,
		"./Tom":                   missing,
		"a//b c/ü.txt":            missing,
		"Tom/":                    missing,
		"/Tom":                    missing,
		filepath.Join(dir, "Tom"): missing,
		"Tom\x00":                 missing,
		"\xff":                    missing, // no path in the sense of package fs

		"outside":   "escapes",
		"absolute":  "escapes",
		"up/secret": "escapes",
		"loop":      "too many levels",
		"large":     "11 bytes or more, want at most 10 (max_bytes)",
	} {
		item, err := o.Get(t.Context(), key)
		switch {
		case err == nil && (string(item.Value) != want || item.TTL != time.Minute):
			t.Errorf("%q: %q for %v, want %q", key, item.Value, item.TTL, want)
		case err != nil && want == missing && !errors.Is(err, peercache.ErrNotFound):
			t.Errorf("%q: %v, want ErrNotFound", key, err)
		case err != nil && want != missing && (!strings.Contains(err.Error(), want) || errors.Is(err, peercache.ErrNotFound)):
			t.Errorf("%q: %v, want %s", key, err, want)
		}
		if bytes.Contains(item.Value, []byte("secret")) || err != nil && strings.Contains(err.Error(), dir) && key[0] != '/' {
			t.Errorf("%q: %q, %v: what is outside comes out", key, item.Value, err)
		}
	}
	if _, err := o.Get(t.Context(), "large"); !errors.Is(err, peercache.ErrValueSize) {
		t.Errorf("a file that is too large: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Get(ended, "Tom"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// What a link points to may change, and a directory may be away for a time.
func TestDirectoryIsOpenedForEachLoad(t *testing.T) {
	parent := t.TempDir()
	for _, release := range []string{"1", "2"} {
		write(t, filepath.Join(parent, release, "version"), release)
	}
	current := filepath.Join(parent, "current")
	link(t, "1", current)
	o, err := New(Config{Dir: current})
	if err != nil {
		t.Fatal(err)
	}
	brings := func(want string) {
		t.Helper()
		if item, err := o.Get(t.Context(), "version"); err != nil || string(item.Value) != want || item.TTL != 0 {
			t.Errorf("%q, %v, want %s", item.Value, err, want)
		}
	}
	brings("1")
	if err := os.Remove(current); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Get(t.Context(), "version"); err == nil || errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("without its directory: %v, want an error that is not ErrNotFound", err)
	}
	link(t, "2", current)
	brings("2")
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "")
	for want, c := range map[string]Config{
		"dir is missing":   {},
		"want a directory": {Dir: filepath.Join(dir, "file")},
		"nowhere":          {Dir: filepath.Join(dir, "nowhere")},
		"max_bytes is -1":  {Dir: dir, MaxBytes: -1},
		"ttl is -1s":       {Dir: dir, TTL: -time.Second},
	} {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "files: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}

func TestFactory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Tom"), "630")
	env := origin.Env{Group: "files", Log: slog.New(slog.DiscardHandler)}
	var f origin.Factory = Factory
	getter, err := f(t.Context(), env, func(section any) error { section.(*Config).Dir = dir; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if item, err := getter.Get(t.Context(), "Tom"); err != nil || string(item.Value) != "630" {
		t.Errorf("%q, %v", item.Value, err)
	}
	wrong := errors.New("line 3: unknown key")
	if _, err := f(t.Context(), env, func(any) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("%v, want what decode said", err)
	}
	if getter, err := f(t.Context(), env, func(any) error { return nil }); err == nil || getter != nil {
		t.Errorf("%v, %v: want an error", getter, err)
	}
}

// No key brings what is outside of the directory, whatever it is.
func FuzzKeysStayInside(f *testing.F) {
	parent := f.TempDir()
	dir := filepath.Join(parent, "root")
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
		f.Fatal(err)
	}
	for path, text := range map[string]string{"secret": "secret", "root/Tom": "630", "root/a/b": "630"} {
		if err := os.WriteFile(filepath.Join(parent, filepath.FromSlash(path)), []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	_ = os.Symlink("..", filepath.Join(dir, "up"))
	for _, key := range []string{"Tom", "a/b", "../secret", "up/secret", "a/../../secret", "/", "a\\b", "up/root/Tom", "a/../../root/Tom"} {
		f.Add(key)
	}
	o, err := New(Config{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string) {
		item, err := o.Get(t.Context(), key)
		if err == nil && (string(item.Value) != "630" || !fs.ValidPath(key)) {
			t.Errorf("%q brings %q", key, item.Value)
		}
	})
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "Tom"), []byte("630"), 0o600); err != nil {
		panic(err)
	}
	scores, err := New(Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	group, err := peercache.NewGroup("scores", 64<<20, scores, peercache.WithTTL(time.Minute))
	if err != nil {
		panic(err)
	}
	view, err := group.Get(context.Background(), "Tom")
	fmt.Println(view, err)
	_, err = group.Get(context.Background(), "../Tom")
	fmt.Println(errors.Is(err, peercache.ErrNotFound))
	// Output:
	// 630 <nil>
	// true
}
