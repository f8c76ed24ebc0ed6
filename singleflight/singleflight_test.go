package singleflight

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// result is what one Do returned.
type result struct {
	v   string
	err error
}

// doAsync runs Do in a goroutine of its own.
func doAsync(ctx context.Context, g *Group[string], key string, fn func(context.Context, *Flight[string]) (string, error)) <-chan result {
	c := make(chan result, 1)
	go func() {
		v, err := g.Do(ctx, key, fn)
		c <- result{v, err}
	}()
	return c
}

func TestConcurrentCallersShareOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string]
		var runs atomic.Int64
		release := make(chan struct{})
		fn := func(context.Context, *Flight[string]) (string, error) {
			runs.Add(1)
			<-release
			return "value", nil
		}
		var calls []<-chan result
		for range 100 {
			calls = append(calls, doAsync(t.Context(), &g, "k", fn))
		}
		synctest.Wait()
		close(release)
		for _, c := range calls {
			r := <-c
			if r.v != "value" || r.err != nil {
				t.Fatalf("got %q, %v", r.v, r.err)
			}
		}
		if n := runs.Load(); n != 1 {
			t.Fatalf("%d runs", n)
		}
	})
}

func TestP3CallerLeavesAloneOnItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string]
		fn := func(ctx context.Context, _ *Flight[string]) (string, error) {
			select {
			case <-time.After(5 * time.Second):
				return "value", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := doAsync(short, &g, "k", fn) // starts the flight, and leaves it
		synctest.Wait()
		second := doAsync(t.Context(), &g, "k", fn)

		start := time.Now()
		if r := <-first; !errors.Is(r.err, context.DeadlineExceeded) {
			t.Fatalf("impatient caller: %v", r.err)
		}
		if d := time.Since(start); d != time.Second {
			t.Fatalf("impatient caller left after %v", d)
		}
		if r := <-second; r.err != nil || r.v != "value" {
			t.Fatalf("patient caller: %+v", r)
		}
	})
}

func TestP3AbandonedFlightRunsOnUnlessAskedNotTo(t *testing.T) {
	for _, cancelAbandoned := range []bool{false, true} {
		t.Run(fmt.Sprint("cancel=", cancelAbandoned), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := Group[string]{CancelAbandoned: cancelAbandoned, Timeout: time.Minute}
				var ended error
				var tainted bool
				fn := func(ctx context.Context, f *Flight[string]) (string, error) {
					select {
					case <-time.After(5 * time.Second):
					case <-ctx.Done():
						ended = ctx.Err()
					}
					tainted = f.Tainted()
					return "value", ended
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				<-doAsync(ctx, &g, "k", fn)
				if err := g.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if cancelAbandoned != errors.Is(ended, context.Canceled) || tainted != cancelAbandoned {
					t.Fatalf("flight's context ended with %v, tainted %v", ended, tainted)
				}
			})
		})
	}
}

func TestP3CancelledFlightIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{CancelAbandoned: true}
		release := make(chan struct{})
		stubborn := func(context.Context, *Flight[string]) (string, error) { // ignores its context
			<-release
			return "old", nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := doAsync(ctx, &g, "k", stubborn)
		synctest.Wait()
		cancel()
		<-first
		v, err := g.Do(t.Context(), "k", func(context.Context, *Flight[string]) (string, error) { return "new", nil })
		if v != "new" || err != nil {
			t.Fatalf("got %q, %v", v, err)
		}
		close(release)
		g.Drain(t.Context())
	})
}

func TestP3TimeoutReleasesCallersOfAStubbornFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{Timeout: 3 * time.Second}
		release := make(chan struct{})
		tainted := make(chan bool, 1)
		start := time.Now()
		_, err := g.Do(t.Context(), "k", func(_ context.Context, f *Flight[string]) (string, error) {
			<-release
			tainted <- f.Tainted()
			return "late", nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		if v, err := g.Do(t.Context(), "k", func(context.Context, *Flight[string]) (string, error) { return "next", nil }); v != "next" || err != nil {
			t.Fatalf("next call: %q, %v", v, err)
		}
		close(release)
		if !<-tainted {
			t.Fatal("a value from after the end of the flight may be kept")
		}
		if err := g.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestP3PanicAndGoexitBecomeErrorsForEveryCaller(t *testing.T) {
	cause := errors.New("the cause")
	cases := map[string]struct {
		end   func()
		check func(error) bool
	}{
		"panic": {func() { panic("boom") }, func(err error) bool {
			var p *PanicError
			return errors.As(err, &p) && p.Value == "boom" && strings.Contains(string(p.Stack), "singleflight_test")
		}},
		"panic with an error": {func() { panic(cause) }, func(err error) bool { return errors.Is(err, cause) }},
		"panic with nil":      {func() { panic(nil) }, func(err error) bool { var p *PanicError; return errors.As(err, &p) }},
		"goexit":              {runtime.Goexit, func(err error) bool { return errors.Is(err, ErrGoexit) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g Group[string]
				release := make(chan struct{})
				var calls []<-chan result
				for range 10 {
					calls = append(calls, doAsync(t.Context(), &g, "k", func(context.Context, *Flight[string]) (string, error) {
						<-release
						c.end()
						return "unreachable", nil
					}))
				}
				synctest.Wait()
				close(release)
				for _, call := range calls {
					if r := <-call; !c.check(r.err) || r.v != "" {
						t.Fatalf("got %q, %v", r.v, r.err)
					}
				}
				v, err := g.Do(t.Context(), "k", func(context.Context, *Flight[string]) (string, error) { return "again", nil })
				if v != "again" || err != nil {
					t.Fatalf("next call: %q, %v", v, err)
				}
			})
		})
	}
}

