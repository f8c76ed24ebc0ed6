package stream

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

func TestGet(t *testing.T) {
	for _, tt := range []struct {
		name string
		a    reply
		want reply
	}{
		{"value", reply{Value: "v", TTL: time.Minute}, reply{Value: "v", TTL: time.Minute}},
		{"empty", reply{}, reply{}},
		{"not to be kept", reply{Value: "v", TTL: -1}, reply{Value: "v", TTL: -1}},
		{"zero byte", reply{Value: "\x00"}, reply{Value: "\x00"}},
		{"error", reply{Err: errorOf(peer.ErrNotFound, "none \xff")}, reply{Err: errorOf(peer.ErrNotFound, "none \xff")}},
		{"long error", reply{Err: errorOf(context.DeadlineExceeded, strings.Repeat("e", 1<<20))}, reply{Err: errorOf(context.DeadlineExceeded, strings.Repeat("e", longestMessage))}},
		{"just gathered", reply{Value: strings.Repeat("v", gatherCopies)}, reply{Value: strings.Repeat("v", gatherCopies)}},
		{"64 KiB", reply{Value: strings.Repeat("v", 64<<10)}, reply{Value: strings.Repeat("v", 64<<10)}},
		{"largest", reply{Value: strings.Repeat("v", 256<<10), TTL: -1}, reply{Value: strings.Repeat("v", 256<<10), TTL: -1}},
		{"too large", reply{Value: strings.Repeat("v", 256<<10+1)}, reply{Plain: true}},
	} {
		for _, hit := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/hit=%v", tt.name, hit), func(t *testing.T) {
				h := funcs{
					hit:  func(string, string) (reply, bool) { return tt.a, hit },
					load: func(context.Context, string, string) reply { return tt.a },
				}
				e := connect(t, h, Config{})
				defer e.end()
				a, err := get(t.Context(), e.Link, queryFor("g", "k"))
				if err != nil {
					t.Fatal(err)
				}
				want := tt.want
				want.Err = peer.Received(peerName, want.Err)
				if !reflect.DeepEqual(a, want) {
					t.Errorf("got %.100v, want %.100v", a, want)
				}
			})
		}
	}
}

func TestKeysAreBytes(t *testing.T) {
	e := connect(t, echo, Config{})
	defer e.end()
	for _, key := range []string{"", "\xff\xfe", "\x00", strings.Repeat("k", 1<<20)} {
		a, err := get(t.Context(), e.Link, queryFor("", key))
		if err == nil && len(key) > 256<<10 {
			if !a.Plain {
				t.Errorf("a value of %d bytes came", len(a.Value))
			}
		} else if err != nil || a.Value != key {
			t.Errorf("key %.20q: got %.20q, %v", key, a.Value, err)
		}
	}
	_, err := get(t.Context(), e.Link, queryFor("\xff", "k"))
	wantErr(t, "a group that is no text", err, ErrInvalid)
	_, err = get(t.Context(), e.Link, queryFor("g", strings.Repeat("k", 5<<20)))
	wantErr(t, "a key of 5 MiB", err, ErrTooLarge)
	_, _, err = e.AskBatch(nil, 0, &peer.Query{Group: "g"}, nil, nil)
	wantErr(t, "no keys", err, ErrInvalid)
}

func TestHitsOvertakeLoads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := funcs{
			hit:  func(_, key string) (reply, bool) { return reply{Value: key}, key != "slow" },
			load: func(context.Context, string, string) reply { time.Sleep(time.Minute); return reply{Value: "late"} },
		}
		e := connect(t, h, Config{})
		defer e.end()
		start := time.Now()
		var slow records
		if _, err := e.Ask(&slow, queryFor("g", "slow")); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			key := fmt.Sprint(i)
			if a, err := get(t.Context(), e.Link, queryFor("g", key)); err != nil || a.Value != key {
				t.Fatalf("got %v, %v", a, err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the hits took %v, want no time", took)
		}
		time.Sleep(2 * time.Minute)
		if r := slow.one(t, 0); r.err != nil || r.Value != "late" {
			t.Errorf("the load: %v: a load longer than the detection time is no failure", r)
		}
	})
}

func TestBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := funcs{
			hit: func(_, key string) (reply, bool) { return reply{Value: key}, !strings.HasPrefix(key, "miss") },
			loadBatch: func(_ context.Context, _ string, keys []string, answer func(int, reply)) {
				if want := []string{"miss1", "miss2", "miss3", "miss4"}; !slices.Equal(keys, want) {
					t.Errorf("LoadBatch got %q, want %q", keys, want)
				}
				time.Sleep(time.Second)
				answer(1, reply{Value: "two"})
				answer(1, reply{Value: "again"})
				time.Sleep(time.Second)
				answer(0, reply{Err: errorOf(peer.ErrNotFound, "none")})
				answer(3, reply{Value: strings.Repeat("x", 1<<20)})
			},
		}
		e := connect(t, h, Config{})
		defer e.end()
		var r records
		start := time.Now()
		_, n, err := e.AskBatch(&r, 10, &peer.Query{Group: "g"}, []string{"a", "miss1", "b", "miss2", "miss3", "miss4"}, nil)
		if n != 6 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(time.Minute)
		for i, want := range []record{
			{reply: reply{Value: "a"}},
			{reply: reply{Err: errorOf(peer.ErrNotFound, "none")}, at: start.Add(2 * time.Second)},
			{reply: reply{Value: "b"}},
			{reply: reply{Value: "two"}, at: start.Add(time.Second)},
			{reply: reply{Err: errorOf(nil, "the peer gave no answer")}, at: start.Add(2 * time.Second)},
			{reply: reply{Plain: true}, at: start.Add(2 * time.Second)},
		} {
			got := r.one(t, 10+i)
			if want.at.IsZero() {
				want.at = start
			}
			want.Err = peer.Received(peerName, want.Err)
			if !reflect.DeepEqual(got.reply, want.reply) || got.err != nil || !got.at.Equal(want.at) {
				t.Errorf("key %d: got %v, want %v", i, got, want)
			}
		}
	})
}

// TestBatchSplit asks for more keys than go into one frame.
func TestBatchSplit(t *testing.T) {
	e := connect(t, echo, Config{MaxKeys: 1000})
	defer e.end()
	keys := make([]string, 10_001)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i, strings.Repeat("x", i%200))
	}
	got := make([]string, len(keys))
	err := getBatch(t.Context(), e.Link, "g", keys, func(i int, a reply, err error) {
		if got[i] != "" || err != nil {
			t.Errorf("key %d: second answer or error %v", i, err)
		}
		got[i] = a.Value
	})
	if err != nil || !slices.Equal(got, keys) {
		t.Errorf("not the values asked for; error %v", err)
	}
	if s := e.Stats(); s.Keys != int64(len(keys)) || s.Batches < 11 {
		t.Errorf("stats %+v", s)
	}
}

func TestChange(t *testing.T) {
	h := funcs{change: func(_ context.Context, text string) string { return "did " + text }}
	e := connect(t, h, Config{MaxRequestBytes: 2000})
	defer e.end()
	for _, request := range []string{"", "this", strings.Repeat("x", 1500)} {
		if answer, err := change(t.Context(), e.Link, request); err != nil || answer != "did "+request {
			t.Errorf("%.10q: answer %.20q, %v", request, answer, err)
		}
	}
	if _, err := e.Change(t.Context(), make([]byte, 3000)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
	if s := e.Stats(); s.Changes != 3 || s.Keys != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ended atomic.Int32
		h := funcs{
			load: func(ctx context.Context, g, k string) reply { defer ended.Add(1); return hang(ctx, g, k) },
			loadBatch: func(ctx context.Context, _ string, _ []string, _ func(int, reply)) {
				<-ctx.Done()
				ended.Add(1)
			},
		}
		e := connect(t, h, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		go func() {
			_, err := get(ctx, e.Link, queryFor("g", "k"))
			wantErr(t, "Get", err, context.DeadlineExceeded)
		}()
		err := getBatch(ctx, e.Link, "g", []string{"a", "b"}, func(int, reply, error) { t.Error("an answer after the end") })
		wantErr(t, "GetBatch", err, context.DeadlineExceeded)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v, want the context's second", took)
		}
		synctest.Wait()
		if n := ended.Load(); n != 2 {
			t.Errorf("%d loads saw the cancel, want 2", n)
		}
		if n := e.Stats().InFlight; n != 0 {
			t.Errorf("%d in flight, want 0", n)
		}
		var r records
		id, err := e.Ask(&r, queryFor("g", "k"))
		if err != nil || !e.Cancel(id) || e.Cancel(id) || e.Cancel(id+mostRequests) || e.Cancel(0) {
			t.Error("Cancel says yes once")
		}
		e.end()
		if r.len() != 0 {
			t.Error("a canceled request got an answer")
		}
	})
}

// TestBound has more callers than may be in flight: they wait under their own
// contexts, and go on as soon as there is room.
func TestBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var loading, most atomic.Int32
		h := funcs{load: func(context.Context, string, string) reply {
			n := loading.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			loading.Add(-1)
			return reply{Value: "v"}
		}}
		e := connect(t, h, Config{MaxRequests: 8, MaxLoads: 4})
		defer e.end()
		start := time.Now()
		var callers sync.WaitGroup
		for range 80 {
			callers.Go(func() {
				if _, err := get(t.Context(), e.Link, queryFor("g", "k")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := e.Stats().InFlight; n != 8 {
			t.Errorf("%d in flight, want 8", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		for range 8 { // in the queue behind the 80
			callers.Go(func() {
				if _, err := get(ctx, e.Link, queryFor("g", "k")); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want the context's", err)
				}
			})
		}
		_, err := e.Ask(&records{}, queryFor("g", "k"))
		wantErr(t, "Ask", err, ErrFull)
		callers.Wait()
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("it took %v, want 20 s: 80 loads of a second, 4 at a time", took)
		}
		if most.Load() != 4 {
			t.Errorf("%d loads at a time, want 4", most.Load())
		}
	})
}

// TestRoomPassedOn has those who wait leave at the moment it is their turn.
func TestRoomPassedOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := funcs{load: func(context.Context, string, string) reply { time.Sleep(time.Second); return reply{} }}
		e := connect(t, h, Config{MaxRequests: 1})
		defer e.end()
		var callers sync.WaitGroup
		for i := range 50 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7+1)*time.Second)
				defer cancel()
				_, err := get(ctx, e.Link, queryFor("g", "k"))
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if _, err := get(t.Context(), e.Link, queryFor("g", "k")); err != nil {
			t.Error(err)
		}
	})
}

