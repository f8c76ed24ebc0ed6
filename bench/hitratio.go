package main

import (
	"fmt"
	"io"
	"os"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"

	"github.com/peercache/peercache/internal/store"
)

var hitRatio = command{
	name:  "hitratio",
	about: "how often a key is there that is asked for, on recorded and generated requests",
	run:   runHitRatio,
}

// hitRatioValue is the length of the values in our store, whose size is in bytes: such that
// as many entries fit as the others are allowed.
const hitRatioValue = 1000

const (
	// hitRatioTarget is by how many points ours may be below the best of LRU, S3-FIFO and otter.
	hitRatioTarget = 0.5
	// hitRatioRuns is how often ours is asked for each trace: which keys it samples is chance.
	hitRatioRuns = 3
)

func runHitRatio(w io.Writer, m measuring) error {
	traces, err := hitRatioTraces(w, m.quick)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\npercent; the optimum knows the future (Belady). Zipf is math/rand/v2's with v = 1.\n")
	fmt.Fprintf(w, "Ours is the mean of %d runs. Best is the best of LRU, S3-FIFO and otter, and the difference is in points:\n"+
		"above zero, ours is better.\n", hitRatioRuns)
	t := newTable("requests, entries", "ours", "LRU", "SIEVE", "S3-FIFO", "otter v2", "ristretto v2", "optimum", "best", "difference", "target", "")
	for _, tr := range traces {
		for _, entries := range tr.sizes {
			row, err := hitRatioRow(tr, entries)
			if err != nil {
				return err
			}
			t.add(row...)
		}
	}
	return t.print(w)
}

// hitRatioTraces returns the recorded traces, if there are any, and the generated ones.
func hitRatioTraces(w io.Writer, quick bool) (traces []trace, err error) {
	if quick {
		return []trace{
			zipfTrace("Zipf 1.05", 1.05, 10_000, 20_000, 0, 200),
			loopTrace("loop of 1,000", 1000, 20_000, 300),
		}, nil
	}
	if _, err := os.Stat(tracesDir()); err != nil {
		fmt.Fprintf(w, "\nno recorded traces: there is no %s\n", tracesDir())
	} else {
		oltp, err := recorded("oltp", readRanges, 857, 1000, 3734, 5000, 79_605)
		if err != nil {
			return nil, err
		}
		gli, err := recorded("gli", readLines, 207, 500, 1000)
		if err != nil {
			return nil, err
		}
		corda, err := recorded("corda", readWords, 1024, 30_000)
		if err != nil {
			return nil, err
		}
		traces = append(traces, oltp, gli, corda)
	}
	return append(traces,
		zipfTrace("Zipf 1.05, 1M keys", 1.05, 1_000_000, 2_000_000, 0, 10_000),
		zipfTrace("the same, a tenth scans", 1.05, 1_000_000, 2_000_000, 0.1, 10_000),
		zipfTrace("Zipf 1.1, 100k keys, two fifths scans", 1.1, 100_000, 600_000, 0.4, 1000, 5000),
		loopTrace("loop of 3,000", 3000, 200_000, 1000),
		loopTrace("loop of 30,000", 30_000, 600_000, 10_000),
		loopTrace("loop of 5,000", 5000, 200_000, 1000, 4000),
		shiftTrace("Zipf 1.01 that shifts", 1.01, 50_000, 1_000_000, 100_000, 1000, 5000),
	), nil
}

// hitRatioRow asks each cache for all of a trace.
func hitRatioRow(t trace, entries int) ([]any, error) {
	ours, err := ourHitRatio(t, entries)
	if err != nil {
		return nil, err
	}
	otter, stop, err := otterPolicy(entries)
	if err != nil {
		return nil, err
	}
	defer stop()
	ristretto, stop, err := ristrettoPolicy(entries)
	if err != nil {
		return nil, err
	}
	defer stop()
	row := []any{fmt.Sprintf("%s, %d", t.name, entries), ours}
	var percent []float64
	for _, get := range []func(uint32) bool{lruPolicy(entries), sievePolicy(entries), s3fifoPolicy(entries), otter, ristretto} {
		percent = append(percent, t.hitRatio(get))
		row = append(row, percent[len(percent)-1])
	}
	row = append(row, 100*float64(optimum(t, entries))/float64(len(t.keys)))
	best := max(percent[0], percent[2], percent[3])
	verdict := "ok"
	if ours < best-hitRatioTarget {
		verdict = "missed"
	}
	return append(row, best, fmt.Sprintf("%+.1f", ours-best), fmt.Sprintf("≥ -%.1f", hitRatioTarget), verdict), nil
}

// hitRatio asks a cache for all of a trace, and returns how often it had the key, in percent.
func (t trace) hitRatio(get func(key uint32) bool) float64 {
	hits := 0
	for _, key := range t.keys {
		if get(key) {
			hits++
		}
	}
	return 100 * float64(hits) / float64(len(t.keys))
}

// ourHitRatio returns the mean of some runs of our store, as a Group uses it.
func ourHitRatio(t trace, entries int) (percent float64, err error) {
	keys := make([]string, t.distinct)
	for i := range keys {
		keys[i] = hitRatioKey(i)
	}
	maxBytes, err := bytesFor(entries)
	if err != nil {
		return 0, err
	}
	for range hitRatioRuns {
		s, err := store.New(store.Config{MaxBytes: maxBytes})
		if err != nil {
			return 0, err
		}
		percent += t.hitRatio(ourPolicy(s, keys)) / hitRatioRuns
	}
	return percent, nil
}

func ourPolicy(s *store.Store, keys []string) func(key uint32) bool {
	value := make([]byte, hitRatioValue)
	return func(key uint32) bool {
		if _, ok := s.Get(keys[key]); ok {
			return true
		}
		s.Add(keys[key], value, 0, 0)
		return false
	}
}

func hitRatioKey(i int) string { return fmt.Sprintf("key-%08d", i) }

// bytesFor returns the most bytes with which a store that was filled has no more than so many
// entries.
func bytesFor(entries int) (int64, error) {
	value := make([]byte, hitRatioValue)
	least, most := int64(1), int64(entries+100)*(hitRatioValue+1000)
	for most-least > hitRatioValue/2 {
		middle := (least + most) / 2
		s, err := store.New(store.Config{MaxBytes: middle})
		if err != nil {
			return 0, err
		}
		for i := range 3 * entries {
			s.Add(hitRatioKey(i), value, 0, 0)
		}
		if s.Stats().Items <= int64(entries) {
			least = middle
		} else {
			most = middle
		}
	}
	return least, nil
}

func otterPolicy(entries int) (get func(key uint32) bool, stop func(), err error) {
	cache, err := otter.New(&otter.Options[uint32, struct{}]{
		MaximumSize: entries,
		Executor:    func(task func()) { task() }, // at once
	})
	if err != nil {
		return nil, nil, err
	}
	return func(key uint32) bool {
		if _, ok := cache.GetIfPresent(key); ok {
			return true
		}
		cache.Set(key, struct{}{})
		cache.CleanUp()
		return false
	}, func() { cache.StopAllGoroutines() }, nil
}

func ristrettoPolicy(entries int) (get func(key uint32) bool, stop func(), err error) {
	cache, err := ristretto.NewCache(&ristretto.Config[uint32, struct{}]{
		NumCounters:        int64(10 * entries),
		MaxCost:            int64(entries),
		BufferItems:        64,
		IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, nil, err
	}
	return func(key uint32) bool {
		if _, ok := cache.Get(key); ok {
			return true
		}
		cache.Set(key, struct{}{}, 1)
		cache.Wait()
		return false
	}, cache.Close, nil
}
