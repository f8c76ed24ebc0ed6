package channels_test

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data/internal/waittest"
)

var background = context.Background()

func TestReplies(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
		for _, test := range [][2]string{
			{"CMAKE c 0", "-ERR capacity should be greater than 0"}, {"CMAKE c x", "-ERR capacity should be greater than 0"},
			{"CPUSH c a", "-ERR no such channel"}, {"CPOP c 1", "-ERR no such channel"}, {"CLEN c", ":0"}, {"CCLEAN c", ":0"},
			{"CMAKE c 3", "OK"}, {"CMAKE c 3", "OK"}, {"CMAKE c 4", "-ERR the channel exists with another capacity"},
			{"TYPE c", "channel"}, {"OBJECT ENCODING c", "channel"}, {"CLEN c", ":0"}, {"EXISTS c", ":1"},
			{"CPUSH c a", "OK"}, {"CPUSH c b 0", "OK"}, {"CPUSH c 3 1.5", "OK"}, {"CLEN c", ":3"},
			{"CPUSH c x abc", "-ERR timeout is not a float or out of range"}, {"CPUSH c x -1", "-ERR timeout is negative"}, {"CPUSH c x 1 1", "-ERR wrong number of arguments for 'cpush' command"},
			{"CPOP c 0", "-ERR count should be greater than 0"}, {"CPOP c x", "-ERR count should be greater than 0"}, {"CPOP c 4", "-ERR count is greater than the capacity of the channel"},
			{"CPOP c 1 x", "-ERR timeout is not a float or out of range"}, {"CPOP c 1 1 1", "-ERR wrong number of arguments for 'cpop' command"},
			{"CPOP c 2", "*2 a b"}, {"CCLEAN c", ":1"}, {"CCLEAN c", ":0"}, {"EXISTS c", ":1"}, {"DEL c", ":1"}, {"CPOP c 1", "-ERR no such channel"},
			{"SET s x", "OK"}, {"CMAKE s 1", wrong}, {"CPUSH s a", wrong}, {"CPOP s 1", wrong}, {"CLEN s", wrong}, {"CCLEAN s", wrong},
			{"CMAKE c 1", "OK"}, {"LPUSH c x", wrong}, {"GET c", wrong},
		} {
			if got := w.Do(test[0]); got != test[1] {
				t.Errorf("%s replies %q, want %q", test[0], got, test[1])
			}
		}
	})
}

func TestWaiting(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		w.Do("CMAKE c 2")
		w.Start(background, "pop two", "CPOP c 2")
		w.Start(background, "pop one", "CPOP c 1")
		w.Do("CPUSH c a")
		w.Want("pop two", "") // and nobody takes what it waits for
		w.Want("pop one", "")
		w.Start(background, "pop late", "CPOP c 1 0.5")
		time.Sleep(499 * time.Millisecond)
		w.Want("pop late", "")
		time.Sleep(time.Millisecond)
		w.Want("pop late", "_")
		w.Do("CPUSH c b")
		w.Want("pop two", "*2 a b")
		w.Do("CPUSH c c")
		w.Want("pop one", "*1 c")

		w.Do("CPUSH c 1")
		w.Do("CPUSH c 2")
		for i := range 5 {
			w.Start(background, fmt.Sprint("push ", i), fmt.Sprint("CPUSH c p", i))
		}
		w.Start(background, "push late", "CPUSH c late 1")
		if got := w.Do("CPOP c 1"); got != "*1 1" {
			t.Errorf("the first value is %s", got)
		}
		w.Want("push 0", "OK")
		w.Want("push 1", "")
		if got := w.Do("CCLEAN c"); got != ":2" {
			t.Errorf("CCLEAN replies %s, want :2", got)
		}
		w.Want("push 2", "OK")
		w.Want("push 3", "")
		time.Sleep(time.Second)
		w.Want("push late", "_")
		w.Start(background, "pop", "CPOP c 2")
		w.Want("pop", "*2 p1 p2")
		w.Want("push 4", "OK")
		if got := w.Do("CPOP c 2"); got != "*2 p3 p4" {
			t.Errorf("CPOP replies %s", got)
		}
		if want := "CPUSH c p3|CPUSH c p4|CPOP c 2"; !strings.HasSuffix(strings.Join(w.Log, "|"), want) {
			t.Errorf("the log ends with %q, want %s", w.Log, want)
		}
	})
}

// TestFirstGivesUp has those behind the first one have their turn when it waits no more.
func TestFirstGivesUp(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		w.Do("CMAKE c 5")
		ctx, cancel := context.WithCancel(background)
		w.Start(ctx, "five", "CPOP c 5")
		w.Start(background, "one", "CPOP c 1")
		w.Do("CPUSH c a")
		w.Want("one", "")
		cancel()
		w.Want("one", "*1 a")
		if err := w.Err("five"); err != context.Canceled {
			t.Errorf("the first one ends with %v", err)
		}
	})
}

func TestChannelThatGoes(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		w.Do("CMAKE c 5")
		w.Start(background, "three", "CPOP c 3")
		w.Start(background, "one", "CPOP c 1")
		w.Do("DEL c")
		w.Do("SET c x")
		w.Want("three", "")
		w.Do("DEL c")
		w.Do("CMAKE c 2")
		w.Want("three", "-ERR count is greater than the capacity of the channel")
		w.Do("CMAKE d 2")
		w.Do("CPUSH d x")
		w.Do("RENAME d c")
		w.Want("one", "*1 x")
	})
}

