package enginetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
)

// CheckUndone runs random commands, n at a time, and after each time rolls back a transaction of others. It fails the test if
// state, which returns what keys have, is then not as before, or if memory is counted when no key is left.
func CheckUndone(t *testing.T, seed uint64, n int, state func(*testing.T, *engine.Engine) map[string]string, command func() []string) {
	t.Helper()
	e := New(t, engine.Config{})
	for range 3 {
		for range n {
			Run(t, e, command()...)
		}
		before := state(t, e)
		tx, err := e.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for range n / 2 {
			args := command()
			if err := tx.Run(e.Commands().Find(args[0]), args, Nowhere{}); err != nil {
				t.Fatal(err)
			}
		}
		tx.Rollback()
		if after := state(t, e); !maps.Equal(after, before) {
			t.Fatalf("seed %d: %.500q\nwant %.500q", seed, after, before)
		}
	}
	checkNothingCounted(t, e)
}

// checkNothingCounted deletes all keys. No memory may be counted then.
func checkNothingCounted(t *testing.T, e *engine.Engine) {
	t.Helper()
	for _, key := range Run(t, e, "KEYS", "*") {
		Run(t, e, "DEL", key)
	}
	if used := e.Used(); used != 0 {
		t.Fatalf("%d bytes are counted for no keys", used)
	}
}

// CheckAtTheSameTime runs random commands in several goroutines, for the race detector. It fails the test if memory is
// counted when no key is left.
func CheckAtTheSameTime(t *testing.T, command func(r *rand.Rand) []string) {
	t.Helper()
	e := New(t, engine.Config{})
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 0))
			for range 3000 {
				Run(t, e, command(r)...)
			}
		})
	}
	wg.Wait()
	checkNothingCounted(t, e)
}

// CheckScan fails the test if a command like HSCAN does not find an element that stays while others come and go and the
// value changes its form, finds one that never was, or does not heed COUNT. width is how many texts it replies for each
// element. add adds an element to the key k, and changes are what happens meanwhile. In them STAYS stands for an element that
// stays, GOES for another one, and NUMBER for a digit.
func CheckScan(t *testing.T, scan string, width int, add string, changes ...string) {
	t.Helper()
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 0))
		e := New(t, engine.Config{})
		run := func(form string, stays int) {
			texts := strings.NewReplacer("STAYS", strconv.Itoa(stays), "GOES", fmt.Sprint("goes", r.IntN(1000)), "NUMBER", strconv.Itoa(r.IntN(10)))
			Run(t, e, strings.Fields(texts.Replace(form))...)
		}
		stay := 1 + r.IntN(600)
		for i := range stay {
			run(add, i)
		}
		seen := map[string]bool{}
		for cursor, first := "0", true; cursor != "0" || first; first = false {
			reply := Run(t, e, scan, "k", cursor, "COUNT", strconv.Itoa(1+r.IntN(30)))
			cursor = reply[0]
			for element := range slices.Chunk(reply[1:], width) {
				seen[element[0]] = true
			}
			for range r.IntN(60) {
				run(changes[r.IntN(len(changes))], r.IntN(stay))
			}
		}
		for i := range stay {
			if !seen[strconv.Itoa(i)] {
				t.Fatalf("seed %d: %d is not found", seed, i)
			}
			delete(seen, strconv.Itoa(i))
		}
		for name := range seen {
			if !strings.HasPrefix(name, "goes") {
				t.Fatalf("seed %d: %q is found", seed, name)
			}
		}
	}
	e := New(t, engine.Config{})
	for i := range 2000 {
		Run(t, e, strings.Fields(strings.ReplaceAll(add, "STAYS", strconv.Itoa(i)))...)
	}
	if n := len(Run(t, e, scan, "k", "0", "COUNT", "50")[1:]) / width; n < 50 || n > 100 {
		t.Fatalf("%s k 0 COUNT 50 replies %d elements", scan, n)
	}
}

// Events runs commands, which "; " separates, and returns the events that they have, separated in the same way.
func Events(t *testing.T, lines string) string {
	t.Helper()
	var got []string
	e := New(t, engine.Config{})
	e.OnEvent(^engine.Class(0), func(_ engine.Class, event, key string) { got = append(got, event+" "+key) })
	for line := range strings.SplitSeq(lines, "; ") {
		Run(t, e, strings.Fields(line)...)
	}
	return strings.Join(got, "; ")
}
