package lists_test

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/data/internal/waittest"
)

var background = context.Background()

func TestWaitingInOrder(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		w.Start(background, "first", "BLPOP l 0")
		w.Start(background, "second", "BRPOP l 0")
		w.Start(background, "third", "BLMPOP 0 1 l RIGHT COUNT 2")
		w.Start(background, "fourth", "BLPOP l 0")
		if got := w.Do("RPUSH l a b c d e"); got != ":5" {
			t.Errorf("RPUSH replies %s, which is how many there were before others were served", got)
		}
		w.Want("first", "*2 l a")
		w.Want("second", "*2 l e")
		w.Want("third", "*2 l *2 d c")
		w.Want("fourth", "*2 l b")
		want := "RPUSH l a b c d e|lpop l|rpop l|rpop l 2|lpop l"
		if got := strings.Join(w.Log, "|"); got != want {
			t.Errorf("the log has %s, want %s", got, want)
		}
		if got := w.Do("EXISTS l"); got != ":0" {
			t.Errorf("the list has %s", got)
		}
	})
}

// TestWaitingForSeveral has who waits for two keys not take from one for which another one has waited longer.
func TestWaitingForSeveral(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		w.Start(background, "b", "BLPOP b 0")
		w.Start(background, "b or a", "BLPOP b a 0")
		w.Start(background, "a or b", "BRPOP a b 0")
		w.Exec("RPUSH a 1", "RPUSH b 2")
		w.Want("b or a", "*2 a 1")
		w.Want("b", "*2 b 2")
		w.Want("a or b", "")
		w.Exec("RPUSH b 3", "RPUSH a 4") // Redis 7.0 serves from the key that was pushed to first
		w.Want("a or b", "*2 b 3")
		if got := w.Do("LPOP a"); got != "4" {
			t.Errorf("a has %s", got)
		}
	})
}

func TestWaitingMoves(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		w.Start(background, "c", "BRPOP c 0")
		w.Start(background, "b to c", "BRPOPLPUSH b c 0")
		w.Start(background, "a to b", "BLMOVE a b RIGHT LEFT 0")
		w.Do("RPUSH a 1 2")
		w.Want("a to b", "2")
		w.Want("b to c", "2")
		w.Want("c", "*2 c 2")
		if want := "RPUSH a 1 2|LMOVE a b RIGHT LEFT|RPOPLPUSH b c|rpop c"; strings.Join(w.Log, "|") != want {
			t.Errorf("the log has %q, want %s", w.Log, want)
		}
		// A circle moves one element once around, and two to itself.
		w.Do("DEL a")
		w.Start(background, "x to y", "BLMOVE x y LEFT LEFT 0")
		w.Start(background, "y to x", "BLMOVE y x LEFT LEFT 0")
		w.Start(background, "z to z", "BLMOVE z z LEFT RIGHT 0")
		w.Do("RPUSH x 1")
		w.Do("RPUSH z 1 2")
		w.Want("y to x", "1")
		w.Want("z to z", "1")
		if got := w.Do("LRANGE x 0 -1") + w.Do("LRANGE z 0 -1"); got != "*1 1*2 2 1" {
			t.Errorf("x and z have %s", got)
		}
		w.Do("SET s x")
		w.Start(background, "wrong", "BLMOVE a s LEFT LEFT 0")
		w.Start(background, "right", "BLPOP a 0")
		w.Do("RPUSH a 1")
		w.Want("wrong", "-WRONGTYPE Operation against a key holding the wrong kind of value")
		w.Want("right", "*2 a 1")
	})
}

func TestWaitingForAListThatAppears(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		for _, lines := range [][]string{
			{"RPUSH from a", "RENAME from l"}, {"RPUSH from a", "RENAMENX from l"}, {"RPUSH from a", "COPY from l"},
			{"SET l string", "GET l", "DEL l", "LPUSH l a"}, {"HSET l f v", "DEL l", "RPUSH l a"}, {"RPUSH from a", "LMOVE from l LEFT LEFT"},
		} {
			name := strings.Join(lines, ", ")
			w.Start(background, name, "BLPOP l 0")
			for _, line := range lines {
				w.Want(name, "")
				w.Do(line)
			}
			w.Want(name, "*2 l a")
			w.Do("DEL l from")
		}
	})
}

