package httppeer

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache/internal/audit"
)

func TestRefusalLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &refusalLog{audit.New(slog.New(slog.NewTextHandler(&log, nil)))}
		for i := range 1000 {
			fmt.Fprintf(l, "http: TLS handshake error from 10.0.0.1:%d: no certificate\n", i)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "event=rejected") || !strings.Contains(got, "address=10.0.0.1:0") {
			t.Errorf("%q, want one line, with the address", got)
		}
		if n := l.audit.Count(audit.Unauthenticated); n != 1000 {
			t.Errorf("%d were counted, want all 1000", n)
		}
	})
}
