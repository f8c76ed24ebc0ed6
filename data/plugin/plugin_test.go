package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/data"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// own is a plugin that keeps what it is told of, and goes wrong at some keys.
type own struct {
	t    *testing.T
	init func(h *Host) error

	inited bool

	mu   sync.Mutex
	seen []string
	hold chan struct{} // Handle waits for it
}

func (o *own) Name() string { return "own" }
func (o *own) Describe() string {
	if o.inited {
		o.t.Error("Describe is called after Init")
	}
	return "Keeps what it is told of."
}
func (o *own) Init(h *Host) error {
	o.inited = true
	if o.init != nil {
		return o.init(h)
	}
	return nil
}

func (o *own) Handle(ctx context.Context, ev data.Event) error {
	switch {
	case ev.Key == "panic":
		panic("boom")
	case ev.Key == "fail":
		return errors.New("no")
	}
	if o.hold != nil {
		select {
		case <-o.hold:
		case <-ctx.Done():
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, ev.Name+" "+ev.Key)
	return nil
}

// logged is what is logged, as text.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) option() Option { return WithLogger(slog.New(slog.NewTextHandler(l, nil))) }

func newMemory(t *testing.T, opts ...data.MemoryOption) *data.Memory {
	t.Helper()
	m, err := data.NewMemory(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func start(t *testing.T, m *data.Memory, configs []Config, opts ...Option) *Set {
	t.Helper()
	s, err := Start(m, configs, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func do(t *testing.T, m *data.Memory, command string) {
	t.Helper()
	args := strings.Fields(command)
	if _, err := m.Do(context.Background(), data.Cmd{Name: args[0], Args: args[1:]}); err != nil {
		t.Error(err)
	}
}

// TestFailuresAreContained has a plugin panic and fail, which is counted, and it is told of the next event.
func TestFailuresAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o, l := newMemory(t), &own{t: t}, new(logged)
		s := start(t, m, []Config{{Plugin: "own", Events: []string{"written"}}}, With(func() Plugin { return o }), l.option())
		for _, key := range []string{"a", "panic", "fail", "b"} {
			do(t, m, "set "+key+" 1")
		}
		do(t, m, "del a")
		synctest.Wait()
		if want := []string{"set a", "set b"}; !slices.Equal(o.seen, want) {
			t.Errorf("it was told of %q, want %q", o.seen, want)
		}
		want := Stats{Plugin: "own", Handled: 4, Failed: 1, Panics: 1, Describe: "Keeps what it is told of."}
		if got := s.Stats(); len(got) != 1 || got[0] != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
		for _, want := range []string{"boom", "err=no", "plugin=own"} {
			if !strings.Contains(l.String(), want) {
				t.Errorf("the log has no %s: %s", want, l)
			}
		}
	})
}

// TestCommandsDoNotWait has a plugin be stuck: what does not fit is dropped, and Close ends it.
func TestCommandsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := newMemory(t), &own{t: t, hold: make(chan struct{})}
		s := start(t, m, []Config{{Plugin: "own", Events: []string{"all"}, Keys: "a*", Buffer: 10}}, With(func() Plugin { return o }))
		for range 100 {
			do(t, m, "set a 1")
			do(t, m, "set b 1")
		}
		synctest.Wait()
		if got := s.Stats()[0].Dropped; got < 89 || got > 90 {
			t.Errorf("%d events were dropped, want 89 or 90", got)
		}
		s.Close()
		s.Close()
	})
}

func TestStartFails(t *testing.T) {
	m := newMemory(t)
	for _, c := range []struct {
		name   string
		config Config
		want   string
		init   func(h *Host) error
	}{
		{"unknown", Config{Plugin: "nosuch"}, "no such plugin", nil},
		{"event", Config{Plugin: "log", Events: []string{"seen"}}, `no kind of events "seen"`, nil},
		{"settings", Config{Plugin: "metrics", Settings: map[string]string{"level": "info"}}, `no setting "level", and no other ones`, nil},
		{"setting", Config{Plugin: "log", Settings: map[string]string{"lvl": "info"}}, `no setting "lvl"`, nil},
		{"level", Config{Plugin: "log", Settings: map[string]string{"level": "loud"}}, "loud", nil},
		{"threshold", Config{Plugin: "monitor", Settings: map[string]string{"threshold": "0"}}, "threshold", nil},
		{"url", Config{Plugin: "webhook"}, "url", nil},
		{"scheme", Config{Plugin: "webhook", Settings: map[string]string{"url": "ftp://example.com"}}, "url", nil},
		{"timeout", Config{Plugin: "webhook", Settings: map[string]string{"url": "http://h", "timeout": "-1s"}}, "timeout", nil},
		{"retries", Config{Plugin: "webhook", Settings: map[string]string{"url": "http://h", "retries": "many"}}, "retries", nil},
		{"dir", Config{Plugin: "backup"}, "dir", nil},
		{"keep", Config{Plugin: "backup", Settings: map[string]string{"dir": t.TempDir(), "keep": "0"}}, "keep", nil},
		{"error", Config{Plugin: "own"}, "no way", func(*Host) error { return errors.New("no way") }},
		{"panic", Config{Plugin: "own"}, "panicked", func(*Host) error { panic("boom") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := false
			first := &own{t: t, init: func(h *Host) error {
				h.Go(func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil })
				return nil
			}}
			i := 0
			_, err := Start(m, []Config{{Plugin: "first"}, c.config}, With(func() Plugin { return &named{first, "first"} },
				func() Plugin { i++; return &own{t: t, init: c.init} }), new(logged).option())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "configs[1]") {
				t.Errorf("Start returns %v, want something about %s", err, c.want)
			}
			if err := Check(c.config); c.config.Plugin != "own" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Check returns %v, want something about %s", err, c.want)
			}
			if !ended {
				t.Error("the plugin before it goes on")
			}
		})
	}
}

