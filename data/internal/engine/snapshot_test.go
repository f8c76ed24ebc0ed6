package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
)

// stepping is a context that has something happen each time its end is asked for, which a snapshot does between its steps.
type stepping struct {
	context.Context
	step func() error
}

func (s stepping) Err() error { return s.step() }

func nothing() error { return nil }

// loaded returns an engine that has loaded blocks, and whose clock is now.
func loaded(t *testing.T, now *clock, blocks ...[]byte) *Engine {
	t.Helper()
	e := newTest(t, Config{Now: now.Load})
	e.Replaying(true)
	for _, b := range blocks {
		if err := e.Load(b); err != nil {
			t.Fatal(err)
		}
	}
	e.Replaying(false)
	if got, want := e.Used(), counted(e); got != want {
		t.Fatalf("Used = %d after Load, want %d", got, want)
	}
	return e
}

// TestD2SnapshotIsOfOneMoment has random commands run between the steps of snapshots, all keys removed among
// them; some end early. Each has the state that was there when it began.
func TestD2SnapshotIsOfOneMoment(t *testing.T) {
	boom := errors.New("boom")
	for seed := range uint64(20) {
		h := newHistory(t, seed, Config{})
		h.keys = 1 + int(seed)*60
		whole := 0
		for range 20 {
			for range 50 {
				h.step()
			}
			var blocks [][]byte
			var then model
			var at int64
			ends := h.r.IntN(200) // the step at which it fails
			steps := 0
			err := h.e.Snapshot(stepping{context.Background(), func() error {
				for range h.r.IntN(3) {
					h.step()
				}
				if steps++; steps == ends {
					return boom
				}
				return nil
			}}, func() error {
				then, at = h.m.clone(), h.now.Load()
				return nil
			}, func(b []byte) error {
				blocks = append(blocks, bytes.Clone(b))
				return nil
			})
			switch {
			case err == boom && steps == ends:
				continue
			case err != nil:
				t.Fatal(err)
			}
			whole++
			var now clock
			now.Store(at)
			if got, want := contents(loaded(t, &now, blocks...)), then.contents(at); !maps.Equal(got, want) {
				t.Fatalf("seed %d: the snapshot has\n%v\nwant\n%v", seed, got, want)
			}
		}
		if whole == 0 {
			t.Errorf("seed %d: no snapshot was whole", seed)
		}
		h.check()
	}
}

// TestD2SnapshotWhileOthersWrite has goroutines move strings between stacks, and add to two keys at once, at full speed.
func TestD2SnapshotWhileOthersWrite(t *testing.T) {
	const stacks, items = 50, 1000
	e := newTest(t, Config{})
	for i := range items {
		do(t, e, fmt.Sprintf("push stack%d item%d", i%stacks, i))
	}
	do(t, e, "mset a 0 b 0")
	stop := make(chan struct{})
	var writers sync.WaitGroup
	defer writers.Wait()
	defer close(stop)
	for g := range 3 {
		writers.Go(func() {
			for i := g; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				do(t, e, fmt.Sprintf("bmove stack%d stack%d 1", i*7%stacks, i*13%stacks))
				e.Exec(context.Background(), queued(e, "incr a", "incr b"), nil, new(tokens))
			}
		})
	}
	for range 10 {
		var blocks [][]byte
		if err := e.Snapshot(context.Background(), nothing, func(b []byte) error {
			blocks = append(blocks, bytes.Clone(b))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		s := loaded(t, new(clock), blocks...)
		for i := range stacks {
			for {
				item := do(t, s, fmt.Sprintf("pop stack%d", i))
				if item == "_" {
					break
				}
				if seen[item] {
					t.Fatalf("%s is twice in the snapshot", item)
				}
				seen[item] = true
			}
		}
		if len(seen) != items {
			t.Errorf("the snapshot has %d strings, want %d", len(seen), items)
		}
		if got := strings.Fields(do(t, s, "mget a b")); got[1] != got[2] {
			t.Errorf("the snapshot has a = %s and b = %s", got[1], got[2])
		}
	}
}

func TestSnapshotsThatFail(t *testing.T) {
	boom := errors.New("boom")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		begin error
		write error
		want  error
	}{
		{"begin", context.Background(), boom, nil, boom},
		{"write", context.Background(), nil, boom, boom},
		{"context", ended, nil, nil, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newTest(t, Config{})
			want := map[string]string{}
			for i := range 1000 {
				do(t, e, fmt.Sprintf("set key%d %d", i, i))
				want[fmt.Sprintf("key%d", i)] = fmt.Sprintf("string %d until 0", i)
			}
			err := e.Snapshot(c.ctx, func() error { return c.begin }, func([]byte) error { return c.write })
			if err != c.want {
				t.Fatalf("Snapshot returns %v, want %v", err, c.want)
			}
			var blocks [][]byte
			write := func(b []byte) error {
				blocks = append(blocks, bytes.Clone(b))
				return e.Snapshot(context.Background(), nothing, nil)
			}
			if err := e.Snapshot(context.Background(), nothing, write); err != ErrSnapshot {
				t.Errorf("a second Snapshot returns %v, want %v", err, ErrSnapshot)
			}
			if got := contents(loaded(t, new(clock), blocks...)); !maps.Equal(got, want) {
				t.Errorf("the next snapshot has %d keys, want %d", len(got), len(want))
			}
		})
	}
}

// FuzzLoad loads garbage, which must be an error or be counted.
func FuzzLoad(f *testing.F) {
	f.Add(AppendEntry(nil, &Node{Key: "key", Value: Entry{Str: "value", Expire: 5}}))
	f.Add(AppendEntry(nil, &Node{Key: "key", Value: Entry{Object: &stack{items: []string{"a", "b"}}}}))
	f.Add([]byte{1, 0, 1, 'k', 0})
	f.Fuzz(func(t *testing.T, block []byte) {
		e := newTest(t, Config{})
		e.Replaying(true)
		err := e.Load(block)
		e.Replaying(false)
		if got, want := e.Used(), counted(e); got != want {
			t.Errorf("Used = %d after Load: %v, want %d", got, err, want)
		}
		for key := range contents(e) {
			if e.Run(context.Background(), e.Commands().Find("del"), []string{"del", key}, new(tokens)) != nil {
				t.Errorf("%q cannot be removed", key)
			}
		}
	})
}