type ctxKey struct{}

func TestP3FlightKeepsValuesOfItsFirstCaller(t *testing.T) {
	var g Group[string]
	ctx := context.WithValue(t.Context(), ctxKey{}, "trace")
	v, _ := g.Do(ctx, "k", func(ctx context.Context, _ *Flight[string]) (string, error) {
		s, _ := ctx.Value(ctxKey{}).(string)
		return s, nil
	})
	if v != "trace" {
		t.Fatalf("value in the flight's context: %q", v)
	}
}

func TestEndedContextStartsNothing(t *testing.T) {
	var g Group[string]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Do(ctx, "k", func(context.Context, *Flight[string]) (string, error) {
		t.Error("the function ran")
		return "", nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestForgottenFlightAnswersButIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string]
		release := make(chan struct{})
		var tainted bool
		before := doAsync(t.Context(), &g, "k", func(_ context.Context, f *Flight[string]) (string, error) {
			<-release
			tainted = f.Tainted()
			return "old", nil
		})
		synctest.Wait()
		g.Forget("k")
		g.Forget("unknown")
		after := doAsync(t.Context(), &g, "k", func(context.Context, *Flight[string]) (string, error) { return "new", nil })
		if r := <-after; r.v != "new" {
			t.Fatalf("after Forget: %+v", r)
		}
		close(release)
		if r := <-before; r.v != "old" || !tainted {
			t.Fatalf("before Forget: %+v, tainted %v", r, tainted)
		}
	})
}

// TestForgetAndKeepingAreOrdered keeps versions in a map as a cache would. A
// version that was current before Forget was called must not be in the map
// after Forget and the delete that follows it.
func TestForgetAndKeepingAreOrdered(t *testing.T) {
	var g Group[int64]
	var mu sync.Mutex
	kept := map[string]int64{}
	var origin atomic.Int64

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				g.Do(context.Background(), "k", func(_ context.Context, f *Flight[int64]) (int64, error) {
					v := origin.Load()
					for range rnd.IntN(3) {
						runtime.Gosched()
					}
					mu.Lock()
					if !f.Tainted() {
						kept["k"] = v
					}
					mu.Unlock()
					return v, nil
				})
			}
		})
	}
	for range 20000 {
		now := origin.Add(1)
		g.Forget("k")
		mu.Lock()
		delete(kept, "k")
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		v, ok := kept["k"]
		mu.Unlock()
		if ok && v < now {
			t.Fatalf("version %d was kept after the removal of everything before %d", v, now)
		}
	}
	close(stop)
	wg.Wait()
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string]
		release := make(chan struct{})
		call := doAsync(t.Context(), &g, "k", func(context.Context, *Flight[string]) (string, error) {
			<-release
			return "", nil
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		close(release)
		<-call
		if err := g.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFlightThatIsEndedFromElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{CancelAbandoned: true}
		f, first := g.Join("k")
		again, second := g.Join("k")
		if !first || second || again != f {
			t.Fatal("two callers of one key are not in one flight")
		}
		var withdrawn atomic.Bool
		g.OnAbandon(f, func() { withdrawn.Store(true); g.End(f, "", context.Canceled) })

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.Wait(ended, f); !errors.Is(err, context.Canceled) || withdrawn.Load() {
			t.Fatalf("%v, withdrawn %v", err, withdrawn.Load())
		}
		if _, err := g.Wait(ended, f); !errors.Is(err, context.Canceled) || !withdrawn.Load() {
			t.Fatalf("%v, withdrawn %v", err, withdrawn.Load())
		}
		if err := g.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}

		f, _ = g.Join("k")
		if _, err := g.Wait(ended, f); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		withdrawn.Store(false)
		g.OnAbandon(f, func() { withdrawn.Store(true); g.End(f, "", context.Canceled) })
		if !withdrawn.Load() {
			t.Fatal("a flight that was abandoned before is not withdrawn")
		}

		f, _ = g.Join("k")
		go g.End(f, "value", nil)
		if v, err := g.Wait(t.Context(), f); v != "value" || err != nil {
			t.Fatalf("%q, %v", v, err)
		}
	})
}

func Example() {
	var g Group[string]
	v, err := g.Do(context.Background(), "Tom", func(ctx context.Context, f *Flight[string]) (string, error) {
		score := "630" // a slow lookup
		if !f.Tainted() {
			// put it into a cache
		}
		return score, nil
	})
	fmt.Println(v, err)
	// Output: 630 <nil>
}

func BenchmarkDo(b *testing.B) {
	g := Group[string]{Timeout: time.Minute}
	fn := func(context.Context, *Flight[string]) (string, error) { return "v", nil }
	b.ReportAllocs()
	for b.Loop() {
		g.Do(context.Background(), "k", fn)
	}
}

// TestJoinAll: of many keys each has one flight, be it given twice or in the air
// already.
func TestJoinAll(t *testing.T) {
	var g Group[string]
	var keys []string
	for i := range 1000 {
		keys = append(keys, fmt.Sprint(i%600))
	}
	before, _ := g.Join("7")
	flights, first := g.JoinAll(keys)
	for i, f := range flights {
		if want := i < 600 && i != 7; first[i] != want {
			t.Errorf("key %d: first is %v, want %v", i, first[i], want)
		}
		if f != flights[i%600] || i == 7 && f != before {
			t.Errorf("key %d has another flight", i)
		}
		if first[i] {
			g.End(f, keys[i], nil)
		}
	}
	g.End(before, "7", nil)
	for i, f := range flights {
		if v, err := g.Wait(t.Context(), f); v != keys[i] || err != nil {
			t.Errorf("key %d: %q, %v", i, v, err)
		}
	}
	if err := g.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