// named is a plugin with another name.
type named struct {
	*own
	name string
}

func (n *named) Name() string { return n.name }

// Check does nothing but look at the settings.
func TestCheckDoesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	for _, c := range []Config{{Plugin: "backup", Settings: map[string]string{"dir": dir}}, {Plugin: "monitor"}, {Plugin: "log", Events: []string{"all"}}, {Plugin: "metrics"}} {
		if err := Check(c); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has made the directory: %v", err)
	}
}

func TestObservers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := newMemory(t, data.WithCommands(data.CommandSpec{Name: "nap", Arity: 1, Run: func(*data.Call) error {
			time.Sleep(20 * time.Millisecond) // of the bubble
			return nil
		}})), new(logged)
		s := start(t, m, []Config{
			{Plugin: "log", Keys: "b*", Events: []string{"written", "removed"}},
			{Plugin: "metrics", Events: []string{"all"}},
			{Plugin: "monitor", Settings: map[string]string{"threshold": "15ms"}},
		}, l.option())
		for _, command := range []string{"set a 1", "set b 1", "del a", "nap", "set c 1 px 5"} {
			do(t, m, command)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var counts map[string]int64
		if err := json.Unmarshal([]byte(s.Plugins()[1].(*Metrics).String()), &counts); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int64{"written": 4, "expired": 1, "evicted": 0, "removed": 1} {
			if counts[name] != want {
				t.Errorf("there were %d that were %s, want %d", counts[name], name, want)
			}
		}
		text := l.String()
		for _, want := range []string{"kind=written event=set key=b", "took=20ms args=[nap]"} {
			if !strings.Contains(text, want) {
				t.Errorf("the log has no %q: %s", want, text)
			}
		}
		if strings.Contains(text, "key=a") || strings.Count(text, "slow command") != 1 {
			t.Errorf("the log has what it should not have: %s", text)
		}
	})
}

func TestWebhook(t *testing.T) {
	var mu sync.Mutex
	var got []string
	answers := map[string][]int{"again": {500, 429, 200}, "refused": {400, 200}, "never": {500, 500, 500, 500}, "elsewhere": {302, 302}}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was told of an event that goes elsewhere") }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
		var ev hookEvent
		json.Unmarshal(body, &ev)
		if r.URL.Path == "/hook" && ev.Key == "moved" {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
			return
		}
		if codes := answers[ev.Key]; len(codes) > 0 {
			answers[ev.Key] = codes[1:]
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(codes[0])
		}
	}))
	defer server.Close()
	m := newMemory(t)
	l := new(logged)
	s := start(t, m, []Config{{Plugin: "webhook", Events: []string{"written"},
		Settings: map[string]string{"url": server.URL + "/hook?token=secret", "backoff": "1ms", "retries": "3"}}}, l.option())
	for _, key := range []string{"a", "again", "refused", "never", "moved", "elsewhere", "\xff"} {
		m.Do(context.Background(), data.Command("set", key, "1"))
	}
	m.Do(context.Background(), data.Command("set", "last", "1"))
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(time.Millisecond); s.Stats()[0].Handled < 8; {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("only %+v after 30 s", s.Stats())
		}
	}
	post := func(path, key string) string {
		return "POST " + path + ` {"kind":"written","event":"set","key` + key + `}`
	}
	want := []string{post("/hook", `":"a"`)}
	for key, times := range map[string]int{"again": 3, "refused": 1, "never": 4, "elsewhere": 1} {
		n := 0
		for _, g := range got {
			if g == post("/hook", `":"`+key+`"`) {
				n++
			}
		}
		if n != times {
			t.Errorf("%s was posted %d times, want %d", key, n, times)
		}
	}
	want = append(want, post("/other", `":"moved"`), post("/hook", `_base64":"/w=="`), post("/hook", `":"last"`))
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("there was no %s: %q", w, got)
		}
	}
	if failed := s.Stats()[0].Failed; failed != 3 || strings.Contains(l.String(), "secret") {
		t.Errorf("%d have failed, want 3; the log: %s", failed, l)
	}
}

func TestBuiltinAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Builtin() {
		p := m()
		if p.Describe() == "" || seen[p.Name()] {
			t.Errorf("%q says %q, or is twice", p.Name(), p.Describe())
		}
		seen[p.Name()] = true
	}
}