func TestTransactions(t *testing.T) {
	waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
		w.Do("CMAKE c 2")
		if got := w.Exec("CPOP c 1", "CPUSH c a", "CPUSH c b", "CPUSH c c", "CPOP c 2"); got != "*5 _ OK OK _ *2 a b" {
			t.Errorf("the transaction replies %s", got)
		}
		w.Start(background, "pop", "CPOP c 2")
		tx := w.Tx("CPUSH c a", "CPUSH c b", "CPOP c 1", "CCLEAN c", "CPUSH c c")
		if err := tx.BackTo(4); err != nil {
			t.Fatal(err)
		}
		tx.Rollback()
		w.Want("pop", "")
		if got := w.Do("CLEN c"); got != ":0" {
			t.Errorf("after a rollback there are %s", got)
		}
		tx = w.Tx("CPUSH c a", "CPUSH c b", "CPOP c 1", "CPUSH c c")
		if err := tx.Commit(background); err != nil {
			t.Fatal(err)
		}
		w.Want("pop", "*2 b c")
		used := w.Engine.Used()
		w.Tx("CPUSH c 1", "CPUSH c 2", "CPOP c 2", "CPUSH c 3", "CCLEAN c", "DEL c", "CMAKE c 7").Rollback()
		if got := w.Engine.Used(); got != used {
			t.Errorf("%d bytes are counted after a rollback, %d before", got, used)
		}
		if got := w.Do("CMAKE c 2"); got != "OK" {
			t.Errorf("the channel is not what it was: %s", got)
		}
	})
}

// TestManyWaiting has many push and pop at random, with contexts that end, and counts what has come through: each value once, those of
// one who pushes in their order.
func TestManyWaiting(t *testing.T) {
	for seed := range int64(50) {
		waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
			r := rand.New(rand.NewSource(seed))
			capacity := 1 + r.Intn(5)
			w.Do("CMAKE c " + strconv.Itoa(capacity))
			w.Engine.Start()
			const pushers, each = 4, 50
			var group sync.WaitGroup
			for p := range pushers {
				group.Go(func() {
					for i := range each {
						if got := w.Do(fmt.Sprintf("CPUSH c %d:%d", p, i)); got != "OK" {
							t.Errorf("CPUSH replies %s", got)
						}
					}
				})
			}
			next := make([]int, pushers)
			for got := 0; got < pushers*each; {
				n := min(1+r.Intn(capacity), pushers*each-got)
				timeout := []string{"", " 0.001"}[r.Intn(2)]
				values := strings.Fields(w.Do(fmt.Sprint("CPOP c ", n, timeout)))
				if len(values) == 1 {
					continue // there was too little in time
				}
				for _, v := range values[1:] {
					var p, i int
					fmt.Sscanf(v, "%d:%d", &p, &i)
					if next[p] != i {
						t.Errorf("seed %d: %s comes, and not %d", seed, v, next[p])
					}
					next[p] = i + 1
					got++
				}
			}
			group.Wait()
			synctest.Wait()
			if got := w.Do("CLEN c"); got != ":0" {
				t.Errorf("seed %d: %s values are left", seed, got)
			}
		})
	}
}

// TestRandomTx rolls random transactions back, and compares what is there.
func TestRandomTx(t *testing.T) {
	for seed := range int64(200) {
		waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
			r := rand.New(rand.NewSource(seed))
			command := func() string {
				key := string(rune('a' + r.Intn(3)))
				switch r.Intn(8) {
				case 0:
					return "CMAKE " + key + " 6"
				case 1:
					return "CPOP " + key + " " + strconv.Itoa(1+r.Intn(3))
				case 2:
					return []string{"CCLEAN ", "DEL "}[r.Intn(2)] + key
				case 3:
					return "RENAME " + key + " " + string(rune('a'+r.Intn(3)))
				}
				return "CPUSH " + key + " " + strconv.Itoa(r.Intn(1000))
			}
			var b strings.Builder
			state := func() string {
				b.Reset()
				for _, key := range []string{"a", "b", "c"} {
					copied := w.Do("COPY " + key + " copy REPLACE")
					fmt.Fprintln(&b, key, copied, w.Do("TYPE "+key), w.Exec("CPOP copy 6", "CPOP copy 5", "CPOP copy 4", "CPOP copy 3", "CPOP copy 2", "CPOP copy 1"))
					w.Do("DEL copy")
				}
				return b.String()
			}
			for range 10 {
				var lines []string
				for range 1 + r.Intn(20) {
					lines = append(lines, command())
				}
				before := state()
				w.Tx(lines...).Rollback()
				if after := state(); after != before {
					t.Fatalf("seed %d: after %q\n%swas\n%s", seed, lines, after, before)
				}
				if err := w.Tx(lines...).Commit(background); err != nil {
					t.Fatal(err)
				}
			}
			// A block may have another size than before, which must have been counted.
			w.Do("DEL a b c")
			if got := w.Engine.Used(); got != 0 {
				t.Errorf("seed %d: %d bytes are counted of nothing", seed, got)
			}
		})
	}
}
