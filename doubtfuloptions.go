package peercache

import (
	"context"
	"fmt"
	"log/slog"
)

// leastCacheBytes is the least that a group may have: less keeps hardly a value beside the
// tables that find it.
const leastCacheBytes = 4 << 10

// Options that contradict each other are refused (lifetimes.check, checkSnapshot). What
// follows are those that only look wrong. Each is one warning, which says what would be
// right.

// warnOfOptions warns of what the group was asked for and cannot be. It is called when the
// group's caches are made.
func (g *Group) warnOfOptions(cacheBytes int64) {
	if !g.logs(slog.LevelWarn) {
		return
	}
	warn := func(format string, args ...any) {
		g.log.LogAttrs(context.Background(), slog.LevelWarn, "an option looks wrong", slog.String("group", g.name), slog.String("why", fmt.Sprintf(format, args...)))
	}
	if most := cacheBytes / 4; g.valueLimited && int64(g.maxValue) > most {
		warn("WithMaxValueBytes(%d) in a cache of %d bytes: a value of more than %d is answered, but not kept: want a larger cache, or a lower limit", g.maxValue, cacheBytes, most)
	}
	if g.peerTimeout > 0 && g.peerTimeout < g.loadTimeout {
		warn("WithPeerTimeout(%v) is shorter than WithLoadTimeout(%v): a slow load is taken for a peer that is gone, and the key is loaded twice: want it longer, or left out", g.peerTimeout, g.loadTimeout)
	}
}
