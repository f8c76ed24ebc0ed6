package peercache

import (
	"context"
	"errors"
	"fmt"

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

// awaitFetch waits for a fetch. It reports whether the caller has to ask the owner again,
// who does not know that the load must not wait for a slot; the caller has then left f.
func (g *Group) awaitFetch(ctx context.Context, f *fetchFlight) (e fetched, again bool, err error) {
	if c := within(ctx); c != nil {
		select {
		case <-g.fetches.Done(f):
		case <-ctx.Done():
		case <-c.urged():
			if g.fetches.Urge(f) {
				g.fetches.Leave(f)
				return e, true, nil
			}
		}
	}
	e, err = g.fetches.Wait(ctx, f)
	return e, false, err
}

// slots bound the runs of the getter at one time: each fills one, but those that run inside
// of another's. A nil slots is no bound.
type slots chan struct{}

// errBusy stands for the error of an origin that has as much to do as it may.
var errBusy = errors.New("as many loads are running as the group allows")

// full reports whether a load that the caller with ctx began would wait for a slot.
func (s slots) full(ctx context.Context) bool {
	return s != nil && len(s) == cap(s) && nestingOf(ctx) != InSlot
}

// take waits for a slot, and reports whether there was one: c may run without, where it is
// waited for by a load that has one.
func (s slots) take(c *inLoad) (taken bool, err error) {
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

func (s slots) release(taken bool) {
	if taken {
		<-s
	}
}
