package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What strangers do to a door is in the log's own format, and does not fill it.
func TestServerLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := errorLog(slog.New(slog.NewJSONHandler(&out, nil)), "http")
		for range 1000 {
			l.Print("http: TLS handshake error from 10.0.0.1:1: EOF")
		}
		time.Sleep(serverLogEvery)
		l.Print("another")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `"err":"http: TLS handshake error from 10.0.0.1:1: EOF"`) || !strings.Contains(lines[1], `"suppressed":999`) {
			t.Errorf("%d lines, want 2, the second with 999 suppressed:\n%s", len(lines), out.String())
		}
	})
}
