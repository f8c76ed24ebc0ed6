package tiered

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data"
)

// A copy that was read before a write, and comes after it, is not kept.
func TestOldCopyIsNotKept(t *testing.T) {
	for name, write := range map[string]func(d *Driver, last *teller){
		"own": func(d *Driver, last *teller) {
			_, _ = d.write(t.Context(), []data.Cmd{data.Command("SET", "a", "2")}, []plan{{keys: []string{"a"}}})
		},
		"others'": func(d *Driver, last *teller) { run(t, last.Memory, "SET", "a", "2"); last.tell("a") },
		"flushed": func(d *Driver, last *teller) { run(t, last.Memory, "SET", "a", "2"); last.tell() },
		"unheard": func(d *Driver, last *teller) {
			run(t, last.Memory, "SET", "a", "2")
			last.changes <- []string{"break"}
			last.tell()
		},
		"unwanted": nil,
	} {
		t.Run(name, func(t *testing.T) {
			front, last := memory(t), newTeller(t)
			d := open(t, []data.Driver{front, last})
			last.tell()
			run(t, last.Memory, "SET", "a", "1")
			last.before = func() {
				last.before = nil
				if write != nil {
					write(d, last)
				}
			}
			want := nothing
			if write == nil {
				want = "1"
			}
			if got := run(t, d, "GET", "a"); got != "1" {
				t.Errorf("it reads %s", got)
			}
			if got := run(t, front, "GET", "a"); got != want {
				t.Errorf("the copy is %s, want %s", got, want)
			}
		})
	}
}

// copying is a level that calls a function after each transaction, which is how a key is read to be copied.
type copying struct {
	*teller
	after func()
}

func (l *copying) Tx(ctx context.Context, f func(tx data.Transaction) error) error {
	defer l.after()
	return l.Memory.Tx(ctx, f)
}

// Of two keys that are written together nobody finds one as it was before in a front, because it was copied then, and another one as it
// is after.
func TestD2CopiesOfOneMoment(t *testing.T) {
	last := &copying{teller: newTeller(t)}
	d := open(t, []data.Driver{memory(t), last}, WithSoleWriter())
	run(t, last.Memory, "MSET", "a", "1", "b", "1")
	written, goOn := make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	last.after = func() { // a is read to be copied, b is not yet
		last.after = func() {}
		last.before = func() { last.before = nil; close(written); <-goOn }
		writer.Go(func() { run(t, d, "MSET", "a", "2", "b", "2") })
		<-written
	}
	run(t, d, "MGET", "a", "b")
	if got := run(t, d, "MGET", "a", "b"); got != "[2 2] <nil>" {
		t.Errorf("before the write has returned: %s", got)
	}
	close(goOn)
	writer.Wait()
	for range 2 {
		if got := run(t, d, "MGET", "a", "b"); got != "[2 2] <nil>" {
			t.Errorf("after it: %s", got)
		}
	}
	if got := run(t, d.fronts[0].driver, "MGET", "a", "b"); got != "[2 2] <nil>" {
		t.Errorf("the copies are %s", got)
	}
}

// What is read while it is written is not copied: it may be of before.
func TestNoCopyWhileWritten(t *testing.T) {
	front, last := memory(t), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	run(t, last, "SET", "a", "1")
	for _, cmds := range [][]data.Cmd{{data.Command("SET", "a", "2")}, {data.Command("FLUSHDB")}, {data.Command("SET", "b", "2"), data.Command("DEL", "a", "a"), data.Command("FLUSHDB")}} {
		var plans []plan
		for _, cmd := range cmds {
			plans = append(plans, planOf(cmd))
		}
		for range 2 {
			first, second := d.writing(t.Context(), plans), d.writing(t.Context(), plans)
			for i, w := range []*write{first, second} {
				if got := run(t, d, "GET", "a"); got != "1" {
					t.Errorf("%v: it reads %s", cmds, got)
				}
				if got := run(t, front, "GET", "a"); got != nothing {
					t.Errorf("%v: %d are over, and the copy is %s", cmds, i, got)
				}
				w.end(t.Context(), nil)
			}
			run(t, d, "GET", "a")
			if got := run(t, front, "GET", "a"); got != "1" {
				t.Errorf("%v: the copy is %s after all", cmds, got)
			}
		}
	}
}

// Who has read a new value at the last level, where nobody has told of it yet, finds no older copy that another one has made meanwhile.
func TestNoOlderCopyAfterRead(t *testing.T) {
	front, last := memory(t), newTeller(t)
	d := open(t, []data.Driver{front, last})
	last.tell()
	run(t, last.Memory, "SET", "a", "1")
	last.ahead = func() {
		last.ahead = nil
		last.tell("a")
		if got := run(t, d, "GET", "a") + run(t, front, "GET", "a"); got != "11" {
			t.Errorf("another one reads, and copies, %s", got)
		}
		run(t, last.Memory, "SET", "a", "2")
	}
	for range 2 {
		if got := run(t, d, "GET", "a"); got != "2" {
			t.Errorf("it reads %s", got)
		}
	}
}

