package etcd

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An outage is logged when it begins, once a minute, and when it is over; one that
// comes again at once is no new one.
func TestOutageIsNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		o := &outage{log: slog.New(slog.NewTextHandler(&text, nil)), bad: "away", good: "back", ttl: 10 * time.Second}
		check := func(when string, warnings, infos int) {
			t.Helper()
			if w, i := strings.Count(text.String(), "WARN"), strings.Count(text.String(), "INFO"); w != warnings || i != infos {
				t.Errorf("%s: %d warnings and %d infos: want %d and %d\n%s", when, w, i, warnings, infos, &text)
			}
		}
		failing := func(d time.Duration) (attempts int) {
			for start := time.Now(); time.Since(start) < d; attempts++ {
				o.failed(errors.New("refused"))
				o.wait(t.Context())
			}
			return attempts
		}
		o.over()
		check("a success at first", 0, 0)
		// Pauses of at most a quarter of the TTL, and at least half of that.
		if n := failing(30 * time.Second); n < 30/2.5 || n > 40 {
			t.Errorf("%d attempts in 30 s", n)
		}
		check("half a minute", 1, 0)
		o.over()
		o.over()
		check("over", 1, 1)
		for range 5 { // each follows at once
			o.failed(errors.New("refused"))
			o.wait(t.Context())
			o.over()
		}
		check("flapping", 1, 1)
		failing(time.Minute)
		check("more than a minute after the first", 2, 1)
		o.over()
		check("over again", 2, 2)
		time.Sleep(o.ttl + 1)
		o.failed(errors.New("refused"))
		check("a new one", 3, 2)
		start := time.Now()
		o.wait(t.Context())
		if took := time.Since(start); took > firstPause {
			t.Errorf("the first pause of a new outage: %v, want at most %v", took, firstPause)
		}
	})
}
