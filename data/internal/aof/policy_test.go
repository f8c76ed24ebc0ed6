package aof

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data/internal/disk"
	"github.com/peercache/peercache/data/internal/simdisk"
)

// nothing is a Store without data.
type nothing struct{}

func (nothing) Replaying(bool)             {}
func (nothing) Load([]byte) error          { return nil }
func (nothing) Replay(string) error        { return nil }
func (nothing) ShardOf(string) (int, bool) { return 0, true }
func (nothing) Snapshot(_ context.Context, begin func() error, _ func([]byte) error) error {
	return begin()
}

// slow is a disk whose syncs of segments take time, once it is started.
type slow struct {
	*simdisk.Disk
	mu   *sync.Mutex
	took *atomic.Int64 // nanoseconds
}

func (s slow) Create(name string) (disk.File, error) {
	f, err := s.Disk.Create(name)
	return slowFile{f, s}, err
}

type slowFile struct {
	disk.File
	s slow
}

func (f slowFile) Sync() error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	time.Sleep(time.Duration(f.s.took.Load()))
	return f.File.Sync()
}

// started returns a log that runs.
func started(t *testing.T, d disk.Disk, opts Options) *Log {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := New(d, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Recover(nothing{}); err != nil {
		t.Fatal(err)
	}
	l.Start()
	return l
}

// Clients that write at the same time share syncs: nearly all of them one.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, each = 64, 50
		var took atomic.Int64
		l := started(t, slow{simdisk.New(rand.New(rand.NewPCG(1, 1))), new(sync.Mutex), &took}, Options{Sync: Always})
		took.Store(int64(time.Millisecond))
		var running sync.WaitGroup
		for range clients {
			running.Go(func() {
				for range each {
					position, err := l.Append([]byte("record"))
					if err == nil {
						err = l.Wait(context.Background(), position)
					}
					if err != nil || l.Durable() < position {
						t.Errorf("durable up to %d, want %d: %v", l.Durable(), position, err)
					}
					time.Sleep(100 * time.Microsecond) // until its next command
				}
			})
		}
		running.Wait()
		if syncs := l.Stats().Syncs; syncs > 2*each {
			t.Errorf("%d syncs of %d records by %d clients", syncs, clients*each, clients)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Where a sync takes longer than an interval, what writes waits for it, and that is reported.
func TestD3SlowDiskHoldsUpWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took atomic.Int64
		var reports strings.Builder
		l := started(t, slow{simdisk.New(rand.New(rand.NewPCG(1, 1))), new(sync.Mutex), &took},
			Options{Sync: Interval, Interval: time.Second, Logger: slog.New(slog.NewTextHandler(&reports, nil))})
		took.Store(int64(5 * time.Second))
		oldest := time.Duration(0) // that was acknowledged and not durable
		times := make(map[uint64]time.Time)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			position, err := l.Append([]byte("record"))
			if err != nil {
				t.Fatal(err)
			}
			times[position] = time.Now()
			for p, at := range times {
				if p <= l.Durable() {
					delete(times, p)
				} else if p < position {
					oldest = max(oldest, times[position].Sub(at))
				}
			}
		}
		// Between the oldest record that a crash loses and the last one that was acknowledged are two intervals, and no more.
		if limit := 2*time.Second + 100*time.Millisecond; oldest > limit || oldest < time.Second {
			t.Errorf("%v were acknowledged and not durable, want at most %v", oldest, limit)
		}
		if s := l.Stats(); s.LateSyncs == 0 || s.Stalls == 0 || !strings.Contains(reports.String(), "too slow") {
			t.Errorf("figures %+v, reports %q", s, reports.String())
		}
		took.Store(0)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A full disk is tried again until there is room; nothing that was appended is lost. A sync that fails is the end.
func TestD3DiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := simdisk.New(rand.New(rand.NewPCG(1, 1)))
		l := started(t, d, Options{Sync: Always})
		write := func() error {
			position, err := l.Append([]byte("record"))
			if err != nil {
				return err
			}
			return l.Wait(context.Background(), position)
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
		l.flushing.Lock()
		d.Capacity = d.Used() + 10
		l.flushing.Unlock()
		if err := write(); !errors.Is(err, syscall.ENOSPC) || l.Err() == nil {
			t.Fatalf("a record was written to a full disk: %v, %v", err, l.Err())
		}
		l.flushing.Lock()
		d.Capacity = 0
		l.flushing.Unlock()
		time.Sleep(2 * fullPause)
		if l.Err() != nil || l.Durable() != l.Position() {
			t.Fatalf("there is room again: %v, durable %d of %d", l.Err(), l.Durable(), l.Position())
		}
		l.flushing.Lock()
		d.Before = func(op, name string) error {
			if op == "sync" {
				return syscall.EIO
			}
			return nil
		}
		l.flushing.Unlock()
		if err := write(); err == nil {
			t.Fatal("a record was acknowledged whose sync failed")
		}
		l.flushing.Lock()
		d.Before = nil
		l.flushing.Unlock()
		if err := write(); err == nil || l.Err() == nil {
			t.Fatal("a log goes on after a sync that failed")
		}
		l.Close()
	})
}
