package data_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/peercache/peercache/data"
)

func publish(t *testing.T, m *data.Memory, channel, text string) int64 {
	t.Helper()
	n, err := data.New(m).Messages().Publish(t.Context(), channel, text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestListen(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithCancel(t.Context())
	l := m.Listen(ctx, []string{"a", "b"}, []string{"a*"})
	for channel, want := range map[string]int64{"a": 2, "b": 1, "ab": 1, "c": 0} {
		if n := publish(t, m, channel, "to "+channel); n != want {
			t.Errorf("to %s: %d receivers, want %d", channel, n, want)
		}
	}
	var got []string
	for range 4 {
		msg := <-l.C()
		got = append(got, fmt.Sprint(msg))
	}
	slices.Sort(got)
	if want := []string{"{a  to a}", "{a a* to a}", "{ab a* to ab}", "{b  to b}"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	// What a transaction publishes is sent if it happens.
	for _, failure := range []error{errors.New("no"), nil} {
		err := data.New(m).Tx(ctx, func(tx *data.Tx) error {
			for _, text := range []string{fmt.Sprint(failure), "undone"} {
				if _, err := tx.Messages().Publish(ctx, "b", text); err != nil {
					return err
				}
			}
			if err := tx.UndoLast(); err != nil {
				return err
			}
			return failure
		})
		if err != failure {
			t.Fatalf("got %v, want %v", err, failure)
		}
	}
	if msg := <-l.C(); msg.Text != "<nil>" {
		t.Errorf("a message %q of a transaction that was undone", msg.Text)
	}
	testPublishOptimistic(t, m, l)
	cancel()
	if _, ok := <-l.C(); ok || !errors.Is(l.Err(), context.Canceled) {
		t.Errorf("after the end of the context: %v, %v", ok, l.Err())
	}
}

// testPublishOptimistic checks that an optimistic transaction sends its messages once, when it happens, and that they can be undone.
func testPublishOptimistic(t *testing.T, m *data.Memory, l *data.Listener) {
	t.Helper()
	c, ctx, no := data.New(m), t.Context(), errors.New("no")
	tries := 0
	for _, failure := range []error{no, nil} {
		err := c.Watch(ctx, []string{"key"}, func(tx *data.Tx) error {
			tries++
			for _, text := range []string{fmt.Sprint(failure), "undone"} {
				if n, err := tx.Messages().Publish(ctx, "b", text); n != 0 || err != nil {
					t.Errorf("Publish = %d, %v, want that it waits", n, err)
				}
			}
			if err := tx.UndoLast(); err != nil {
				t.Error(err)
			}
			if failure == nil && tries < 5 { // another client has the transaction fail
				if err := c.Strings().Set(ctx, "key", fmt.Sprint(tries)); err != nil {
					t.Error(err)
				}
			}
			return failure
		})
		if err != failure {
			t.Fatalf("got %v, want %v", err, failure)
		}
	}
	if n := len(l.C()); n != 1 {
		t.Fatalf("%d messages after %d tries, want one", n, tries)
	}
	if msg := <-l.C(); msg.Text != "<nil>" {
		t.Errorf("a message %q of a transaction that has not happened", msg.Text)
	}
}

// A listener that does not receive is ended, and slows nobody.
func TestSlowListener(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	slow, other := m.Listen(t.Context(), []string{"a"}, nil), m.Listen(t.Context(), []string{"a"}, nil)
	for i := range 1025 {
		publish(t, m, "a", fmt.Sprint(i))
		if msg := <-other.C(); msg.Text != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", msg.Text, i)
		}
	}
	n := 0
	for range slow.C() {
		n++
	}
	if n != 1024 || slow.Err() != data.ErrSlowListener || m.Stats().SlowListeners != 1 {
		t.Errorf("%d messages, %v", n, slow.Err())
	}
	m.Close()
	if _, ok := <-other.C(); ok || other.Err() != nil {
		t.Errorf("after Close: %v, %v", ok, other.Err())
	}
	if _, ok := <-m.Listen(t.Context(), []string{"a"}, nil).C(); ok {
		t.Error("a closed Memory is listened to")
	}
}
