package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/peercache/peercache"
)

// serveAlive answers a liveness probe: the process answers.
func serveAlive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}

// serveReady answers a readiness probe. With the parameter verbose it lists what is not as it should
// be; not all of that makes the process not ready.
func (a *handler) serveReady(w http.ResponseWriter, r *http.Request) {
	err := a.ready()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if !r.URL.Query().Has("verbose") {
		if err == nil {
			io.WriteString(w, "ok\n")
		} else {
			fmt.Fprintln(w, "not ready")
		}
		return
	}
	if err == nil {
		io.WriteString(w, "[+] ready\n")
	} else {
		fmt.Fprintf(w, "[-] not ready: %s\n", readiness(err))
	}
	for _, s := range a.pool.Stats() {
		if s.Breaker != peercache.BreakerClosed {
			fmt.Fprintf(w, "[!] %s cannot be reached: its breaker is %s\n", s.Peer, s.Breaker)
		}
		if s.Problem != "" {
			fmt.Fprintf(w, "[!] %s: %s\n", s.Peer, s.Problem)
		}
	}
	for _, name := range a.pool.Ring().Leaving {
		fmt.Fprintf(w, "[!] %s is leaving\n", name)
	}
}

// ready returns what Ready returns now, without waiting.
func (a *handler) ready() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return a.pool.Ready(ctx)
}

// readiness returns why the process is not ready, as people read it.
func readiness(err error) string {
	text := strings.TrimPrefix(err.Error(), "peercache: not ready: ")
	return strings.TrimSuffix(text, " ("+context.Canceled.Error()+")")
}
