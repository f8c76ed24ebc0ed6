package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waiting runs commands that wait, each in a goroutine of its own, one after the other.
type waiting struct {
	t       *testing.T
	e       *Engine
	started int

	mu      sync.Mutex
	replies map[string]string // of those that have returned
	errs    map[string]error
	order   []string // in which they have
}

func newWaiting(t *testing.T) *waiting {
	return &waiting{t: t, e: newTest(t, Config{}), replies: map[string]string{}, errs: map[string]error{}}
}

func (w *waiting) start(ctx context.Context, name, command string) {
	w.started++
	args := strings.Fields(command)
	go func() {
		reply := new(tokens)
		err := w.e.Run(ctx, w.e.Commands().Find(args[0]), args, reply)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.replies[name], w.errs[name] = reply.String(), err
		w.order = append(w.order, name)
	}()
	synctest.Wait()
}

func (w *waiting) want(name, reply string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.replies[name]; got != reply {
		w.t.Errorf("%s has %q, want %q", name, got, reply)
	}
}

func inBubble(t *testing.T, f func(t *testing.T, w *waiting)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting(t)
		f(t, w)
		w.e.Close()
		synctest.Wait()
		if len(w.order) != w.started {
			t.Errorf("%v have returned after Close, of %d", w.order, w.started)
		}
		for i := range w.e.shards {
			if s := &w.e.shards[i]; len(s.waiting) > 0 || s.need.Load() != 0 {
				t.Errorf("shard %d has %v who wait, and needs %x", i, s.waiting, s.need.Load())
			}
		}
	})
}

var background = context.Background()

func TestWaitersAreServedInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiting) {
		w.start(background, "first", "bpop other key 0")
		w.start(background, "second", "bpop key 0")
		w.start(background, "third", "bpop key 0")
		do(t, w.e, "push key a b")
		w.want("first", "$b")
		w.want("second", "$a")
		w.want("third", "")
		do(t, w.e, "push key c")
		w.want("third", "$c")
		if got := do(t, w.e, "pop key"); got != "_" {
			t.Errorf("what a waiter has got is still there: %s", got)
		}
	})
}

func TestWaitersInTransactions(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiting) {
		w.start(background, "one", "bpop key 0")
		reply := new(tokens)
		w.e.Exec(background, queued(w.e, "push key a", "pop key", "bpop key 0"), nil, reply)
		if reply.String() != "*3 :1 $a _" {
			t.Errorf("the transaction replies %s", reply)
		}
		w.want("one", "")
		w.e.Exec(background, queued(w.e, "push key b", "set x 1"), nil, new(tokens))
		w.want("one", "$b")
		w.start(background, "two", "bpop key 0")
		x, _ := w.e.Begin(background)
		q := queued(w.e, "push key c")[0]
		x.Run(q.Command, q.Args, new(tokens))
		x.Rollback()
		w.want("two", "")
		x, _ = w.e.Begin(background)
		x.Run(q.Command, q.Args, new(tokens))
		x.Run(q.Command, q.Args, new(tokens))
		x.BackTo(1)
		if err := x.Commit(background); err != nil {
			t.Fatal(err)
		}
		w.want("two", "$c")
		if got := do(t, w.e, "pop key"); got != "_" {
			t.Errorf("pop replies %s, want nothing", got)
		}
	})
}

// TestWaitersServeWaiters has what one of them is served be passed on to the next one.
func TestWaitersServeWaiters(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiting) {
		w.start(background, "last", "bpop c 0")
		w.start(background, "second", "bmove b c 0")
		w.start(background, "first", "bmove a b 0")
		do(t, w.e, "push a x")
		for _, name := range []string{"first", "second", "last"} {
			w.want(name, "$x")
		}
		w.start(background, "renamed", "bpop to 0")
		do(t, w.e, "push from y")
		do(t, w.e, "rename from to")
		w.want("renamed", "$y")
	})
}

func TestWaitersEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiting) {
		ctx, cancel := context.WithCancel(background)
		w.start(ctx, "cancelled", "bpop key 0")
		w.start(background, "late", "bpop key 100")
		w.start(background, "closed", "bpop key 0")
		cancel()
		synctest.Wait()
		if w.errs["cancelled"] != context.Canceled {
			t.Errorf("the cancelled one returns %v", w.errs["cancelled"])
		}
		time.Sleep(99 * time.Millisecond)
		w.want("late", "")
		time.Sleep(time.Millisecond)
		w.want("late", "_")
		w.e.Close()
		synctest.Wait()
		if w.errs["closed"] != ErrClosed {
			t.Errorf("the one that waits when the engine is closed returns %v", w.errs["closed"])
		}
		if want := []string{"cancelled", "late", "closed"}; !slices.Equal(w.order, want) {
			t.Errorf("they end in the order %v, want %v", w.order, want)
		}
	})
}

// TestD1NothingIsLostToWhoIsGone has a string not be given to who waits no more.
func TestD1NothingIsLostToWhoIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiting) {
		ctx, cancel := context.WithCancel(background)
		w.start(ctx, "gone", "bpop key 0")
		w.start(background, "there", "bpop key 0")
		cancel()
		do(t, w.e, "push key a")
		w.want("there", "$a")
		w.want("gone", "")
	})
}
