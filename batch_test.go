package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// What a single Get says in the log and counts, a batch does: a panic at level error, each
// load at level debug.
func TestBatchIsLoggedAndCountedAsSingleLoads(t *testing.T) {
	for _, c := range []struct {
		name             string
		batch            func() ([]peercache.Item, error)
		says             []string
		errors, notFound int64
	}{
		{"panic", func() ([]peercache.Item, error) { panic("boom") }, []string{"level=ERROR", "the getter panicked", "stack="}, 2, 0},
		{"end of the goroutine", func() ([]peercache.Item, error) { runtime.Goexit(); return nil, nil }, []string{"level=ERROR"}, 2, 0},
		{"values", func() ([]peercache.Item, error) { return make([]peercache.Item, 2), nil }, []string{"msg=load group=test key=a", "msg=load group=test key=b"}, 0, 0},
		{"error", func() ([]peercache.Item, error) { return nil, errOutOfOrder }, []string{"key=b", "out of order"}, 2, 0},
		{"one is not there", func() ([]peercache.Item, error) {
			return make([]peercache.Item, 2), peercache.BatchError{nil, peercache.ErrNotFound}
		}, []string{`key=b took=0s err="not found"`}, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				getter := &batchOrigin{batch: func([]string) ([]peercache.Item, error) { return c.batch() }}
				g := newLocal(t, getter, peercache.WithLogger(logger))
				g.GetMulti(t.Context(), []string{"a", "b"})
				for _, want := range c.says {
					if !strings.Contains(log.String(), want) {
						t.Errorf("the log lacks %q: %s", want, log.String())
					}
				}
				if s := g.Stats(); s.Loads != 2 || s.LoadErrors != c.errors || s.NotFound != c.notFound {
					t.Errorf("%d loads, %d errors, %d not found: want 2, %d, %d", s.Loads, s.LoadErrors, s.NotFound, c.errors, c.notFound)
				}
			})
		})
	}
}

// waitingBatch is a getter whose GetBatch waits for the end of its context.
type waitingBatch struct{ ended chan error }

func (waitingBatch) Get(context.Context, string) (peercache.Item, error) {
	return peercache.Item{}, errOutOfOrder
}

func (w waitingBatch) GetBatch(ctx context.Context, _ []string) ([]peercache.Item, error) {
	<-ctx.Done()
	w.ended <- ctx.Err()
	return nil, ctx.Err()
}

// A batch ends when the load timeout has passed and, with WithCancelAbandoned, when the last
// caller that waits for one of its keys has left; each caller when his own context ends.
func TestP3BatchHonoursDeadlines(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []peercache.GroupOption
		want error
		at   time.Duration
	}{
		{"load timeout", nil, context.DeadlineExceeded, peercache.DefaultLoadTimeout},
		{"abandoned", []peercache.GroupOption{peercache.WithCancelAbandoned()}, context.Canceled, 3 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := waitingBatch{make(chan error, 1)}
				g := newLocal(t, w, c.opts...)
				start := time.Now()
				var callers sync.WaitGroup
				for seconds, keys := range [][]string{1: {"a", "b"}, 2: {"b"}, 3: {"a", "b"}} {
					if keys == nil {
						continue
					}
					callers.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
						defer cancel()
						for i, r := range g.GetMulti(ctx, keys) {
							if took := time.Since(start); !errors.Is(r.Err, context.DeadlineExceeded) || took != time.Duration(seconds)*time.Second {
								t.Errorf("%s: %v after %v, want the error of the context after %ds", keys[i], r.Err, took, seconds)
							}
						}
					})
					synctest.Wait()
				}
				if err := <-w.ended; err != c.want || time.Since(start) != c.at {
					t.Errorf("GetBatch ended with %v after %v: want %v after %v", err, time.Since(start), c.want, c.at)
				}
				callers.Wait()
			})
		})
	}
}

// A GetMulti whose context has ended begins no load, as a Get does not.
func TestP3BatchWithAnEndedContextLoadsNothing(t *testing.T) {
	getter := &batchOrigin{batch: func(keys []string) ([]peercache.Item, error) { return itemsOf(keys), nil }}
	g := newLocal(t, getter)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, r := range g.GetMulti(ctx, []string{"a", "b"}) {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("key %d: error %v", i, r.Err)
		}
	}
	if len(getter.batches) > 0 || g.Stats().Loads != 0 {
		t.Errorf("batches of %v keys were loaded", getter.batches)
	}
}

// A batch refuses the keys that Get refuses, and loads the others.
func TestBatchChecksItsKeys(t *testing.T) {
	getter := &batchOrigin{batch: func(keys []string) ([]peercache.Item, error) { return itemsOf(keys), nil }}
	g := newLocal(t, getter, peercache.WithMaxKeyBytes(10))
	for i, r := range g.GetMulti(t.Context(), []string{"a", "", "b", strings.Repeat("x", 11)}) {
		if bad := i%2 == 1; bad != errors.Is(r.Err, peercache.ErrKeySize) {
			t.Errorf("key %d: error %v", i, r.Err)
		}
	}
	if got := fmt.Sprint(getter.batches); got != "[2]" {
		t.Errorf("batches of %s keys, want one of 2", got)
	}
}

// Stats tells hits of callers here from those of peers.
func TestStatsTellWhoseHitsTheyAre(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &editions{}, group: []peercache.GroupOption{peercache.WithHotShare(0)}})
		keys := keysOwnedBy(t, nodes, 0, 1, 4)
		for range 2 {
			nodes[0].group.GetMulti(t.Context(), keys)
		}
		for range 3 {
			nodes[1].wants(t, keys[0], "1")
		}
		nodes[0].brings(t, keys[1], "1")
		if s := nodes[1].group.Stats(); s.Hits != 8 || s.ServerHits != 5 || s.ServerRequests != 9 || s.Gets != 12 {
			t.Errorf("%d hits, %d of them peers', of %d requests of peers and %d Gets: want 8, 5, 9, 12", s.Hits, s.ServerHits, s.ServerRequests, s.Gets)
		}
		if s := nodes[0].group.Stats(); s.ServerHits != 0 {
			t.Errorf("the asker counts %d hits of peers", s.ServerHits)
		}
	})
}
