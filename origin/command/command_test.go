package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/origin"
)

// asProgram makes this test the program that is run.
const asProgram = "PEERCACHE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// program does what its first argument says.
func program(args []string) int {
	switch args[0] {
	case "print":
		fmt.Print(strings.Join(args[1:], "|"))
	case "line":
		fmt.Println(args[1])
	case "stdin":
		b, _ := io.ReadAll(os.Stdin)
		fmt.Printf("%q", b)
	case "nostdin": // does not read its input
		fmt.Print("done")
	case "exit":
		code, _ := strconv.Atoi(args[1])
		fmt.Print("ignored")
		fmt.Fprint(os.Stderr, "\n\x1b[31mno such table\x1b[0m\nsecond line\n")
		return code
	case "env":
		for _, name := range args[1:] {
			fmt.Printf("%s=%s;", name, os.Getenv(name))
		}
	case "dir":
		dir, _ := os.Getwd()
		fmt.Print(dir)
	case "endless":
		for {
			if _, err := os.Stdout.Write(make([]byte, 4096)); err != nil {
				return 1
			}
		}
	case "hang":
		select {}
	case "complain": // more than is kept
		for range 1000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("é", 500))
		}
		return 1
	case "child": // leaves a child that has the output open, and all other files that it inherited itself
		child := exec.Command(os.Args[0], "hang")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		fmt.Fprintln(os.Stdout, "ready")
		if args[1] == "stay" {
			select {}
		}
	}
	return 0
}

// newOrigin returns an origin that runs this test as a program, with such arguments.
func newOrigin(t testing.TB, c Config, args ...string) *Origin {
	t.Helper()
	c.Run = append([]string{os.Args[0]}, args...)
	env := map[string]string{asProgram: "1", "GORACE": "atexit_sleep_ms=0"} // or each takes a second
	for name, value := range c.Env {
		env[name] = value
	}
	c.Env = env
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWhatAProgramAnswers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PEERCACHE_TEST_SECRET", "secret")
	t.Setenv("PEERCACHE_TEST_GIVEN", "given")
	for name, c := range map[string]struct {
		config Config
		args   []string
		key    string
		want   string // the value
		err    string // or what the error says
		is     error
	}{
		"argument":               {Config{TTL: time.Minute}, []string{"print", "{key}"}, "Tom", "Tom", "", nil},
		"in the middle, twice":   {Config{}, []string{"print", "a{key}b", "{key}"}, "Tom", "aTomb|Tom", "", nil},
		"no shell":               {Config{}, []string{"print", "{key}"}, "$(id); `id` * 'x\"\n{key}", "$(id); `id` * 'x\"\n{key}", "", nil},
		"empty value":            {Config{}, []string{"print", "{key}"}, "", "", "", nil},
		"newline stays":          {Config{}, []string{"line", "{key}"}, "Tom", "Tom\n", "", nil},
		"newline is taken away":  {Config{TrimNewline: true}, []string{"line", "{key}"}, "Tom\n", "Tom\n", "", nil},
		"stdin":                  {Config{Stdin: true}, []string{"stdin"}, "a\x00b\n", `"a\x00b\n"`, "", nil},
		"no stdin":               {Config{}, []string{"stdin", "{key}"}, "Tom", `""`, "", nil},
		"stdin that is not read": {Config{Stdin: true}, []string{"nostdin"}, strings.Repeat("k", 1<<20), "done", "", nil},
		"stdin and argument":     {Config{Stdin: true}, []string{"print", "{key}"}, "Tom", "Tom", "", nil},
		"option":                 {Config{}, []string{"print", "{key}"}, "-rf", "", `want "--" before {key}`, nil},
		"no option after --":     {Config{}, []string{"print", "--", "{key}"}, "-rf", "--|-rf", "", nil},
		"no option in a text":    {Config{}, []string{"print", "id={key}"}, "-rf", "id=-rf", "", nil},
		"no option in stdin":     {Config{Stdin: true}, []string{"stdin"}, "-rf", `"-rf"`, "", nil},
		"NUL":                    {Config{}, []string{"print", "{key}"}, "a\x00", "", "NUL", peercache.ErrNotFound},
		"status":                 {Config{}, []string{"exit", "3", "{key}"}, "Tom", "", `for "Tom": exit status 3: [31mno such table[0m`, nil},
		"another status":         {Config{NotFound: 2}, []string{"exit", "3", "{key}"}, "Tom", "", "exit status 3", nil},
		"not found":              {Config{NotFound: 3}, []string{"exit", "3", "{key}"}, "Tom", "", `"Tom"`, peercache.ErrNotFound},
		"long complaint":         {Config{}, []string{"complain", "{key}"}, "Tom", "", "exit status 1: é", nil},
		"environment": {Config{Env: map[string]string{"A": "1"}, Inherit: []string{"PEERCACHE_TEST_GIVEN"}},
			[]string{"env", "A", "PEERCACHE_TEST_GIVEN", "PEERCACHE_TEST_SECRET", "{key}"}, "Tom", "A=1;PEERCACHE_TEST_GIVEN=given;PEERCACHE_TEST_SECRET=;Tom=;", "", nil},
		"environment by default": {Config{}, []string{"env", "PEERCACHE_TEST_SECRET", "{key}"}, "Tom", "PEERCACHE_TEST_SECRET=;Tom=;", "", nil},
		"directory":              {Config{Dir: dir}, []string{"dir", "{key}"}, "Tom", dir, "", nil},
		"full":                   {Config{MaxBytes: 3}, []string{"print", "{key}"}, "Tom", "Tom", "", nil},
		"too much":               {Config{MaxBytes: 2}, []string{"print", "{key}"}, "Tom", "", "more than 2 (max_bytes)", peercache.ErrValueSize},
		"endless":                {Config{MaxBytes: 1 << 20}, []string{"endless", "{key}"}, "Tom", "", "more than 1MiB (max_bytes)", peercache.ErrValueSize},
		"hangs":                  {Config{Timeout: time.Millisecond}, []string{"hang", "{key}"}, "Tom", "", "longer than 1ms (timeout)", context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			item, err := newOrigin(t, c.config, c.args...).Get(t.Context(), c.key)
			switch {
			case c.err == "" && (err != nil || string(item.Value) != c.want || item.TTL != c.config.TTL):
				t.Errorf("%q, %v, want %q", item.Value, err, c.want)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%v, want %s", err, c.err)
			case c.is != nil && !errors.Is(err, c.is), c.is == nil && errors.Is(err, peercache.ErrNotFound):
				t.Errorf("%v, want %v", err, c.is)
			case err != nil && (len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\x1b\n")):
				t.Errorf("error of %d bytes: %q", len(err.Error()), err)
			}
		})
	}
}

