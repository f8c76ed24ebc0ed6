package peercache

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
)

// journal is what a group tells of itself to the logger. The parts of the group share it.
type journal struct {
	name   string       // of the group
	log    *slog.Logger // of WithLogger; nil says nothing
	events *slog.Logger // log, and the events of the pool; nil without a pool
	warned atomic.Int64 // the Instant of the last failureLevel that was a warning
	panics atomic.Int64 // see Stats.Panics
	// warnedOfChange is the Instant of the last warning of a change that is incomplete.
	warnedOfChange atomic.Int64
}

// logger returns where what is of that level goes; nil: nowhere.
func (j *journal) logger(level slog.Level) *slog.Logger {
	if level >= slog.LevelInfo && j.events != nil {
		return j.events
	}
	return j.log
}

// logs reports whether the group logs what is of that level.
func (j *journal) logs(level slog.Level) bool {
	l := j.logger(level)
	return l != nil && l.Enabled(context.Background(), level)
}

// debugs is logs of what happens at each Get, and no call where there is no WithLogger.
func (j *journal) debugs() bool {
	return j.log != nil && j.log.Enabled(context.Background(), slog.LevelDebug)
}

// tell logs what is of the group, and not of a key.
func (j *journal) tell(level slog.Level, what string, attrs ...slog.Attr) {
	if j.logs(level) {
		j.logger(level).LogAttrs(context.Background(), level, what, append([]slog.Attr{slog.String("group", j.name)}, attrs...)...)
	}
}

// say logs what happened to a key. Call it only if the group logs the level: to
// make its arguments costs allocations.
func (j *journal) say(level slog.Level, what, key string, attrs ...slog.Attr) {
	if len(key) > quote.LongestKey {
		key = key[:quote.LongestKey] + "…"
	}
	attrs = append([]slog.Attr{slog.String("group", j.name), slog.String("key", key)}, attrs...)
	j.logger(level).LogAttrs(context.Background(), level, what, attrs...)
}

// tellIncomplete warns of a change of keys that is incomplete, at most once in warnEvery. No keys stand
// for all.
func (j *journal) tellIncomplete(keys []string, err error) {
	if !warnsNow(&j.warnedOfChange) {
		return
	}
	first := keys[:min(len(keys), quote.MostNamed)]
	text := quote.Some(quote.All(first))
	switch more := len(keys) - len(first); {
	case more > 0:
		text = fmt.Sprintf("%s and %d more", text, more)
	case len(keys) == 0:
		text = "(all)"
	}
	j.tell(slog.LevelWarn, "a change is incomplete: old values may still be served", slog.String("key", text), problem(err))
}

// failureLevel returns the level at which the group logs that a peer could not be reached: the
// first time in warnEvery is a warning. While a breaker is open, each Get of the peer's keys
// fails to reach it.
func (j *journal) failureLevel() slog.Level {
	if warnsNow(&j.warned) {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// warnsNow reports whether there is a warning again. warned has the Instant of the last one.
func warnsNow(warned *atomic.Int64) bool {
	last, now := warned.Load(), int64(clock.Now())
	return (last == 0 || now >= last+int64(warnEvery)) && warned.CompareAndSwap(last, now)
}

// warnEvery is the time between two warnings of one kind, such as that peers cannot be reached.
const warnEvery = time.Second

func took(start clock.Instant) slog.Attr {
	return slog.Duration("took", time.Duration(clock.Now()-start))
}

// problem returns an attribute for err. That of nil is empty, and handlers leave it out.
func problem(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.Any("err", err)
}

// What the user gives to a group to call may panic. The getter's panic is an error of its
// load, because it runs inside of a flight. The others are called from wherever the need
// comes up: in goroutines of the group, where a panic would end the process, and in those of
// callers, whose Get it has nothing to do with. So each is guarded where it is called.

// panicked counts and logs a panic of a callback, if there was one. It is deferred, and its
// argument is what recover returned.
func (j *journal) panicked(callback, key string, r any) {
	j.panics.Add(1)
	if j.logs(slog.LevelError) {
		j.say(slog.LevelError, callback+" panicked", key, slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
	}
}

// orError calls f, which calls a callback, and makes an error of its panic.
func orError(callback string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panicked: %v", callback, r)
		}
	}()
	return f()
}

// guarded is a slog.Handler whose panics go nowhere but into a count: there is nobody who
// could log them.
type guarded struct {
	slog.Handler
	panics *atomic.Int64
}

// guard returns a logger that does not panic.
func guard(l *slog.Logger, panics *atomic.Int64) *slog.Logger {
	if l == nil {
		return nil
	}
	return slog.New(guarded{l.Handler(), panics})
}

func (h guarded) count() {
	if recover() != nil {
		h.panics.Add(1)
	}
}

// Enabled implements slog.Handler.
func (h guarded) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer h.count()
	return h.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h guarded) Handle(ctx context.Context, r slog.Record) (err error) {
	defer h.count()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h guarded) WithAttrs(attrs []slog.Attr) slog.Handler {
	return guarded{h.Handler.WithAttrs(attrs), h.panics}
}

// WithGroup implements slog.Handler.
func (h guarded) WithGroup(name string) slog.Handler {
	return guarded{h.Handler.WithGroup(name), h.panics}
}
