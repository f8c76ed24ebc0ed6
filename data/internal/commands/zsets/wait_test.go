package zsets_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

// records is a Log that keeps the commands.
type records struct{ list []string }

func (r *records) Append(record []byte) (uint64, error) {
	err := engine.Commands(string(record), func(args []string) error {
		r.list = append(r.list, strings.Join(args, " "))
		return nil
	})
	return uint64(len(r.list)), err
}
func (r *records) Wait(context.Context, uint64) error { return nil }
func (r *records) Position() uint64                   { return uint64(len(r.list)) }
func (r *records) Err() error                         { return nil }

// waiting starts a command that waits, and returns when it does.
func waiting(t *testing.T, e *engine.Engine, args ...string) (*enginetest.Words, chan struct{}) {
	w, done := &enginetest.Words{}, make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(t.Context(), e.Commands().Find(args[0]), args, w); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	return w, done
}

// TestWaitFirstComeFirstServed has commands that wait served in their order, and the log get what they take.
func TestWaitFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &records{}
		e := newEngine(t, log)
		first, done1 := waiting(t, e, "BZPOPMIN", "none", "k", "0")
		second, done2 := waiting(t, e, "BZMPOP", "0", "2", "k", "other", "MAX", "COUNT", "2")
		third, done3 := waiting(t, e, "BZPOPMAX", "k", "0")
		run(t, e, "ZADD", "k", "1", "a", "2", "b", "3", "c", "4", "d")
		<-done1
		<-done2
		<-done3
		for i, want := range [][]string{{"k", "a"}, {"k", "d", "c"}, {"k", "b"}} {
			if got := [][]string{first.List, second.List, third.List}[i]; !slices.Equal(got, want) {
				t.Errorf("command %d got %q, want %q", i, got, want)
			}
		}
		want := []string{"ZADD k 1 a 2 b 3 c 4 d", "ZPOPMIN k 1", "ZPOPMAX k 2", "ZPOPMAX k 1"}
		if !slices.Equal(log.list, want) {
			t.Errorf("the log has %q, want %q", log.list, want)
		}
		if e.Len() != 0 {
			t.Error("an empty set has a key")
		}
	})
}

// TestWaitForWhatStores has each command that makes a sorted set serve who waits.
func TestWaitForWhatStores(t *testing.T) {
	for _, line := range []string{"ZADD k 1 a", "ZINCRBY k 1 a", "ZADD k INCR 1 a", "ZUNIONSTORE k 1 src", "ZINTERSTORE k 1 src", "ZDIFFSTORE k 1 src",
		"ZRANGESTORE k src 0 -1", "RENAME src k", "COPY src k"} {
		synctest.Test(t, func(t *testing.T) {
			e := newEngine(t, nil)
			run(t, e, "ZADD", "src", "1", "a")
			w, done := waiting(t, e, "BZPOPMIN", "k", "1")
			run(t, e, strings.Fields(line)...)
			<-done
			if !slices.Equal(w.List, []string{"k", "a"}) {
				t.Errorf("%s: who waits got %q", line, w.List)
			}
		})
	}
}

// TestWaitEnds has a command wait for its time, also while a key of another type comes, and not at all within a transaction.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, nil)
		start := time.Now()
		w, done := waiting(t, e, "BZPOPMIN", "k", "1.5")
		run(t, e, "SADD", "k", "a")
		run(t, e, "DEL", "k")
		<-done
		if took := time.Since(start); took != 1500*time.Millisecond || len(w.List) > 0 {
			t.Errorf("it took %v, and replied %q", took, w.List)
		}
		tx, err := e.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if err := tx.Run(e.Commands().Find("bzpopmin"), []string{"BZPOPMIN", "k", "0"}, w); err != nil {
			t.Error(err)
		}
	})
}
