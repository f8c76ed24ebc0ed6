package singleflight

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The Timeout of each flight counts from its own start, although there is one timer for all, and
// whether or not those before it have ended.
func TestP3TimeoutCountsFromTheStartOfEachFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{Timeout: 10 * time.Second}
		start := time.Now()
		release := make(chan struct{})
		var calls []<-chan result
		for i := range 5 {
			calls = append(calls, doAsync(t.Context(), &g, fmt.Sprint(i), func(context.Context, *Flight[string]) (string, error) {
				if i%2 == 1 {
					return "at once", nil
				}
				<-release
				return "late", nil
			}))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		for i, c := range calls {
			r := <-c
			if i%2 == 1 {
				if r.err != nil || r.v != "at once" {
					t.Errorf("flight %d: %+v", i, r)
				}
				continue
			}
			if want := time.Duration(i+10) * time.Second; !errors.Is(r.err, context.DeadlineExceeded) || time.Since(start) != want {
				t.Errorf("flight %d: %v after %v, want the timeout after %v", i, r.err, time.Since(start), want)
			}
		}
		close(release)
		g.Drain(t.Context())
		if g.oldest != nil || g.youngest != nil {
			t.Error("runs that have ended are still listed")
		}
		time.Sleep(time.Minute) // and the timer stops
		if g.timing {
			t.Error("the timer runs for no run")
		}
		r := <-doAsync(t.Context(), &g, "again", func(ctx context.Context, _ *Flight[string]) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		if !errors.Is(r.err, context.DeadlineExceeded) {
			t.Errorf("a flight after a pause: %v", r.err)
		}
	})
}

// The context of a run is made when it is asked for. It has what one of the standard library has.
func TestContextOfARun(t *testing.T) {
	for _, timeout := range []time.Duration{0, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			g := Group[string]{Timeout: timeout}
			cause := errors.New("the caller's own end")
			first, leave := context.WithCancelCause(context.WithValue(t.Context(), ctxKey{}, "trace"))
			start := time.Now()
			var kept, derived context.Context
			call := doAsync(first, &g, "k", func(ctx context.Context, _ *Flight[string]) (string, error) {
				kept = ctx
				leave(cause)
				synctest.Wait()
				if ctx.Err() != nil || context.Cause(ctx) != nil || ctx.Value(ctxKey{}) != "trace" {
					t.Errorf("error %v, cause %v, value %v: want those of a context that goes on", ctx.Err(), context.Cause(ctx), ctx.Value(ctxKey{}))
				}
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				derived, cancel = context.WithTimeout(child, time.Hour)
				defer cancel()
				deadline, ok := ctx.Deadline()
				if ok != (timeout > 0) || ok && !deadline.Equal(start.Add(timeout)) {
					t.Errorf("deadline %v, %t", deadline, ok)
				}
				if timeout == 0 {
					return "", nil
				}
				<-child.Done()
				synctest.Wait()
				if child.Err() != context.DeadlineExceeded || ctx.Err() != context.DeadlineExceeded || time.Since(start) != timeout {
					t.Errorf("%v, and what is made of it %v, after %v", ctx.Err(), child.Err(), time.Since(start))
				}
				return "", nil
			})
			<-call
			g.Drain(t.Context())
			synctest.Wait()
			want := context.Canceled
			if timeout > 0 {
				want = context.DeadlineExceeded
			}
			<-kept.Done()
			if kept.Err() != want || derived.Err() == nil {
				t.Errorf("after the run: %v, and what is made of it %v, want %v", kept.Err(), derived.Err(), want)
			}
		})
	}
}

// A context that nobody asked anything of in time ends all the same.
func TestContextThatIsAskedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Group[string]{Timeout: time.Second}
		var quick context.Context
		slowly := make(chan context.Context, 1)
		g.Do(t.Context(), "quick", func(ctx context.Context, _ *Flight[string]) (string, error) { quick = ctx; return "", nil })
		release := make(chan struct{})
		g.Do(t.Context(), "slow", func(ctx context.Context, _ *Flight[string]) (string, error) { slowly <- ctx; <-release; return "", nil })
		slow := <-slowly
		if err := slow.Err(); err != context.DeadlineExceeded {
			t.Errorf("after the timeout: %v", err)
		}
		<-slow.Done()
		close(release)
		synctest.Wait()
		if quick.Err() != context.Canceled || slow.Err() != context.DeadlineExceeded {
			t.Errorf("after the runs: %v, %v", quick.Err(), slow.Err())
		}
		<-quick.Done()
		if context.Cause(quick) != context.Canceled {
			t.Errorf("cause: %v", context.Cause(quick))
		}
	})
}

// EndAll gives each flight its own result.
func TestEndAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group[string]
		flights, _ := g.JoinAll([]string{"a", "b"})
		failed := errors.New("failed")
		go g.EndAll(flights, []string{"A", ""}, []error{nil, failed})
		for i, want := range []result{{"A", nil}, {"", failed}} {
			if v, err := g.Wait(t.Context(), flights[i]); v != want.v || err != want.err {
				t.Errorf("flight %d: %q, %v", i, v, err)
			}
		}
		if err := g.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
