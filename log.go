package peercache

import (
	"context"
	"fmt"
	"github.com/peercache/peercache/internal/clock"
	"log/slog"
	"time"
)

// longestShown is how much of a key an error or a log shows, in bytes.
const longestShown = 64

// quote shows a key in an error: any bytes, but not too many.
func quote(key string) string {
	if len(key) > longestShown {
		return fmt.Sprintf("%q… (%d bytes)", key[:longestShown], len(key))
	}
	return fmt.Sprintf("%q", key)
}

// longestText is how much of a text of a peer an error shows, in bytes.
const longestText = 1024

// quoteText shows a text that a peer has sent, whose bytes may be control characters, or no
// text at all.
func quoteText(text string) string {
	if len(text) > longestText {
		return fmt.Sprintf("%q… (%d bytes)", text[:longestText], len(text))
	}
	return fmt.Sprintf("%q", text)
}

// logs reports whether the group says what is of that level.
func (g *Group) logs(level slog.Level) bool {
	return g.log != nil && g.log.Enabled(context.Background(), level)
}

// say logs what happened to a key. Call it only if the group logs the level: to
// make its arguments costs allocations.
func (g *Group) say(level slog.Level, what, key string, attrs ...slog.Attr) {
	if len(key) > longestShown {
		key = key[:longestShown] + "…"
	}
	attrs = append([]slog.Attr{slog.String("group", g.name), slog.String("key", key)}, attrs...)
	g.log.LogAttrs(context.Background(), level, what, attrs...)
}

// failureLevel is the level at which it is said that a peer could not be reached: the first
// in a while is a warning. While a breaker is open, each Get of the peer's keys is one.
func (g *Group) failureLevel() slog.Level {
	last, now := g.warned.Load(), int64(clock.Now())
	if last != 0 && now < last+int64(warnEvery) || !g.warned.CompareAndSwap(last, now) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// warnEvery is how often a group warns that peers cannot be reached.
const warnEvery = time.Second

func took(start clock.Instant) slog.Attr {
	return slog.Duration("took", time.Duration(clock.Now()-start))
}

// problem is no attribute at all if err is nil: handlers leave out an empty one.
func problem(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("err", err)
}
