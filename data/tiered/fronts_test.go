package tiered

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data"
)

// A last level that fails is an error of what needs it.
func TestLastThatFails(t *testing.T) {
	front, last := memory(t), newTeller(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	run(t, d, "SET", "a", "1")
	run(t, d, "GET", "a")
	last.down.Store(true)
	if got := run(t, d, "GET", "a"); got != "1" {
		t.Errorf("a copy: %s", got)
	}
	if got := run(t, d, "GET", "b"); got != errDown.Error() {
		t.Errorf("a miss: %s", got)
	}
	if got := run(t, d, "SET", "a", "2"); got != errDown.Error() {
		t.Errorf("a write: %s", got)
	}
	if got := run(t, d, "GET", "a"); got != errDown.Error() {
		t.Errorf("after a write of which nobody knows whether it has happened: %s", got)
	}
}

// A full front has no copies, and nobody minds.
func TestFullFront(t *testing.T) {
	front, last := memory(t, data.WithBytes(20_000)), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	for i := range 100 {
		key, value := fmt.Sprint(i), strings.Repeat("x", 1000)
		run(t, d, "RPUSH", key, value, value)
		if got := run(t, d, "LLEN", key); got != "2" {
			t.Errorf("%s: %s", key, got)
		}
		if got := run(t, front, "LLEN", key); got != "2" && got != "0" {
			t.Errorf("%s at the front: %s", key, got)
		}
	}
}

// A front that fails is not read until it has dropped its old copies. No command fails because of it: Err and the log say so.
func TestFrontThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		front, last := newTeller(t), memory(t)
		d := open(t, []data.Driver{front, last}, WithSoleWriter(), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		c := data.New(d)
		run(t, d, "SET", "a", "1")
		run(t, d, "GET", "a")
		front.down.Store(true)
		if n, err := c.Strings().Incr(t.Context(), "a"); n != 2 || err != nil {
			t.Errorf("a write: %d, %v", n, err)
		}
		if err := c.Tx(t.Context(), func(tx *data.Tx) error { _, err := tx.Strings().Incr(t.Context(), "a"); return err }); err != nil {
			t.Errorf("a transaction: %v", err)
		}
		if replies, err := d.Exec(t.Context(), data.Command("INCR", "a")); err != nil || replies[0].Int != 4 {
			t.Errorf("Exec: %v, %v", replies, err)
		}
		if err := d.Err(); !errors.Is(err, errDown) || !strings.Contains(err.Error(), "level 0 is not used") {
			t.Errorf("Err: %v", err)
		}
		if got := run(t, front.Memory, "GET", "a"); got != "1" {
			t.Fatalf("the front has %s: want the old copy", got)
		}
		time.Sleep(10 * repairPause)
		front.down.Store(false)
		if got := run(t, d, "GET", "a"); got != "4" {
			t.Errorf("a read when it answers again: %s", got)
		}
		time.Sleep(repairPause)
		synctest.Wait()
		if got := run(t, front.Memory, "GET", "a"); got != nothing || d.Err() != nil {
			t.Errorf("the front has %s, and Err is %v", got, d.Err())
		}
		time.Sleep(barrenTime)
		if got := run(t, d, "GET", "a") + run(t, front.Memory, "GET", "a"); got != "44" {
			t.Errorf("a read and the copy: %s", got)
		}
		front.down.Store(true)
		if got := run(t, d, "GET", "a"); got != "4" || !errors.Is(d.Err(), errDown) {
			t.Errorf("a read while it is down: %s; Err is %v", got, d.Err())
		}
		if got := strings.Count(log.String(), "a level has failed"); got != 2 || strings.Count(log.String(), "is used again") != 1 {
			t.Errorf("the log: %s", &log)
		}
	})
}