func TestProgramThatIsGone(t *testing.T) {
	o := newOrigin(t, Config{}, "print", "{key}")
	o.path += ".gone"
	if _, err := o.Get(t.Context(), "Tom"); err == nil || errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("%v, want an error that is not ErrNotFound", err)
	}
}

// Not more than so many programs run at one time, and who waits ends with its context.
func TestProcessesAreBounded(t *testing.T) {
	o := newOrigin(t, Config{Processes: 1}, "hang", "{key}")
	first, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = o.Get(first, "Tom") })
	for len(o.slots) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("the first one does not start")
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Get(ended, "Sam"); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 programs are running") {
		t.Errorf("%v, want that it waited", err)
	}
	end()
	wg.Wait()
	if len(o.slots) != 0 {
		t.Error("the slot is not free again")
	}
}

func TestNewRefuses(t *testing.T) {
	for want, c := range map[string]Config{
		"run is missing":               {},
		"with {key} in its arguments":  {Run: []string{"{key}"}},
		"does not get the key":         {Run: []string{"cat"}},
		"NUL":                          {Run: []string{os.Args[0], "\x00", "{key}"}},
		"not_found is 256":             {Run: []string{os.Args[0], "{key}"}, NotFound: 256},
		"timeout is -1s":               {Run: []string{os.Args[0], "{key}"}, Timeout: -time.Second},
		"ttl is -1s":                   {Run: []string{os.Args[0], "{key}"}, TTL: -time.Second},
		"max_bytes is -1":              {Run: []string{os.Args[0], "{key}"}, MaxBytes: -1},
		"processes is -1":              {Run: []string{os.Args[0], "{key}"}, Processes: -1},
		"env has \"A=B\"":              {Run: []string{os.Args[0], "{key}"}, Env: map[string]string{"A=B": ""}},
		"no-such-program-of-peercache": {Run: []string{"no-such-program-of-peercache", "{key}"}},
		"dir: ":                        {Run: []string{os.Args[0], "{key}"}, Dir: os.Args[0] + ".gone"},
		"want a directory":             {Run: []string{os.Args[0], "{key}"}, Dir: os.Args[0]},
	} {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "command: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}

func TestFactory(t *testing.T) {
	decode := func(section any) error {
		c := section.(*Config)
		c.Run, c.Env = []string{os.Args[0], "complain", "{key}"}, map[string]string{asProgram: "1"}
		return nil
	}
	var f origin.Factory = Factory
	var log bytes.Buffer
	env := origin.Env{Group: "users", Log: slog.New(slog.NewTextHandler(&log, nil))}
	if getter, err := f(t.Context(), env, decode); err == nil || getter != nil || !strings.Contains(err.Error(), "allow_commands: true") {
		t.Errorf("%v, %v: want it to be refused", getter, err)
	}
	env.AllowCommands = true
	getter, err := f(t.Context(), env, decode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := getter.Get(t.Context(), "Tom"); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Error(err)
	}
	wrong := errors.New("line 3: unknown key")
	if _, err := f(t.Context(), env, func(any) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("%v, want what decode said", err)
	}
	if getter, err := f(t.Context(), env, func(any) error { return nil }); err == nil || getter != nil {
		t.Errorf("%v, %v: want an error", getter, err)
	}
}
