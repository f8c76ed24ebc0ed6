// Package lazy connects when a connection is needed first.
package lazy

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed says that a Value was closed.
var ErrClosed = errors.New("it is closed")

// Value is a T that takes time to make, and may fail to be made. Its methods may be called at the same time.
type Value[T any] struct {
	// Make makes a T. It is called again for who comes after it has failed, and for one caller at a time: all who wait share what it
	// makes. Shut ends a T.
	Make func() (T, error)
	Shut func(T)

	mu      sync.Mutex
	value   T
	made    bool
	making  *attempt // nil: none is under way
	stopped bool
}

// attempt is one to make a value. err is written before done is closed.
type attempt struct {
	done chan struct{}
	err  error
}

// Get returns the value. If there is none yet, it waits until one is made, or ctx ends.
func (v *Value[T]) Get(ctx context.Context) (none T, err error) {
	v.mu.Lock()
	if v.made || v.stopped {
		defer v.mu.Unlock()
		return v.now()
	}
	a := v.making
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		v.making = a
		go v.make(a)
	}
	v.mu.Unlock()
	select {
	case <-a.done:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if a.err != nil {
		return none, a.err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now()
}

// now returns the value, or that it is closed. The caller holds v.mu.
func (v *Value[T]) now() (none T, err error) {
	if v.stopped {
		return none, ErrClosed
	}
	return v.value, nil
}

func (v *Value[T]) make(a *attempt) {
	value, err := v.Make()
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err != nil:
		a.err = err
	case v.stopped:
		v.Shut(value)
	default:
		v.value, v.made = value, true
	}
	v.making = nil
	close(a.done)
}

// Close ends the value. It waits for a Make that is under way.
func (v *Value[T]) Close() {
	v.mu.Lock()
	value, made, a := v.value, v.made && !v.stopped, v.making
	v.stopped = true
	v.mu.Unlock()
	if made {
		v.Shut(value)
	}
	if a != nil {
		<-a.done
	}
}
