package data

import (
	"context"
	"errors"
	"testing"
)

func newClient(t testing.TB, opts ...MemoryOption) *Client {
	t.Helper()
	m, err := NewMemory(opts...)
	if err != nil {
		t.Fatal(err)
	}
	c := New(m)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// A GET takes no memory.
func TestGetIsCheap(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	s := c.Strings()
	if _, err := s.Get(ctx, "greeting"); !errors.Is(err, ErrNil) {
		t.Errorf("%v, want ErrNil", err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Get(ctx, "greeting") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// An ended context ends everything.
func TestEndedContext(t *testing.T) {
	c := newClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(*Tx) error {
		t.Error("the function was called")
		return nil
	}
	for name, err := range map[string]error{
		"Get":   second(c.Strings().Get(ctx, "a")),
		"Do":    second(c.Do(ctx, "STRLEN", "a")),
		"Tx":    c.Tx(ctx, never),
		"Watch": c.Watch(ctx, []string{"a"}, never),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
