package peercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/singleflight"
)

// inLoad is the context of a load: of a run of the getter here, or of one in another
// process that asks this one.
type inLoad struct {
	context.Context
	of      *singleflight.Group[Entry] // of flights; nil: the load is in another process
	flights []*flight                  // that the run ends
	slot    bool                       // as InSlot, from the beginning
}

// loadOf returns the context of the load of one flight of a group.
func loadOf(ctx context.Context, of *singleflight.Group[Entry], f *flight) *inLoad {
	c := &struct { // in one piece of memory
		inLoad
		flights [1]*flight
	}{flights: [1]*flight{f}}
	c.inLoad = inLoad{Context: ctx, of: of, flights: c.flights[:]}
	return &c.inLoad
}

type inLoadKey struct{}

// Value implements context.Context.
func (c *inLoad) Value(key any) any {
	if key == (inLoadKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// within returns the innermost load that ctx belongs to, or nil.
func within(ctx context.Context) *inLoad {
	c, _ := ctx.Value(inLoadKey{}).(*inLoad)
	return c
}

// nestingOf says what a Get with ctx is made inside of.
func nestingOf(ctx context.Context) Nesting {
	switch c := within(ctx); {
	case c == nil:
		return TopLevel
	case c.urgent():
		return InSlot
	}
	return InLoad
}

// askedWithin returns the context of what another process asks for.
func askedWithin(ctx context.Context, n Nesting) context.Context {
	if n == TopLevel {
		return ctx
	}
	return &inLoad{Context: ctx, slot: n != InLoad}
}

// outside returns ctx for what no load waits for, though one may have begun it.
func outside(ctx context.Context) context.Context {
	if within(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, inLoadKey{}, (*inLoad)(nil))
}

// urged returns a channel that is closed from when a load that holds a slot waits for c.
func (c *inLoad) urged() <-chan struct{} {
	switch {
	case c.slot:
		return always
	case c.of == nil: // or it would have been asked for again
		return nil
	}
	return c.of.Urged(c.flights...)
}

func (c *inLoad) urgent() bool {
	select {
	case <-c.urged():
		return true
	default:
		return false
	}
}

var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// await waits for a load, as singleflight.Group.Wait does, and urges it where it must not
// wait for a slot.
func await(ctx context.Context, of *singleflight.Group[Entry], f *flight) (Entry, error) {
	if c := within(ctx); c != nil {
		select {
		case <-of.Done(f):
		case <-ctx.Done():
		case <-c.urged():
			of.Urge(f)
		}
	}
	return of.Wait(ctx, f)
}

// DefaultContextBytes is how much of a caller's context travels at most by default.
const DefaultContextBytes = 4 << 10

// mostContextBytes is the most that ContextCodec.MaxBytes allows.
const mostContextBytes = 16 << 10

// ContextCodec says what of a caller's context reaches the getter, in whichever process it
// runs, such as a tenant. Spans travel by themselves: see WithTracer.
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

// contexts carries contexts between processes. A nil contexts carries nothing.
type contexts struct {
	ContextCodec
	warned  atomic.Bool
	journal *journal
}

// carriedKey is that of what came with a peer's request, in the context of its load.
type carriedKey struct{}

// carried returns what travels of ctx.
func (c *contexts) carried(ctx context.Context) string {
	if c == nil {
		return ""
	}
	if text, ok := ctx.Value(carriedKey{}).(string); ok {
		return text
	}
	return c.fitting(c.encode(ctx))
}

// carrying returns the context of a load that a peer asked for, with what came along.
func (c *contexts) carrying(ctx context.Context, text string) context.Context {
	if c == nil {
		return ctx
	}
	return context.WithValue(ctx, carriedKey{}, strings.Clone(c.fitting(text)))
}

// fitting returns text, or nothing if it is too long.
func (c *contexts) fitting(text string) string {
	if len(text) <= c.MaxBytes {
		return text
	}
	c.warn(fmt.Sprintf("what Encode of WithContextCodec returned is too large and does not travel: %d bytes, want at most %d (MaxBytes)", len(text), c.MaxBytes))
	return ""
}

// warn says once that something of a context does not reach the getter.
func (c *contexts) warn(what string) {
	if !c.warned.Swap(true) {
		c.journal.tell(slog.LevelWarn, what)
	}
}

func (c *contexts) encode(ctx context.Context) (text string) {
	defer func() {
		if r := recover(); r != nil {
			c.journal.panicked("Encode of WithContextCodec", "", r)
		}
	}()
	return string(c.Encode(ctx))
}

// forGetter returns the context that the getter gets, of that of its load.
func (c *contexts) forGetter(load *inLoad) context.Context {
	if c == nil {
		return load
	}
	var ctx context.Context = valueless{load}
	if text := c.carried(load); text != "" {
		ctx = c.decode(ctx, text)
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

func (c *contexts) decode(bare context.Context, text string) (ctx context.Context) {
	defer func() {
		if r := recover(); r != nil {
			c.journal.panicked("Decode of WithContextCodec", "", r)
		}
		if ctx == nil {
			ctx = bare
		}
	}()
	return c.Decode(bare, []byte(text))
}

// valueless is a context without its values.
type valueless struct{ context.Context }

func (valueless) Value(any) any { return nil }

// flight is what the callers of a key share who wait for a load.
type flight = singleflight.Flight[Entry]

// slots bound the runs of the getter at one time: each fills one, but those that run inside
// of another's. A nil slots is no bound.
type slots chan struct{}

// full reports whether a load that begins now, with ctx, has to wait for a slot.
func (s slots) full(ctx context.Context) bool {
	return s != nil && len(s) == cap(s) && nestingOf(ctx) != InSlot
}

// acquire waits for a slot, and reports whether c has got one. If a load that has a slot waits
// for c, c runs without.
func (s slots) acquire(c *inLoad) (acquired bool, err error) {
	if s == nil {
		return false, nil
	}
	if nestingOf(c.Context) == InSlot {
		c.slot = true
		return false, nil
	}
	select {
	case s <- struct{}{}:
		c.slot = true
		return true, nil
	default:
	}
	select {
	case s <- struct{}{}:
		c.slot = true
		return true, nil
	case <-c.of.Urged(c.flights...):
		c.slot = true
		return false, nil
	case <-c.Done():
		return false, fmt.Errorf("%w (%d), and none ended in time: %w", errBusy, cap(s), c.Err())
	}
}

func (s slots) release(acquired bool) {
	if acquired {
		<-s
	}
}

// errBusy stands for the error of an origin that has as much to do as it may.
var errBusy = errors.New("as many loads are running as the group allows")