func TestGoexitInHandler(t *testing.T) {
	h := funcs{load: func(_ context.Context, _, key string) reply {
		if key == "exit" {
			runtime.Goexit()
		}
		return reply{Value: key}
	}}
	e := connect(t, h, Config{MaxLoads: 1})
	defer e.end()
	for range 3 {
		if a, err := get(t.Context(), e.Link, queryFor("g", "exit")); err != nil || a.Err == nil {
			t.Errorf("got %v, %v, want an error of the peer", a, err)
		}
		if a, err := get(t.Context(), e.Link, queryFor("g", "k")); err != nil || a.Value != "k" {
			t.Errorf("got %v, %v", a, err)
		}
	}
}

func TestClose(t *testing.T) {
	h := funcs{load: func(ctx context.Context, _, key string) reply {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return reply{Value: key}
	}}
	for _, tt := range []struct {
		name    string
		close   func(e *ends, ctx context.Context) error
		refused error
	}{
		{"link", func(e *ends, ctx context.Context) error { return e.Close(ctx) }, ErrClosed},
		{"server", func(e *ends, ctx context.Context) error { return e.server.Close(ctx) }, ErrGoAway},
	} {
		t.Run(tt.name+" drains", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := connect(t, h, Config{})
				var r records
				e.Ask(&r, queryFor("g", "k"))
				synctest.Wait()
				go func() {
					time.Sleep(time.Second / 2)
					_, err := get(t.Context(), e.Link, queryFor("g", "k"))
					wantErr(t, "Get while it drains", err, tt.refused)
				}()
				if err := tt.close(e, t.Context()); err != nil {
					t.Error(err)
				}
				<-e.Done()
				if a := r.one(t, 0); a.Value != "k" || a.err != nil {
					t.Errorf("what was in flight got %v", a)
				}
				if err := <-e.ran; err != nil {
					t.Errorf("Run: %v", err)
				}
				wantErr(t, "Err", e.Err(), tt.refused)
				time.Sleep(time.Second)
			})
		})
		t.Run(tt.name+" in a hurry", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := connect(t, h, Config{})
				var r records
				e.Ask(&r, queryFor("g", "k"))
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/4)
				defer cancel()
				wantErr(t, "Close", tt.close(e, ctx), context.DeadlineExceeded)
				<-e.Done()
				<-e.ran
				if a := r.one(t, 0); a.err == nil {
					t.Errorf("what was in flight got %v", a)
				}
			})
		})
	}
}

// TestIdle keeps a link without requests alive, and finds out when it is dead.
func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, echo, Config{IdleTimeout: 30 * time.Second})
		time.Sleep(time.Hour)
		if a, err := get(t.Context(), e.Link, queryFor("g", "k")); err != nil || a.Value != "k" {
			t.Errorf("after an hour: %v, %v", a, err)
		}
		if n := e.Stats().BytesOut; n > 2000 {
			t.Errorf("%d bytes went out in an idle hour", n)
		}
		wantErr(t, "Run", e.end(), nil)
	})
}

func TestStats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := funcs{
			hit:  func(_, key string) (reply, bool) { return reply{Value: key}, key == "hit" },
			load: func(context.Context, string, string) reply { time.Sleep(time.Second); return reply{} },
		}
		e := connect(t, h, Config{})
		for range 9 {
			get(t.Context(), e.Link, queryFor("g", "hit"))
		}
		get(t.Context(), e.Link, queryFor("g", "miss"))
		synctest.Wait() // for the last pong
		l, s := e.Stats(), e.server.Stats()
		e.end()
		if l.Requests != 10 || l.Keys != 10 || s.Requests != 10 || s.Keys != 10 || s.Loads != 1 {
			t.Errorf("link %+v\nserver %+v", l, s)
		}
		if l.BytesOut != s.BytesIn || l.BytesIn != s.BytesOut || l.BytesIn == 0 {
			t.Errorf("bytes: link %+v\nserver %+v", l, s)
		}
		if p50, max := l.Latency.Quantile(.5), l.Latency.Quantile(1); p50 > time.Microsecond || max < time.Second || max > 2*time.Second {
			t.Errorf("latency p50 %v, max %v", p50, max)
		}
	})
}
