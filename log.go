package peercache

import (
	"context"
	"log/slog"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
)

// logs reports whether the group says what is of that level.
func (g *Group) logs(level slog.Level) bool {
	return g.log != nil && g.log.Enabled(context.Background(), level)
}

// say logs what happened to a key. Call it only if the group logs the level: to
// make its arguments costs allocations.
func (g *Group) say(level slog.Level, what, key string, attrs ...slog.Attr) {
	if len(key) > quote.LongestKey {
		key = key[:quote.LongestKey] + "…"
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
