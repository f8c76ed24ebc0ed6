package data

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkLog has 64 clients set strings, by each policy. Redis' figure beside it: redis-benchmark -c 64 -t set -d 64, with appendfsync always or everysec.
func BenchmarkLog(b *testing.B) {
	for _, p := range []struct {
		name string
		opts []MemoryOption
	}{
		{"always", []MemoryOption{WithLog(b.TempDir(), LogSync(SyncAlways), LogReports(slog.New(slog.DiscardHandler)))}},
		{"interval", []MemoryOption{WithLog(b.TempDir(), LogReports(slog.New(slog.DiscardHandler)))}},
		{"never", []MemoryOption{WithLog(b.TempDir(), LogSync(SyncNever), LogReports(slog.New(slog.DiscardHandler)))}},
		{"none", nil},
	} {
		b.Run(p.name, func(b *testing.B) {
			m, err := NewMemory(p.opts...)
			if err != nil {
				b.Fatal(err)
			}
			defer m.Close()
			ctx, value := context.Background(), strings.Repeat("v", 64)
			keys := make([]string, 100_000)
			for i := range keys {
				keys[i] = fmt.Sprint("key:", i)
			}
			b.ResetTimer()
			b.ReportAllocs()
			var next atomic.Int64
			var clients sync.WaitGroup
			for range 64 {
				clients.Go(func() {
					w := builder{to: new(Reply)}
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						if err := m.Run(ctx, &w, "SET", keys[int(i)%len(keys)], value); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			b.StopTimer()
			if s := m.LogStats(); s.Syncs > 0 {
				b.ReportMetric(float64(b.N)/float64(s.Syncs), "commands/sync")
			}
		})
	}
}

// BenchmarkRestart loads 1 GiB of strings of 100 bytes (-benchtime 1x), from a snapshot and from a log. PEERCACHE_BENCH_RESTART is the number of strings.
func BenchmarkRestart(b *testing.B) {
	n := 100_000
	if s := os.Getenv("PEERCACHE_BENCH_RESTART"); s != "" {
		fmt.Sscan(s, &n)
	}
	ctx, value := context.Background(), strings.Repeat("v", 100)
	for _, rewritten := range []bool{true, false} {
		b.Run(fmt.Sprintf("snapshot=%t", rewritten), func(b *testing.B) {
			dir := b.TempDir()
			m, err := NewMemory(WithLog(dir, LogSync(SyncNever), LogRewriteAt(0, 0)))
			if err != nil {
				b.Fatal(err)
			}
			w := builder{to: new(Reply)}
			for i := range n {
				if err := m.Run(ctx, &w, "SET", fmt.Sprintf("key:%012d", i), value); err != nil {
					b.Fatal(err)
				}
			}
			if rewritten {
				began := time.Now()
				if err := m.RewriteLog(ctx); err != nil {
					b.Fatal(err)
				}
				b.Logf("rewritten in %v", time.Since(began))
			}
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
			m = nil
			bytes := int64(0)
			files, _ := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				if info, err := os.Stat(f); err == nil {
					bytes += info.Size()
				}
			}
			b.SetBytes(bytes)
			for b.Loop() {
				m, err := NewMemory(WithLog(dir, LogSync(SyncNever), LogRewriteAt(0, 0)))
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := m.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
