package discovery_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watcher runs a Discovery in a synctest bubble and remembers what it reports.
type watcher struct {
	stop func() error // ends Run, and returns its error

	mu    sync.Mutex
	views []string // the peers of each, with blanks between
}

func watch(t *testing.T, d discovery.Discovery, self string) *watcher {
	t.Helper()
	w := &watcher{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- d.Run(ctx, self, func(v discovery.View) {
			w.mu.Lock()
			defer w.mu.Unlock()
			slices.Sort(v.Peers) // it is the receiver's own
			w.views = append(w.views, strings.Join(v.Peers, " "))
			if v.Lapsed {
				t.Error("Lapsed: want never, there is no registration that could")
			}
		})
	}()
	w.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { w.stop() })
	return w
}

// after lets a time pass and checks that exactly these views came in it.
func (w *watcher) after(t *testing.T, d time.Duration, want ...string) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.views, want) {
		t.Errorf("views %q: want %q", w.views, want)
	}
	w.views = nil
}

// logged is a log that tests look at.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// take returns what was logged, and forgets it.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// checkWarnings checks that there were n warnings, the last of them with text.
func (l *logged) checkWarnings(t *testing.T, n int, text string) {
	t.Helper()
	if log := l.take(); strings.Count(log, "level=WARN") != n || n > 0 && !strings.Contains(log, text) {
		t.Errorf("logged %q: want %d warnings with %q", log, n, text)
	}
}
