package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// several are the ways to change two keys at once to n.
var several = map[string]func(t *testing.T, e *Engine, a, b string, n int){
	"MSET": func(t *testing.T, e *Engine, a, b string, n int) {
		do(t, e, fmt.Sprintf("mset %s %d %s %d", a, n, b, n))
	},
	"Exec": func(t *testing.T, e *Engine, a, b string, n int) {
		if err := e.Exec(context.Background(), queued(e, fmt.Sprintf("set %s %d", a, n), fmt.Sprintf("set %s %d", b, n)), nil, new(tokens)); err != nil {
			t.Error(err)
		}
	},
	"Tx": func(t *testing.T, e *Engine, a, b string, n int) {
		x, err := e.Begin(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		for _, q := range queued(e, fmt.Sprintf("set %s %d", a, n+1), "incr "+b, fmt.Sprintf("set %s %d", b, n+1)) {
			x.Run(q.Command, q.Args, new(tokens))
		}
		x.BackTo(0)
		for _, q := range queued(e, fmt.Sprintf("set %s %d", a, n), fmt.Sprintf("set %s %d", b, n)) {
			x.Run(q.Command, q.Args, new(tokens))
		}
		if n%3 == 0 {
			x.Rollback()
		} else if err := x.Commit(context.Background()); err != nil {
			t.Error(err)
		}
	},
}

// oneShard returns a key that is in the shard of another key.
func oneShard(key string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprint(key, i); setOf(other) == setOf(key) {
			return other
		}
	}
}

// TestD2ReadersSeeAllOrNothing changes two keys at once, to ever larger numbers, while others read them one after the other without a lock, and
// both with one: who has seen a number of one key sees no smaller one of the other key.
func TestD2ReadersSeeAllOrNothing(t *testing.T) {
	for name, change := range several {
		for where, b := range map[string]string{"one shard": oneShard("a"), "two shards": "b"} {
			t.Run(name+" in "+where, func(t *testing.T) { readersSeeAll(t, change, b) })
		}
	}
}

func readersSeeAll(t *testing.T, change func(t *testing.T, e *Engine, a, b string, n int), b string) {
	e := newTest(t, Config{})
	var stop atomic.Bool
	var group sync.WaitGroup
	do(t, e, fmt.Sprintf("mset a 0 %s 0", b))
	for _, keys := range [][2]string{{"a", b}, {b, "a"}} {
		group.Go(func() {
			for !stop.Load() {
				first, second := numberIn(do(t, e, "get "+keys[0])), numberIn(do(t, e, "get "+keys[1]))
				if second < first {
					t.Errorf("%s is %d, and then %s is %d", keys[0], first, keys[1], second)
					return
				}
			}
		})
	}
	group.Go(func() {
		for !stop.Load() {
			if got := strings.Fields(do(t, e, "mget a "+b)); got[1] != got[2] {
				t.Errorf("MGET replies %s", got)
				return
			}
		}
	})
	for n := 1; n < 3000 && !t.Failed(); n++ {
		change(t, e, "a", b, n)
	}
	stop.Store(true)
	group.Wait()
}

func numberIn(reply string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(reply, "$"))
	return n
}

