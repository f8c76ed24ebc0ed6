package lazy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// All who wait share one value, one that fails is made again, and one that is made too late is shut.
func TestValue(t *testing.T) {
	var made, shut atomic.Int32
	gate := make(chan error)
	v := &Value[int]{
		Make: func() (int, error) { err := <-gate; return int(made.Add(1)), err },
		Shut: func(int) { shut.Add(1) },
	}
	wrong := errors.New("wrong")
	get := func(want int, wantErr error) func() {
		return func() {
			if n, err := v.Get(t.Context()); n != want || !errors.Is(err, wantErr) {
				t.Errorf("%d, %v, want %d, %v", n, err, want, wantErr)
			}
		}
	}
	var all sync.WaitGroup
	all.Go(get(0, wrong))
	gate <- wrong
	all.Wait()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Get(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the end of the context", err)
	}
	for range 10 {
		all.Go(get(2, nil))
	}
	gate <- nil
	all.Wait()
	v.Close()
	v.Close()
	get(0, ErrClosed)()
	if made.Load() != 2 || shut.Load() != 1 {
		t.Errorf("%d were made, %d shut: want 2, and 1", made.Load(), shut.Load())
	}

	late := &Value[int]{Make: v.Make, Shut: v.Shut}
	all.Go(func() {
		if _, err := late.Get(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("%v, want ErrClosed", err)
		}
	})
	for late.busy() == nil {
	}
	all.Go(late.Close)
	for !late.closed() {
	}
	gate <- nil
	all.Wait()
	if shut.Load() != 2 {
		t.Errorf("%d were shut, want 2", shut.Load())
	}
}

func (v *Value[T]) busy() *attempt {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.making
}

func (v *Value[T]) closed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stopped
}
