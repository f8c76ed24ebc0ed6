package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// A command that has found room, and then waits for a lock, looks again: else each of those that wait would go beyond the bound.
func TestRoomIsLookedForWithTheLocks(t *testing.T) {
	e := newTest(t, Config{Bytes: 1 << 20})
	push := e.Commands().Find("push")
	if err := e.refusal(push); err != nil {
		t.Fatal(err)
	}
	do(t, e, "push key "+strings.Repeat("x", 2<<20))
	if _, err := e.lockWithRoom(t.Context(), push, setOf("key"), true); err != ErrFull {
		t.Errorf("got %v, want ErrFull", err)
	}
	if _, err := e.lockWithRoom(t.Context(), e.Commands().Find("pop"), setOf("key"), true); err != nil {
		t.Errorf("a command that takes no more memory: %v", err)
	}
	e.unlock(setOf("key"), true)
}

func TestTransactionIsRefusedWhatFindsNoRoom(t *testing.T) {
	for _, evict := range []Eviction{NoEviction, EvictLRU} {
		e := newTest(t, Config{Bytes: 1 << 20, Evict: evict})
		var commands []string
		for i := range 50 {
			commands = append(commands, fmt.Sprintf("set key%d %s", i, strings.Repeat("x", 100<<10)))
		}
		w := new(tokens)
		if err := e.Exec(context.Background(), queued(e, commands...), nil, w); err != nil {
			t.Fatal(err)
		}
		refused := strings.Count(w.String(), "-OOM")
		if evict == NoEviction && refused < 38 || evict != NoEviction && refused > 0 {
			t.Errorf("%v: %d of 50 commands are refused", evict, refused)
		}
		if most := int64(1<<20 + 150<<10); e.Used() > most {
			t.Errorf("%v: %d bytes are used, want up to %d", evict, e.Used(), most)
		}
	}
}

func TestManyKeysBlock(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiting) {
		const n = 60_000
		var keys strings.Builder
		var pushes []string
		for i := range n {
			fmt.Fprintf(&keys, "key%d ", i)
			pushes = append(pushes, fmt.Sprintf("push key%d a", i))
		}
		for _, name := range []string{"first", "second"} {
			w.start(background, name, "bpop "+keys.String()+"0")
		}
		if err := w.e.Exec(background, queued(w.e, pushes...), nil, new(tokens)); err != nil {
			t.Fatal(err)
		}
		w.want("first", "$a")
		w.want("second", "$a")
	})
}