// TestLocksStress has commands of all kinds at once, transactions, those that wait, snapshots and the sweep: all of them end, no string is
// lost or twice, and the memory that is counted is that which is there.
func TestLocksStress(t *testing.T) {
	const goroutines, rounds, stacks = 6, 1500, 8
	e := newTest(t, Config{Bytes: 1 << 30})
	e.Start()
	var group sync.WaitGroup
	var pushed, popped sync.Map
	note := func(m *sync.Map, item string) {
		if _, twice := m.LoadOrStore(item, true); twice {
			t.Errorf("%s is twice", item)
		}
	}
	taken := func(reply string) {
		if item, ok := strings.CutPrefix(reply, "$"); ok {
			note(&popped, item)
		}
	}
	for g := range goroutines {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			key := func() string { return fmt.Sprint("stack", r.IntN(stacks)) }
			for i := range rounds {
				item := fmt.Sprintf("%d-%d", g, i)
				switch r.IntN(9) {
				case 0, 1:
					note(&pushed, item)
					do(t, e, "push "+key()+" "+item)
				case 2:
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(200))*time.Microsecond)
					w := new(tokens)
					if e.Run(ctx, e.Commands().Find("bpop"), []string{"bpop", key(), key(), "1"}, w) == nil {
						taken(w.String())
					}
					cancel()
				case 3:
					do(t, e, fmt.Sprintf("bmove %s %s 1", key(), key()))
				case 4:
					w := new(tokens)
					e.Exec(context.Background(), queued(e, "set s 1", "pop "+key(), "mget s t"), nil, w)
					taken(w.list[2])
				case 5:
					stressTx(t, e, r, key(), key())
				case 6:
					do(t, e, "count")
					do(t, e, fmt.Sprintf("set v%d x %d", r.IntN(50), time.Now().UnixMilli()+int64(r.IntN(50))))
				case 7:
					w := e.Watch(nil, key(), "s")
					e.Exec(context.Background(), queued(e, "incr s", "get t"), w, new(tokens))
					e.Unwatch(w)
				case 8:
					err := e.Snapshot(context.Background(), nothing, func([]byte) error { return nil })
					if err != nil && !errors.Is(err, ErrSnapshot) {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	for i := range stacks {
		for {
			reply := do(t, e, fmt.Sprint("pop stack", i))
			if reply == "_" {
				break
			}
			taken(reply)
		}
	}
	pushed.Range(func(item, _ any) bool {
		if _, ok := popped.Load(item); !ok {
			t.Errorf("%s is lost", item)
		}
		return true
	})
	if got, want := e.Used(), counted(e); got != want {
		t.Errorf("Used = %d, want %d", got, want)
	}
	for i := range e.shards {
		if s := &e.shards[i]; len(s.waiting) > 0 || len(s.watched) > 0 || s.need.Load() != 0 || s.several.Load()%2 != 0 {
			t.Errorf("shard %d is left with %d who wait, %d who watch, need %x, several %d", i, len(s.waiting), len(s.watched), s.need.Load(), s.several.Load())
		}
	}
}

// stressTx moves a string from one stack to another, and goes back now and then.
func stressTx(t *testing.T, e *Engine, r *rand.Rand, from, to string) {
	x, err := e.Begin(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer x.Rollback()
	run := func(args ...string) string {
		w := new(tokens)
		if err := x.Run(e.Commands().Find(args[0]), args, w); err != nil {
			t.Error(err)
		}
		return w.String()
	}
	for range 3 {
		if item, ok := strings.CutPrefix(run("pop", from), "$"); ok {
			run("push", to, item)
		}
		if r.IntN(3) == 0 {
			x.BackTo(x.Len() / 2 * 2 * r.IntN(2))
		}
	}
	if x.Len()%2 == 1 { // popped, and nothing pushed
		x.BackTo(0)
	}
	if r.IntN(3) > 0 {
		if err := x.Commit(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestTxEnds(t *testing.T) {
	e := newTest(t, Config{})
	x, _ := e.Begin(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := e.Begin(ctx); err != context.DeadlineExceeded {
		t.Errorf("Begin returns %v, want %v", err, context.DeadlineExceeded)
	}
	if err := x.BackTo(1); err == nil {
		t.Error("a Tx can go to where it has not been")
	}
	if err := x.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	x.Rollback()
	if err := x.Commit(context.Background()); err != ErrTxEnded {
		t.Errorf("Commit returns %v, want %v", err, ErrTxEnded)
	}
	if err := x.Run(e.Commands().Find("get"), []string{"get", "a"}, new(tokens)); err != ErrTxEnded {
		t.Errorf("Run returns %v, want %v", err, ErrTxEnded)
	}
	if err := x.BackTo(0); err != ErrTxEnded {
		t.Errorf("BackTo returns %v, want %v", err, ErrTxEnded)
	}
}