// What is written while a front drops its old copies is dropped as well before it is read.
func TestWritesWhileFrontIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := newTeller(t)
		d := open(t, []data.Driver{front, memory(t)}, WithSoleWriter())
		run(t, d, "MSET", "a", "1", "b", "1")
		run(t, d, "MGET", "a", "b")
		front.down.Store(true)
		run(t, d, "SET", "a", "2")
		front.ahead = func() {
			front.ahead = nil
			run(t, d, "SET", "b", "2")
		}
		front.down.Store(false)
		time.Sleep(repairPause)
		synctest.Wait()
		if got := run(t, front.Memory, "EXISTS", "a", "b"); front.ahead != nil || d.Err() != nil || got != "0" {
			t.Errorf("there are %s old copies, and Err is %v", got, d.Err())
		}
		if got := run(t, d, "MGET", "a", "b"); got != "[2 2] <nil>" {
			t.Errorf("it reads %s", got)
		}
	})
}

// A front that hangs costs one command its bound, and the others nothing.
func TestFrontThatHangs(t *testing.T) {
	takes := func(t *testing.T, what string, want time.Duration, f func()) {
		t.Helper()
		start := time.Now()
		f()
		if took := time.Since(start); took != want {
			t.Errorf("%s took %v, want %v", what, took, want)
		}
	}
	for name, first := range map[string]func(t *testing.T, d *Driver, last *teller){
		"a write": func(t *testing.T, d *Driver, _ *teller) {
			takes(t, "a write", dropTime, func() { run(t, d, "SET", "a", "1") })
		},
		"a write of one who has gone": func(t *testing.T, d *Driver, _ *teller) {
			ctx, cancel := context.WithTimeout(t.Context(), dropTime/2)
			defer cancel()
			takes(t, "a write", dropTime, func() { _, _ = d.Do(ctx, data.Command("SET", "a", "1")) })
			run(t, d, "SET", "a", "1")
		},
		"a read": func(t *testing.T, d *Driver, _ *teller) {
			takes(t, "a read", readTime, func() {
				if got := run(t, d, "LLEN", "l"); got != "1" {
					t.Errorf("LLEN: %s", got)
				}
			})
		},
		"a read that has little time": func(t *testing.T, d *Driver, _ *teller) {
			ctx, cancel := context.WithTimeout(t.Context(), readTime/5)
			defer cancel()
			takes(t, "a read", readTime/10, func() {
				if got, ok, err := d.GetString(ctx, "a"); got != "1" || !ok || err != nil {
					t.Errorf("GET: %s, %t, %v", got, ok, err)
				}
			})
		},
		"a change of others":   func(t *testing.T, _ *Driver, last *teller) { takes(t, "a change", dropTime, func() { last.tell("a") }) },
		"all may have changed": func(t *testing.T, _ *Driver, last *teller) { takes(t, "a change", dropTime, func() { last.tell() }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				front, last := newTeller(t), newTeller(t)
				d := open(t, []data.Driver{front, last})
				last.tell()
				run(t, d, "SET", "a", "1")
				run(t, d, "GET", "a")
				run(t, d, "RPUSH", "l", "1")
				run(t, d, "LLEN", "l")
				front.hung.Store(true)
				first(t, d, last)
				takes(t, "what follows", 0, func() {
					run(t, d, "SET", "b", "1")
					last.tell("b")
					last.tell()
					if got := run(t, d, "GET", "a") + run(t, d, "LLEN", "l") + run(t, d, "GET", "b"); got != "111" || d.Err() == nil {
						t.Errorf("it reads %s, and Err is %v", got, d.Err())
					}
				})
				front.hung.Store(false)
				time.Sleep(2*dropTime + repairPause + barrenTime)
				if run(t, d, "GET", "a"); d.Err() != nil || run(t, front.Memory, "GET", "a") != "1" {
					t.Errorf("it is not used again: %v", d.Err())
				}
			})
		})
	}
}

// Who gives up waiting for a front says nothing about the front.
func TestReaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := newTeller(t)
		d := open(t, []data.Driver{front, memory(t)}, WithSoleWriter())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(readTime/2, cancel)
		front.hung.Store(true)
		if _, err := d.Do(ctx, data.Command("GET", "a")); !errors.Is(err, context.Canceled) || d.Err() != nil {
			t.Errorf("%v, and Err is %v", err, d.Err())
		}
		front.hung.Store(false)
	})
}

