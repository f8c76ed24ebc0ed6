package audit

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := New(slog.New(slog.NewTextHandler(&out, nil)))
		reject := func(who string) {
			l.Record(Unauthorized, slog.LevelWarn, who, "refused", slog.String("identity", who))
		}
		for range 1000 {
			reject("a")
		}
		for i := range 1000 { // who has many names gets no more lines
			reject(fmt.Sprint("b", i))
		}
		if n := strings.Count(out.String(), "\n"); n != MostSubjects+1 {
			t.Errorf("%d lines, want %d: one of each subject, and one of all others", n, MostSubjects+1)
		}
		if l.Record(Clear, slog.LevelInfo, "a", "cleared"); !strings.Contains(out.String(), "event=clear") {
			t.Error("what is suppressed of one event suppresses another")
		}
		out.Reset()
		time.Sleep(Every)
		reject("a")
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "event=rejected identity=a suppressed=999") {
			t.Errorf("%q, want one line that counts the 999 that were suppressed", got)
		}
		if n := l.Count(Unauthorized); n != 2001 {
			t.Errorf("%d were counted, want 2001", n)
		}
		if n := l.Count(Leave); n != 0 {
			t.Errorf("%d were counted that did not happen", n)
		}
	})
}
