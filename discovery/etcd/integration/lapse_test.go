//go:build unix

package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// written is a file that the processes serve. Its content is the number of its version.
type written struct {
	dir     string
	version int
	removed atomic.Int64 // the last version of which all peers were told
}

// write writes the next version.
func (w *written) write(t *testing.T) {
	t.Helper()
	w.version++
	path := filepath.Join(w.dir, "file")
	err := os.WriteFile(path+".next", []byte(strconv.Itoa(w.version)), 0o600)
	if err == nil {
		err = os.Rename(path+".next", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// remove has a process tell all of the version, and returns the status.
func (w *written) remove(t *testing.T, client *http.Client, p *process) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, p.api+"?key=file", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		w.removed.Store(int64(w.version))
	}
	return resp.StatusCode
}

// awaitRemove waits until a Remove by each process has the status.
func (w *written) awaitRemove(t *testing.T, f *fleet, want int) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < len(f.nodes); {
		w.write(t)
		status := w.remove(t, f.client, f.nodes[i])
		if status == want {
			i++
			continue
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("DELETE at %s: status %d: want %d", f.nodes[i].peer, status, want)
		}
	}
}

// read asks all processes for the file until ctx ends. Each is to answer, with no version
// older than the last one that was removed before it was asked (P8).
func (w *written) read(ctx context.Context, t *testing.T, f *fleet) (reads int) {
	for ; ctx.Err() == nil; reads++ {
		for _, p := range f.nodes {
			least := w.removed.Load()
			status, body, err := p.get(f.client, "?key=file")
			version, notNumber := strconv.ParseInt(body, 10, 64)
			if err != nil || status != http.StatusOK || notNumber != nil || version < least {
				t.Errorf("%s: status %d, %q, error %v: want version %d or later", p.peer, status, body, err, least)
			}
		}
	}
	return reads
}

// wants checks which version each process serves.
func (w *written) wants(t *testing.T, f *fleet, when string, version int) {
	t.Helper()
	for _, p := range f.nodes {
		if status, body, err := p.get(f.client, "?key=file"); body != strconv.Itoa(version) {
			t.Errorf("%s: %s: status %d, %q, error %v: want version %d", when, p.peer, status, body, err, version)
		}
	}
}

// TestProcessesLapse stops etcd for longer than the leases last, and starts it again,
// under processes whose groups chose the one or the other: no Get fails, P8 holds, and
// the views are soon right again. What is written meanwhile and not removed shows which
// they chose.
func TestProcessesLapse(t *testing.T) {
	t.Parallel()
	path := buildExample(t)
	for _, consistent := range []bool{false, true} {
		t.Run(fmt.Sprint("consistent=", consistent), func(t *testing.T) {
			t.Parallel()
			const ttl = 2 * time.Second
			s := startServer(t)
			w := &written{dir: t.TempDir()}
			w.write(t)
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			f := &fleet{client: &http.Client{Transport: transport, Timeout: patience}}
			for range 3 {
				f.add(startProcess(t, path, "-port", "0", "-api", "127.0.0.1:0", "-log-level", "INFO", "-dir", w.dir,
					"-discovery", "etcd", "-etcd", s.endpoint, "-etcd-prefix", prefix, "-etcd-lease", ttl.String(),
					"-consistent="+strconv.FormatBool(consistent)))
			}
			f.awaitViews(t, patience, "the start")
			w.awaitRemove(t, f, http.StatusNoContent)

			ctx, cancel := context.WithCancel(t.Context())
			reads := make(chan int)
			go func() { reads <- w.read(ctx, t, f) }()
			defer func() {
				cancel()
				if n := <-reads; n < 10 {
					t.Errorf("read %d times only", n)
				}
			}()
			w.wants(t, f, "before", w.version) // and so it is cached

			s.stop()
			served := w.version
			if consistent {
				w.awaitRemove(t, f, http.StatusServiceUnavailable)
				w.write(t)
				served = w.version
			} else {
				f.hold(t, ttl+ttl/2)
				w.write(t)
			}
			w.wants(t, f, "without etcd", served)
			s.start(t)
			f.hold(t, ttl+ttl/2)
			f.awaitViews(t, patience, "the return of etcd")
			w.awaitRemove(t, f, http.StatusNoContent)
			w.wants(t, f, "with etcd again", w.version)
		})
	}
}