func TestWaitingInTransactions(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		if got := w.Exec("BLPOP l 0", "BLMOVE l l LEFT LEFT 0", "BLMPOP 0 1 l LEFT"); got != "*3 *_ _ *_" {
			t.Errorf("a transaction replies %s", got)
		}
		w.Start(background, "first", "BLPOP l 0")
		w.Start(background, "second", "BLPOP l 0")
		w.Exec("RPUSH l a", "DEL l")
		w.Want("first", "")
		w.Exec("RPUSH l a", "DEL l", "SET l x")
		w.Exec("DEL l", "LPUSH l b", "LSET l 0 c", "LLEN l")
		w.Want("first", "*2 l c")
		w.Want("second", "")
		tx := w.Tx("RPUSH l a", "RPUSH l b", "LPOP l")
		w.Want("second", "")
		tx.Rollback()
		w.Want("second", "")
		if err := w.Tx("RPUSH l a", "RPUSH l b", "LPOP l").Commit(background); err != nil {
			t.Fatal(err)
		}
		w.Want("second", "*2 l b")
	})
}

func TestWaitingEnds(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		ctx, cancel := context.WithCancel(background)
		w.Start(ctx, "cancelled", "BLPOP l 0")
		w.Start(background, "late", "BLPOP l 0.0101")
		w.Start(background, "long", "BLPOP l m 1e15")
		w.Start(background, "move", "BLMOVE l m LEFT LEFT 0.02")
		cancel()
		time.Sleep(10 * time.Millisecond)
		w.Want("late", "")
		time.Sleep(time.Millisecond) // timeouts are rounded up to milliseconds
		w.Want("late", "*_")
		time.Sleep(10 * time.Millisecond)
		w.Want("move", "*_")
		if err := w.Err("cancelled"); err != context.Canceled {
			t.Errorf("the cancelled one ends with %v", err)
		}
		w.Do("RPUSH l a")
		w.Want("long", "*2 l a")
	})
}

// TestManyWaiting has many move elements in circles and pop them, at random, with contexts that end: none is lost, none is twice.
func TestManyWaiting(t *testing.T) {
	for seed := range int64(30) {
		waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
			const goroutines, each = 6, 60
			var mu sync.Mutex
			seen := make(map[string]int)
			took := func(values ...string) {
				mu.Lock()
				defer mu.Unlock()
				for _, v := range values {
					seen[v]++
				}
			}
			var group sync.WaitGroup
			for g := range goroutines {
				r := rand.New(rand.NewSource(seed*goroutines + int64(g)))
				key := func() string { return string(rune('a' + r.Intn(4))) }
				group.Go(func() {
					for i := range each {
						w.Do(fmt.Sprintf("RPUSH %s %d:%d", key(), g, i))
						switch r.Intn(4) {
						case 0:
							w.Do("BLMOVE " + key() + " " + key() + " LEFT RIGHT 0.001")
						case 1:
							if f := strings.Fields(w.Do("BLPOP " + key() + " " + key() + " 0.001")); len(f) == 3 {
								took(f[2])
							}
						case 2:
							if f := strings.Fields(w.Do("BLMPOP 0.002 2 " + key() + " " + key() + " LEFT COUNT 2")); len(f) > 3 {
								took(f[3:]...)
							}
						case 3:
							w.Exec("LMOVE "+key()+" "+key()+" LEFT LEFT", "RPUSH "+key()+" x", "RPOPLPUSH "+key()+" "+key())
							took("x")
						}
					}
				})
			}
			group.Wait()
			for _, key := range []string{"a", "b", "c", "d"} {
				if f := strings.Fields(w.Do("LPOP " + key + " 100000")); len(f) > 1 {
					took(f[1:]...)
				}
			}
			xs := seen["x"]
			delete(seen, "x")
			if xs%2 != 0 { // each was counted when pushed, and when popped
				t.Errorf("seed %d: %d", seed, xs)
			}
			for v, n := range seen {
				if n != 1 {
					t.Errorf("seed %d: %s comes %d times", seed, v, n)
				}
			}
			if len(seen) != goroutines*each {
				t.Errorf("seed %d: %d elements come, of %d", seed, len(seen), goroutines*each)
			}
			if used := w.Engine.Used(); used != 0 {
				t.Errorf("seed %d: %d bytes are counted of nothing", seed, used)
			}
		})
	}
}

// TestManyOnOneKey has the order kept among very many.
func TestManyOnOneKey(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		const many = 2000
		for i := range many {
			w.Start(background, strconv.Itoa(i), "BLPOP l 0")
		}
		for i := range many {
			w.Do("LPUSH l " + strconv.Itoa(i))
		}
		for i := range many {
			w.Want(strconv.Itoa(i), "*2 l "+strconv.Itoa(i))
		}
	})
}
