package stream

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is what both sides of a stream keep to use it again, in bytes.
func (e *ends) memory() (bytes int) {
	e.Link.mu.Lock()
	bytes += 120 * cap(e.Link.pending.slots)
	e.Link.mu.Unlock()
	bytes += len(e.Link.r.buf.b) + len(e.server.r.buf.b)
	for _, w := range []*writer{&e.Link.w, &e.server.w} {
		w.mu.Lock()
		bytes += cap(w.next.buf) + cap(w.spare.buf) + 32*(cap(w.next.cuts)+cap(w.spare.cuts)) + 24*(cap(w.next.vec)+cap(w.spare.vec))
		w.mu.Unlock()
	}
	return bytes
}

// TestRest: a stream that was busy, and has had nothing to do for a while, keeps no more memory than
// one that was never used, or little more. It still works, with ids that were not there before.
func TestRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := connect(t, echo, Config{})
		busy := func() {
			var all sync.WaitGroup
			for i := range 500 {
				all.Go(func() {
					key := fmt.Sprint(i, strings.Repeat("k", 4<<10))
					if a, err := get(context.Background(), e.Link, queryFor("g", key)); err != nil || a.Value != key {
						t.Errorf("%d: %.20q, %v", i, a.Value, err)
					}
				})
			}
			all.Wait()
			synctest.Wait()
		}
		for range 2 {
			busy()
			used := e.Link.pending.used
			if n := e.memory(); n < 200<<10 {
				t.Fatalf("a busy stream has %d bytes: the test needs one that has more", n)
			}
			time.Sleep(2 * DefaultIdleTimeout)
			synctest.Wait()
			if n := e.memory(); n > 2*firstBuffer+4*restingBuffer+120*restingSlots {
				t.Errorf("an idle stream keeps %d bytes", n)
			}
			if now := e.Link.pending.used; now <= used {
				t.Errorf("slots were used %d times, and then %d times: ids come again", used, now)
			}
		}
		wantErr(t, "Run", e.end(), nil)
	})
}

// TestRestOfAFullLink: requests in flight keep what is theirs while the stream rests.
func TestRestOfAFullLink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := funcs{load: func(_ context.Context, _, key string) reply {
			time.Sleep(3 * DefaultIdleTimeout)
			return reply{Value: key}
		}}
		e := connect(t, h, Config{})
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				key := fmt.Sprint("key-", i)
				if a, err := get(context.Background(), e.Link, queryFor("g", key)); err != nil || a.Value != key {
					t.Errorf("%s: %q, %v", key, a.Value, err)
				}
			})
		}
		all.Wait()
		wantErr(t, "Run", e.end(), nil)
	})
}

// TestIdlePings counts what an idle stream does: each side is woken by a ping and by its answer,
// three times in an idle timeout, and by nothing in between.
func TestIdlePings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const ping = 3 // bytes, with its size
		e := connect(t, echo, Config{})
		before := e.Stats()
		for e.Stats().BytesOut == before.BytesOut {
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		e.Link.mu.Lock()
		if e.Link.watch.fast {
			t.Error("a link that awaits nothing goes on looking for signs of life")
		}
		e.Link.mu.Unlock()
		time.Sleep(10 * DefaultIdleTimeout)
		after := e.Stats()
		in, out := after.BytesIn-before.BytesIn, after.BytesOut-before.BytesOut
		if in != out || out < 30*ping || out > 31*ping {
			t.Errorf("%d bytes came and %d went in ten idle timeouts, want those of 30 or 31 pings", in, out)
		}
		wantErr(t, "Run", e.end(), nil)
	})
}
