package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/golang/groupcache"
	"github.com/maypok86/otter/v2"

	"github.com/peercache/peercache"
)

var misses = command{
	name:  "misses",
	about: "getting a key that is cached nowhere, so that it is loaded",
	run:   runMisses,
}

const (
	missBytes = 64 << 20 // of each cache
	missValue = 1 << 10
	missWait  = 100 * time.Microsecond // of the slower origin
)

var missCallers = [...]int{1, 8, 64}

func runMisses(w io.Writer, m measuring) error {
	fmt.Fprintf(w, `
%d-byte values, each key asked for once, caches of %d MiB that are full: a load puts its value into the cache, and another
one leaves. c goroutines ask, each for one key at a time; median of %d turns of %v each, in turns. The origin answers
at once, or after %v: it looks at the clock and lets others run, because a sleep as short as that takes longer.
`, missValue, missBytes>>20, m.repeats, m.turn, missWait)
	var t targets
	for _, wait := range []time.Duration{0, missWait} {
		if err := m.misses(w, wait, &t); err != nil {
			return err
		}
	}
	t.print(w, "Targets, ours to the better of the two")
	return nil
}

// misses compares loads from an origin that answers after wait.
func (m measuring) misses(w io.Writer, wait time.Duration, t *targets) error {
	subjects, closeAll, err := m.loaders(wait)
	if err != nil {
		return err
	}
	defer closeAll()
	figures := make([][]figure, len(missCallers))
	head := []string{""}
	for i, callers := range missCallers {
		figures[i] = m.sideBySide(callers, subjects)
		head = append(head, fmt.Sprintf("c=%d µs a load", callers), "× ours")
	}
	origin := "An origin that answers at once"
	if wait > 0 {
		origin = fmt.Sprintf("An origin that takes %v", wait)
	}
	fmt.Fprintf(w, "\n%s:\n", origin)
	tab := newTable(append(head, "allocs")...)
	for i, s := range subjects {
		row := []any{s.name}
		for _, f := range figures {
			row = append(row, us(f[i].ns), f[i].ns/f[0].ns)
		}
		tab.add(append(row, figures[0][i].allocs)...)
	}
	for i, callers := range missCallers {
		better := min(figures[i][1].ns, figures[i][2].ns)
		t.add(fmt.Sprintf("%s, c=%d, time of a load", origin, callers), figures[i][0].ns/better, true, 1)
	}
	return tab.print(w)
}

// loaders returns what loads from an origin that answers after wait: peercache, groupcache and
// otter, all of them full.
func (m measuring) loaders(wait time.Duration) (subjects []subject, closeAll func(), err error) {
	ctx := context.Background()
	group, err := peercache.NewGroup("bench", missBytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		return originValue(wait), nil
	}))
	if err != nil {
		return nil, nil, err
	}
	groupcacheGroups++
	theirs := groupcache.NewGroup(fmt.Sprint("bench", groupcacheGroups), missBytes,
		groupcache.GetterFunc(func(_ context.Context, _ string, dest groupcache.Sink) error {
			return dest.SetBytes(originValue(wait))
		}))
	cache, err := otter.New(&otter.Options[string, []byte]{
		MaximumWeight: missBytes,
		Weigher:       func(key string, value []byte) uint32 { return uint32(len(key) + len(value)) },
	})
	if err != nil {
		return nil, nil, err
	}
	load := otter.LoaderFunc[string, []byte](func(context.Context, string) ([]byte, error) { return originValue(wait), nil })

	subjects = []subject{
		missing("peercache Group.Get", func(key string) int {
			view, _ := group.Get(ctx, key)
			return view.Len()
		}),
		missing("golang/groupcache Group.Get", func(key string) int {
			var view groupcache.ByteView
			theirs.Get(ctx, key, groupcache.ByteViewSink(&view))
			return view.Len()
		}),
		missing("otter v2 Get with a loader", func(key string) int {
			value, _ := cache.Get(ctx, key, load)
			return len(value)
		}),
	}
	fill := 2 * missBytes / missValue
	if m.quick {
		fill = 100
	}
	for _, s := range subjects {
		if wait == 0 || m.quick { // else it takes its time, and the turns that warm up do it
			s.do(0, fill)
		}
	}
	return subjects, func() { cache.StopAllGoroutines() }, nil
}

// missing returns a subject that asks for keys that nobody has asked for before.
func missing(name string, get func(key string) int) subject {
	asked := new(atomic.Uint64)
	return subject{name, func(_, n int) (sum int) {
		from := asked.Add(uint64(n)) - uint64(n)
		key := []byte("user:")
		for i := range uint64(n) {
			sum += get(string(strconv.AppendUint(key, 1e11+from+i, 10)))
		}
		return sum
	}}
}

// originValue makes a value. It takes as long as wait.
func originValue(wait time.Duration) []byte {
	if wait > 0 {
		for start := time.Now(); time.Since(start) < wait; {
			runtime.Gosched()
		}
	}
	return make([]byte, missValue)
}
