package strings_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/engine"
)

func memory(t testing.TB) *data.Memory {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func do(t testing.TB, m *data.Memory, name string, args ...string) data.Reply {
	replies, err := m.Do(context.Background(), data.Command(name, args...))
	if err != nil || replies[0].Kind == data.ErrorReply {
		t.Errorf("%s %q: %v, %v", name, args, replies, err)
		return data.Reply{}
	}
	return replies[0]
}

const alphabet = "abcdefghijklmnopqrstuvwxyz"

// TestAppendWhileRead checks that strings that were read stay as they are while others are appended to.
func TestAppendWhileRead(t *testing.T) {
	m := memory(t)
	whole := strings.Repeat(alphabet, 400)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var kept []string
			for {
				s := do(t, m, "GET", "k").Str
				if kept = append(kept, s); len(kept) > 100 {
					kept = kept[1:]
				}
				for _, s := range kept {
					if !strings.HasPrefix(whole, s) {
						t.Errorf("read %d bytes that were never there", len(s))
						return
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 5 {
		do(t, m, "SET", "k", "")
		for i := range whole {
			do(t, m, "APPEND", "k", whole[i:i+1])
		}
		if s := do(t, m, "GET", "k").Str; s != whole {
			t.Errorf("%d bytes, want %d", len(s), len(whole))
		}
	}
	close(stop)
	readers.Wait()
}

// TestAppendUndone checks that what was read in a transaction stays as it was when that is rolled back, and others append.
func TestAppendUndone(t *testing.T) {
	m := memory(t)
	do(t, m, "APPEND", "k", "0123456789")
	do(t, m, "APPEND", "k", "0123456789") // with room behind it
	var read string
	undo := errors.New("undo")
	err := m.Tx(context.Background(), func(tx data.Transaction) error {
		for _, cmd := range [][]string{{"APPEND", "k", "ab"}, {"EXPIRE", "k", "100"}, {"RENAME", "k", "l"}, {"APPEND", "l", "cd"}} {
			if _, err := tx.Do(data.Command(cmd[0], cmd[1:]...)); err != nil {
				return err
			}
		}
		reply, err := tx.Do(data.Command("GET", "l"))
		read = reply.Str
		return errors.Join(undo, err)
	})
	if !errors.Is(err, undo) {
		t.Fatal(err)
	}
	do(t, m, "APPEND", "k", "xyz")
	if got := do(t, m, "GET", "k").Str; got != "01234567890123456789xyz" {
		t.Errorf("after the transaction %q", got)
	}
	if read != "01234567890123456789abcd" {
		t.Errorf("what the transaction has read is now %q", read)
	}
}

// TestAppendToCopy checks that a copy does not share the room of what it was copied from.
func TestAppendToCopy(t *testing.T) {
	m := memory(t)
	do(t, m, "APPEND", "a", "0123456789")
	do(t, m, "APPEND", "a", "0123456789")
	do(t, m, "COPY", "a", "b")
	do(t, m, "APPEND", "a", "a")
	do(t, m, "APPEND", "b", "b")
	if a, b := do(t, m, "GET", "a").Str, do(t, m, "GET", "b").Str; !strings.HasSuffix(a, "9a") || !strings.HasSuffix(b, "9b") {
		t.Errorf("%q, %q", a, b)
	}
}

// TestGrownCap checks that a string that grows within its room is counted with the same room.
func TestGrownCap(t *testing.T) {
	for n := 1; n < 1<<20; n += 1 + n/100 {
		room := engine.GrownCap(n)
		if room < n || room > n+n/2+8 {
			t.Errorf("room of %d bytes for %d", room, n)
		}
		if again := engine.GrownCap(room); again != room {
			t.Errorf("room of %d bytes for %d, and of %d for all of them", room, n, again)
		}
	}
}