// Many readers and writers of one Driver never see a value that is older than one that they have seen, or written.
func TestNoStepBack(t *testing.T) {
	d := open(t, []data.Driver{memory(t), memory(t)}, WithSoleWriter())
	c := data.New(d).Strings()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for last := 0; ctx.Err() == nil; {
				text, _ := c.Get(t.Context(), "n")
				n := 0
				_, _ = fmt.Sscan(text, &n)
				if n < last {
					t.Errorf("%d after %d", n, last)
					return
				}
				last = n
			}
		})
	}
	for i := range 5000 {
		if n, err := c.Incr(t.Context(), "n"); err != nil || n != int64(i+1) {
			t.Errorf("%d, %v", n, err)
		}
		if got, err := c.Get(t.Context(), "n"); got != fmt.Sprint(i+1) {
			t.Errorf("%s, %v, after %d was written", got, err, i+1)
		}
	}
	cancel()
	all.Wait()
}

// Commands of one Do run in their order: none has the copy of before a write if one ahead of it has read what was written later.
func TestOrderOfDo(t *testing.T) {
	front, last := memory(t), newTeller(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	run(t, last.Memory, "MSET", "a", "1", "b", "1")
	run(t, d, "GET", "b")
	last.ahead = func() {
		last.ahead = nil
		run(t, d, "SET", "b", "2")
		run(t, d, "SET", "a", "2")
	}
	replies, err := d.Do(t.Context(), data.Command("GET", "a"), data.Command("GET", "b"))
	if err != nil || replies[0].Str != "2" || replies[1].Str != "2" {
		t.Errorf("%v, %v, want 2 and 2: 2 was written to b first", replies, err)
	}
}

// A write whose outcome is not known may happen later, and nobody tells a sole writer.
func TestDoubtfulWrite(t *testing.T) {
	doubtful := map[string]func(t *testing.T, d *Driver, last *teller) error{
		"a command": func(t *testing.T, d *Driver, last *teller) error {
			last.down.Store(true)
			defer last.down.Store(false)
			_, err := d.Do(t.Context(), data.Command("SET", "a", "2"))
			return err
		},
		"all keys": func(t *testing.T, d *Driver, last *teller) error {
			last.down.Store(true)
			defer last.down.Store(false)
			_, err := d.Do(t.Context(), data.Command("UNKNOWN"))
			return err
		},
		"a transaction": func(t *testing.T, d *Driver, _ *teller) error {
			set := func(tx data.Transaction) error { _, err := tx.Do(data.Command("SET", "a", "2")); return err }
			return d.inTx(t.Context(), set, func(ctx context.Context, f func(tx data.Transaction) error) error {
				return d.last.Tx(ctx, func(tx data.Transaction) error { _ = f(tx); return errDown })
			})
		},
	}
	for name, write := range doubtful {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				front, last := memory(t), newTeller(t)
				d := open(t, []data.Driver{front, last}, WithSoleWriter())
				run(t, d, "SET", "a", "1")
				if err := write(t, d, last); !errors.Is(err, errDown) {
					t.Errorf("it has not failed: %v", err)
				}
				if got := run(t, d, "GET", "a"); got != "1" {
					t.Errorf("after it: %s", got)
				}
				run(t, last.Memory, "SET", "a", "2") // it happens after all
				if got := run(t, d, "GET", "a"); got != "2" {
					t.Errorf("when it has happened: %s: an old copy", got)
				}
				time.Sleep(doubtTime)
				run(t, d, "GET", "a")
				if got := run(t, front, "GET", "a"); got != "2" {
					t.Errorf("a minute later: the copy is %s", got)
				}
			})
		})
	}
	t.Run("none", func(t *testing.T) {
		front := memory(t)
		d := open(t, []data.Driver{front, memory(t)}, WithSoleWriter())
		for _, failed := range []error{errDown, data.ErrConflict} {
			if err := d.Tx(t.Context(), func(tx data.Transaction) error { _, _ = tx.Do(data.Command("SET", "a", "1")); return failed }); !errors.Is(err, failed) {
				t.Error(err)
			}
		}
		run(t, d, "SET", "a", "2")
		run(t, d, "GET", "a")
		if got := run(t, front, "GET", "a"); got != "2" {
			t.Errorf("the copy is %s: what was undone does not happen", got)
		}
	})
}

// More doubtful keys than are kept are all keys.
func TestManyDoubts(t *testing.T) {
	var g guard
	var keys []string
	for i := 0; len(keys) < 2*mostSpans; i++ {
		if key := fmt.Sprint(i); place(key) == 0 {
			keys = append(keys, key)
		}
	}
	g.writing(keys, false)
	g.written(keys[1:], 0, true)
	g.written(keys[:1], 0, false)
	fills, _ := g.begin(keys, true)
	for _, f := range fills {
		if good, _ := g.state(f); good {
			t.Fatalf("%s would be copied", f.key)
		}
	}
	if s := &g.stripes[0]; len(s.doubts) > mostSpans || len(s.writes) > 0 || len(s.fills) > 0 {
		t.Errorf("a stripe has %d doubts, %d writes, %d fills", len(s.doubts), len(s.writes), len(s.fills))
	}
}
