package lists_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
	"github.com/peercache/peercache/data/internal/waittest"
)

// TestRandomTx rolls random transactions back, or a part of them, and compares what is there with what was.
func TestRandomTx(t *testing.T) {
	for seed := range int64(300) {
		waittest.Run(t, func(t *testing.T, w *waittest.Waiting) {
			r := rand.New(rand.NewSource(seed))
			state := func() string {
				var b strings.Builder
				for i := range 4 {
					key := fmt.Sprint("list:", i)
					fmt.Fprintln(&b, w.Do("TYPE "+key), w.Do("LRANGE "+key+" 0 -1"))
				}
				return b.String()
			}
			for range 6 {
				var lines []string
				for range 1 + r.Intn(30) {
					if args := generate(r); !slices.Contains(args, "") {
						lines = append(lines, strings.Join(args, " "))
					}
				}
				before := state()
				w.Tx(lines...).Rollback()
				if after := state(); after != before {
					t.Fatalf("seed %d: after %q\n%swas\n%s", seed, lines, after, before)
				}
				half := len(lines) / 2
				if err := w.Tx(lines[:half]...).Commit(background); err != nil {
					t.Fatal(err)
				}
				before = state()
				tx := w.Tx(lines[half:]...)
				if err := tx.BackTo(0); err != nil {
					t.Fatal(err)
				}
				if err := tx.Commit(background); err != nil {
					t.Fatal(err)
				}
				if after := state(); after != before {
					t.Fatalf("seed %d: after the second half of %q\n%swas\n%s", seed, lines, after, before)
				}
			}
			w.Do("DEL list:0 list:1 list:2 list:3")
			if got := w.Engine.Used(); got != 0 {
				t.Errorf("seed %d: %d bytes are counted of nothing", seed, got)
			}
		})
	}
}

// strict is a Writer that keeps nothing, and panics at an error.
type strict struct{ enginetest.Nowhere }

func (strict) Error(s string) { panic(s) }

// BenchmarkCommands runs commands of time O(1) in as many goroutines as there are processors, each on lists of its own, of
// 1000 elements.
func BenchmarkCommands(b *testing.B) {
	for _, lines := range [][]string{
		{"LPUSH l 0123456789", "RPOP l"}, {"RPUSH l 0123456789", "LPOP l"}, {"LPUSH e 0123456789", "RPOP e"}, {"LLEN l"}, {"LINDEX l 0"}, {"LINDEX l -1"}, {"LRANGE l 0 9"},
		{"LMOVE l m RIGHT LEFT", "RPOPLPUSH m l"}, {"BLPOP l 0", "RPUSH l 0123456789"}, {"LMPOP 1 l LEFT", "RPUSH l 0123456789"}, {"LSET l 0 9876543210"},
		{"CPUSH c 0123456789", "CPOP c 1"}, {"CLEN c"},
	} {
		b.Run(strings.Join(lines, ","), func(b *testing.B) {
			e := enginetest.New(b, engine.Config{})
			names := make(chan string, 1000)
			for i := range 1000 {
				names <- fmt.Sprint(":", i)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				own := <-names
				run := func(args []string) {
					if err := e.Run(context.Background(), e.Commands().Find(args[0]), args, strict{}); err != nil {
						b.Error(err)
					}
				}
				words := func(line string) []string {
					args := strings.Fields(line)
					for i, arg := range args {
						if len(arg) == 1 && arg >= "a" {
							args[i] += own
						}
					}
					return args
				}
				for range 1000 {
					run(words("RPUSH l 0123456789"))
					run(words("RPUSH m 0123456789"))
				}
				run(words("CMAKE c 10"))
				var commands [][]string
				for _, line := range lines {
					commands = append(commands, words(line))
				}
				for pb.Next() {
					for _, args := range commands {
						run(args)
					}
				}
			})
		})
	}
}
