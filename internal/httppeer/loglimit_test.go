package httppeer

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLogLimit(slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 1000 {
			fmt.Fprintf(l, "http: TLS handshake error from 10.0.0.1:%d: no certificate\n", i)
		}
		for i := range 1000 { // whoever chooses the reasons gets no more of them either
			fmt.Fprintf(l, "http: TLS handshake error from 10.0.0.1:1: reason %d\n", i)
		}
		if n := strings.Count(log.String(), "\n"); n != logKinds+1 {
			t.Errorf("%d lines, want %d: one of each kind, and one of all others", n, logKinds+1)
		}
		log.Reset()
		time.Sleep(logEvery)
		fmt.Fprintf(l, "http: TLS handshake error from 10.0.0.1:1: no certificate\n")
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"not logged before"=999`) {
			t.Errorf("%q, want one line that counts the 999 that were not logged", got)
		}
	})
}
