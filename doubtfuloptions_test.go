package peercache_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// A configuration that only looks wrong is one warning, which says what would be right. One
// that is right is none.
func TestDoubtfulOptionsAreOneWarning(t *testing.T) {
	for name, c := range map[string]struct {
		pool  []peercache.PoolOption
		group []peercache.GroupOption
		want  string // "": no warning
	}{
		"defaults":                     {},
		"values that the cache keeps":  {group: []peercache.GroupOption{peercache.WithMaxValueBytes(1 << 18)}},
		"values that it does not keep": {group: []peercache.GroupOption{peercache.WithMaxValueBytes(1<<18 + 1)}, want: "a larger cache, or a lower limit"},
		"a short peer timeout":         {pool: []peercache.PoolOption{peercache.WithPeerTimeout(time.Second)}, want: "loaded twice"},
		"a long one":                   {pool: []peercache.PoolOption{peercache.WithPeerTimeout(time.Minute)}},
		"no stream":                    {pool: []peercache.PoolOption{peercache.WithoutStream()}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", append(c.pool, peercache.WithPoolLogger(logger))...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := peercache.NewGroup("g", 1<<20, &origin{}, append(c.group, peercache.WithPeers(pool), peercache.WithLogger(logger))...); err != nil {
				t.Fatal(err)
			}
			lines := strings.Count(log.String(), "\n")
			if want := min(len(c.want), 1); lines != want || !strings.Contains(log.String(), c.want) {
				t.Errorf("want %d warnings, with %q: %s", want, c.want, log.String())
			}
		})
	}
}