// What the second of three levels has is put into the first one when it is read, with what is left of its time.
func TestThreeLevels(t *testing.T) {
	first, second, last := memory(t), newTeller(t), newTeller(t)
	d := open(t, []data.Driver{first, second, last}, WithSoleWriter())
	run(t, d, "SET", "a", "1", "PX", "100000")
	run(t, d, "RPUSH", "l", "x", "y")
	run(t, d, "GET", "a")
	run(t, d, "LLEN", "l")
	run(t, first, "FLUSHDB")
	last.down.Store(true)
	for range 2 {
		if got := run(t, d, "GET", "a") + run(t, d, "LRANGE", "l", "0", "-1"); got != "1[x y] <nil>" {
			t.Errorf("they are %s", got)
		}
	}
	if got := run(t, first, "GET", "a") + run(t, first, "LRANGE", "l", "0", "-1"); got != "1[x y] <nil>" {
		t.Errorf("at the first level they are %s", got)
	}
	if ttl, err := data.New(first).Keys().TTL(t.Context(), "a"); err != nil || ttl > 100*time.Second || ttl < 90*time.Second {
		t.Errorf("at the first level %v is left, %v", ttl, err)
	}
	// What could not be dropped there is not put anywhere.
	last.down.Store(false)
	run(t, first, "FLUSHDB")
	second.down.Store(true)
	run(t, d, "SET", "a", "2")
	second.down.Store(false)
	if got := run(t, d, "GET", "a") + run(t, first, "GET", "a"); got != "22" {
		t.Errorf("after a write: %s", got)
	}
}

// A new copy comes to the last front first: who has found it in one finds no older copy in the next, when there is none any more in that one.
func TestOrderOfCopies(t *testing.T) {
	first, second := memory(t), newTeller(t)
	d := open(t, []data.Driver{first, second, memory(t)}, WithSoleWriter())
	run(t, d, "SET", "a", "1")
	second.ahead = func() {
		if got := run(t, first, "GET", "a"); got != nothing {
			t.Errorf("the first level has %s, and the second one is not told yet", got)
		}
	}
	run(t, d, "GET", "a")
	if got := run(t, first, "GET", "a") + run(t, second.Memory, "GET", "a"); got != "11" {
		t.Errorf("the copies are %s", got)
	}
}

// A copy that another level has is not put anywhere if the key is written meanwhile.
func TestNoLiftOfOldCopies(t *testing.T) {
	for name, meanwhile := range map[string]func(second *copying, write func()){
		"before it is copied": func(second *copying, write func()) {
			second.before = func() { second.before = nil; write() }
		},
		"before it is copied, and the level fails": func(second *copying, write func()) {
			second.before = func() { second.before = nil; second.down.Store(true); write(); second.down.Store(false) }
		},
		"while it is copied": func(second *copying, write func()) {
			second.after = func() { second.after = func() {}; write() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := memory(t), &copying{newTeller(t), func() {}}
			d := open(t, []data.Driver{first, second, memory(t)}, WithSoleWriter())
			run(t, d, "SET", "a", "1")
			run(t, d, "GET", "a")
			run(t, first, "DEL", "a")
			meanwhile(second, func() { run(t, d, "SET", "a", "2") })
			if got := run(t, d, "GET", "a"); got != "1" {
				t.Errorf("it reads %s", got)
			}
			if got := run(t, first, "GET", "a"); got != nothing {
				t.Errorf("the copy is %s", got)
			}
			if got := run(t, d, "GET", "a"); got != "2" {
				t.Errorf("after the write: %s", got)
			}
		})
	}
}

// An error that a front replies is not the answer: it may be its own.
func TestErrorOfFront(t *testing.T) {
	front, last := memory(t), memory(t)
	d := open(t, []data.Driver{front, last}, WithSoleWriter())
	run(t, d, "SET", "a", "1")
	run(t, d, "GET", "a")
	run(t, front, "DEL", "a")
	run(t, front, "RPUSH", "a", "x")
	for range 2 {
		if got := run(t, d, "GET", "a"); got != "1" {
			t.Errorf("it reads %s", got)
		}
	}
}
