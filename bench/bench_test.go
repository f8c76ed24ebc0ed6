package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"
)

func TestMain(m *testing.M) {
	serveAsNode()
	os.Exit(m.Run())
}

// TestQuick runs each other comparison with little data, and looks at its tables.
func TestQuick(t *testing.T) {
	for _, c := range commands {
		if c.name == faults.name {
			continue // TestFaults looks at more than its tables
		}
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := run(&out, []string{c.name, "-quick"}); err != nil {
				t.Fatal(err)
			}
			t.Log(out.String())
			if !strings.Contains(out.String(), "GOMAXPROCS") {
				t.Error("the output does not say what machine it is from")
			}
			tables := tablesOf(out.String())
			if len(tables) == 0 {
				t.Fatal("no table")
			}
			for _, lines := range tables {
				checkTable(t, lines, c.name != invalidation.name && c.name != scale.name && c.name != idleCosts.name && c.name != hitRatio.name && c.name != dataBench.name)
			}
		})
	}
}

// tablesOf returns the lines of each table in text.
func tablesOf(text string) (tables [][]string) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		is := strings.HasPrefix(line, "|")
		switch {
		case is && !inside:
			tables = append(tables, []string{line})
		case is:
			tables[len(tables)-1] = append(tables[len(tables)-1], line)
		}
		inside = is
	}
	return tables
}

// checkTable checks a table of numbers: two rows at least, aligned, no cell
// without a number, and where others are compared with us ratios to ours, of which
// ours is 1 where it is listed.
func checkTable(t *testing.T, lines []string, others bool) {
	t.Helper()
	if len(lines) < 4 {
		t.Fatalf("want a head, a rule and two rows at least: %q", lines)
	}
	head := cellsOf(lines[0])
	if others && !strings.Contains(lines[0], "× ours") {
		t.Errorf("no ratios in the head %q", head)
	}
	if strings.Trim(lines[1], "|-:") != "" {
		t.Errorf("the second line %q is no rule", lines[1])
	}
	for _, line := range lines[1:] {
		if utf8.RuneCountInString(line) != utf8.RuneCountInString(lines[0]) {
			t.Errorf("not aligned with the head:\n%s\n%s", lines[0], line)
		}
	}
	for _, line := range lines[2:] {
		cells := cellsOf(line)
		if len(cells) != len(head) || cells[0] == "" {
			t.Fatalf("row %q does not fit the head %q", cells, head)
		}
		for i, cell := range cells[1:] {
			if head[i+1] == "target" || head[i+1] == "" {
				continue // a bound, and what became of it
			}
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil || v < 0 && head[i+1] != "difference" {
				t.Errorf("%s, %s: %q is no number", cells[0], head[i+1], cell)
			}
			if head[i+1] == "× ours" && strings.HasPrefix(cells[0], "peercache") && v != 1 {
				t.Errorf("%s: its ratio to itself is %v", cells[0], v)
			}
		}
	}
}

func cellsOf(line string) []string {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// TestStaleReadsAreSeen has a member for which a Remove does nothing.
func TestStaleReadsAreSeen(t *testing.T) {
	deaf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, 0)
		}
	}))
	defer deaf.Close()
	b := newStaleBench()
	b.urls = []string{deaf.URL + memberPath}
	b.read(0)
	b.write(0)
	if err := b.verdict(); err != nil {
		t.Fatalf("a read from before the Remove: %v", err)
	}
	b.read(0)
	if err := b.verdict(); err == nil || b.stale.Load() != 1 {
		t.Errorf("%d stale reads, error %v; want 1 and an error", b.stale.Load(), err)
	}
}

// TestUnknown: a wrong command line is an error that helps.
func TestUnknown(t *testing.T) {
	for _, args := range [][]string{{"lokal"}, {"-quick", "local"}, {"local", "-repeats", "0"}} {
		var out strings.Builder
		if err := run(&out, args); err == nil || out.Len() > 0 {
			t.Errorf("%q: error %v, output %q; want an error and no output", args, err, out.String())
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
}

// BenchmarkLocalHit is a hit by two goroutines, as `bench local` measures it, in Go's own harness.
func BenchmarkLocalHit(b *testing.B) {
	const entries = 100_000
	asked := zipfKeys(entries, 16*entries)
	for _, of := range []func(int) (localCache, error){newPeercache, newOtter} {
		c, err := of(entries)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(strings.Fields(c.name)[0], func(b *testing.B) {
			var workers, found atomic.Int64
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // RunParallel has a goroutine for each
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				at := int(workers.Add(1)) * len(asked) / 2
				sum := 0
				for pb.Next() {
					if at++; at >= len(asked) {
						at = 0
					}
					sum += c.get(asked[at])
				}
				found.Add(int64(sum))
			})
			if found.Load() != int64(b.N)*localValueBytes {
				b.Errorf("%d bytes were found in %d gets", found.Load(), b.N)
			}
		})
		c.close()
	}
}
