package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/drivertest"
	"github.com/peercache/peercache/data/tiered"
	"github.com/peercache/peercache/internal/redisserver"
)

// openTiered makes memory before a Redis.
func openTiered(t *testing.T, s *redisserver.Server) (*tiered.Driver, *data.Memory) {
	t.Helper()
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(Config{Addresses: []string{s.Socket}})
	if err != nil {
		t.Fatal(err)
	}
	levels, err := tiered.New([]data.Driver{m, d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := levels.Close(); err != nil {
			t.Error(err)
		}
	})
	return levels, m
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within 20 seconds: %s", what)
		}
	}
}

func TestContractOfTiered(t *testing.T) {
	s := redisserver.Start(t)
	drivertest.Run(t, func(t *testing.T) data.Driver {
		d, _ := openTiered(t, s)
		if err := data.New(d).Keys().FlushDB(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, "it hears of changes", func() bool { return d.Err() == nil })
		return d
	})
}

// Of two processes with memory before one Redis, each sees what the other one writes soon, and its own writes at once; neither ever goes back.
func TestStaleness(t *testing.T) {
	s := redisserver.Start(t)
	first, m := openTiered(t, s)
	second, _ := openTiered(t, s)
	until(t, "both hear of changes", func() bool { return first.Err() == nil && second.Err() == nil })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	writer, reader := data.New(first).Strings(), data.New(second).Strings()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for last := 0; ctx.Err() == nil; {
				text, _ := reader.Get(t.Context(), "n")
				n, _ := strconv.Atoi(text)
				if n < last {
					t.Errorf("%d after %d", n, last)
					return
				}
				last = n
			}
		})
	}
	var worst time.Duration
	for i := range 200 {
		want := fmt.Sprint(i + 1)
		if _, err := writer.Incr(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		if got, err := writer.Get(t.Context(), "n"); got != want {
			t.Errorf("its own write: %s, %v, want %s", got, err, want)
		}
		start := time.Now()
		until(t, "the other one sees it", func() bool { got, _ := reader.Get(t.Context(), "n"); return got == want })
		worst = max(worst, time.Since(start))
	}
	cancel()
	all.Wait()
	t.Logf("a change was seen within %v", worst)
	until(t, "there is a copy", func() bool {
		_, _ = writer.Get(t.Context(), "n")
		_, ok, _ := m.GetString(t.Context(), "n")
		return ok
	})
}

// While the connection for invalidations is broken no copy is read, and what was changed meanwhile is seen afterwards.
func TestBrokenInvalidations(t *testing.T) {
	s := redisserver.Start(t)
	d, m := openTiered(t, s)
	until(t, "it hears of changes", func() bool { return d.Err() == nil })
	c, past := data.New(d).Strings(), data.New(open(t, Config{Addresses: []string{s.Socket}}))
	for i := range 20 {
		want := fmt.Sprint(i)
		until(t, "it can be written", func() bool { return c.Set(t.Context(), "a", want) == nil }) // not on a connection that was killed
		until(t, "there is a copy", func() bool {
			_, _ = c.Get(t.Context(), "a")
			_, ok, _ := m.GetString(t.Context(), "a")
			return ok
		})
		tell(t, s.Socket, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		until(t, "Redis can be written past the levels", func() bool { return past.Strings().Set(t.Context(), "a", "other"+want) == nil })
		until(t, "the change is seen", func() bool { got, _ := c.Get(t.Context(), "a"); return got == "other"+want })
		until(t, "it hears of changes again", func() bool { return d.Err() == nil })
	}
	s.Stop()
	until(t, "the server is missed", func() bool { return d.Err() != nil })
	if got, err := c.Get(t.Context(), "a"); err == nil {
		t.Errorf("a copy is read while nobody tells of changes: %s", got)
	}
	if err := s.Run(); err != nil { // it has forgotten everything
		t.Fatal(err)
	}
	until(t, "it hears of changes", func() bool { return d.Err() == nil })
	if got, err := c.Get(t.Context(), "a"); got != "" || err == nil {
		t.Errorf("%q, %v, want nothing", got, err)
	}
}

// A cluster cannot tell of changes: an error, and no copies.
func TestInvalidationsOfCluster(t *testing.T) {
	nodes := startCluster(t, 1)
	d := open(t, Config{Addresses: nodes, Cluster: true})
	if err := d.Invalidations(t.Context(), func([]string) { t.Error("it was called") }); err == nil {
		t.Error("no error")
	}
}
