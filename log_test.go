package peercache_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// Gets of the keys of a peer that is gone do not fill the log.
func TestLogOfAPeerThatIsGone(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var log strings.Builder // one goroutine logs at a time
		nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, group: []peercache.GroupOption{
			peercache.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))),
		}})
		net.Crash(host(1))
		for _, key := range keysOwnedBy(t, nodes, 0, 1, 500) {
			nodes[0].get(t, key)
			time.Sleep(4 * time.Millisecond)
		}
		if warned := strings.Count(log.String(), "level=WARN"); warned < 2 || warned > 4 {
			t.Errorf("%d warnings in 2 seconds, want one a second", warned)
		}
		if !strings.Contains(log.String(), fmt.Sprint("peer=", nodes[1].url)) {
			t.Errorf("the log does not name the peer:\n%s", log.String())
		}
	})
}
