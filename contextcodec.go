package peercache

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// DefaultContextBytes is how much of a caller's context travels at most by default.
const DefaultContextBytes = 4 << 10

// mostContextBytes is the most that ContextCodec.MaxBytes allows.
const mostContextBytes = 16 << 10

// ContextCodec says what of a caller's context reaches the getter, in whichever process it
// runs, such as a tenant or a trace.
type ContextCodec struct {
	// Encode returns the bytes to send of the context of a Get or a GetMulti: nil for
	// none. It runs when a load or a fetch begins, also one in the background, and for no
	// other hit.
	Encode func(ctx context.Context) []byte
	// Decode returns the context of the getter: ctx, which has no values, with the values
	// that b stands for. It is not called if there are no bytes. They may come from another
	// version of the program, or from whoever reaches the pool, so Decode must check them.
	Decode func(ctx context.Context, b []byte) context.Context
	// MaxBytes bounds what Encode returns and Decode is given. More than that does not
	// travel, and is one warning. Zero means DefaultContextBytes, the most is 16 KiB.
	MaxBytes int
}

// WithContextCodec carries the values that c encodes from the context of a Get to the
// context of the getter, in this process and in that of the key's owner. The getter sees
// these values and no others. Without the option it sees the values of a caller in its own
// process, and none of a caller elsewhere. All peers should have the same codec.
//
// Callers who ask for a key at the same time share one load: the getter sees the context of
// the first, and all get its value. So whatever the value depends on belongs in the key. If
// Encode or Decode panics, nothing travels, and Stats.Panics counts it. Nothing travels to
// golang/groupcache's peers.
func WithContextCodec(c ContextCodec) GroupOption {
	return func(g *Group) error {
		if c.Encode == nil || c.Decode == nil {
			return fmt.Errorf("WithContextCodec: want both Encode and Decode")
		}
		if c.MaxBytes == 0 {
			c.MaxBytes = DefaultContextBytes
		}
		if c.MaxBytes < 0 || c.MaxBytes > mostContextBytes {
			return fmt.Errorf("WithContextCodec: MaxBytes of %d: want 1 to %d, or 0 for %d", c.MaxBytes, mostContextBytes, DefaultContextBytes)
		}
		g.contexts = &contexts{ContextCodec: c}
		return nil
	}
}

// contexts carries contexts between processes.
type contexts struct {
	ContextCodec
	warned atomic.Bool
}

// carriedKey is that of what came with a peer's request, in the context of its load.
type carriedKey struct{}

// carried returns what travels of ctx.
func (g *Group) carried(ctx context.Context) string {
	if g.contexts == nil {
		return ""
	}
	if text, ok := ctx.Value(carriedKey{}).(string); ok {
		return text
	}
	return g.fitting(g.encodeContext(ctx))
}

// carrying returns the context of a load that a peer asked for, with what came along.
func (g *Group) carrying(ctx context.Context, text string) context.Context {
	if g.contexts == nil {
		return ctx
	}
	return context.WithValue(ctx, carriedKey{}, strings.Clone(g.fitting(text)))
}

// fitting returns text, or nothing if it is too long.
func (g *Group) fitting(text string) string {
	if len(text) <= g.contexts.MaxBytes {
		return text
	}
	g.warnContext(fmt.Sprintf("what Encode of WithContextCodec returned is too large and does not travel: %d bytes, want at most %d (MaxBytes)", len(text), g.contexts.MaxBytes))
	return ""
}

// warnContext says once that something of a context does not reach the getter.
func (g *Group) warnContext(what string) {
	if !g.contexts.warned.Swap(true) && g.logs(slog.LevelWarn) {
		g.log.LogAttrs(context.Background(), slog.LevelWarn, what, slog.String("group", g.name))
	}
}

func (g *Group) encodeContext(ctx context.Context) (text string) {
	defer func() {
		if r := recover(); r != nil {
			g.panicked("Encode of WithContextCodec", "", r)
		}
	}()
	return string(g.contexts.Encode(ctx))
}

// forGetter returns the context that the getter gets, of that of its load.
func (g *Group) forGetter(load *inLoad) context.Context {
	if g.contexts == nil {
		return load
	}
	var ctx context.Context = valueless{load}
	if text := g.carried(load); text != "" {
		ctx = g.decodeContext(ctx, text)
	}
	return getterContext{ctx, load}
}

// getterContext is the context of a getter that sees what the codec says. What the getter
// asks for with it is known to be inside of its load, whatever Decode returns.
type getterContext struct {
	context.Context
	load *inLoad
}

// Value implements context.Context.
func (c getterContext) Value(key any) any {
	if key == (inLoadKey{}) {
		return c.load
	}
	return c.Context.Value(key)
}

func (g *Group) decodeContext(bare context.Context, text string) (ctx context.Context) {
	defer func() {
		if r := recover(); r != nil {
			g.panicked("Decode of WithContextCodec", "", r)
		}
		if ctx == nil {
			ctx = bare
		}
	}()
	return g.contexts.Decode(bare, []byte(text))
}

// valueless is a context without its values.
type valueless struct{ context.Context }

func (valueless) Value(any) any { return nil }
