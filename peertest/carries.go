package peertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// keysOfAnyBytes asks for keys that something on the way may take for something else.
func keysOfAnyBytes(t testing.TB, h Harness) {
	keys := []string{".", "..", "/", "//a//", "../../b", "a/../b", "%2F", "a b+c", "?x=1&y#z", "\xff\xfe", "\r\n\r\n", "ключ", strings.Repeat("k", 4<<10), "get", "change"}
	for b := range 256 {
		keys = append(keys, string([]byte{'b', byte(b)}))
	}
	p := newPair(t, h, new(script))
	for _, w := range p.ways() {
		for _, key := range keys {
			a, err := w.ask(&peer.Query{Group: "g", Key: key})
			if err != nil || string(a.Value) != "value of "+key {
				t.Errorf("%s of the key %.20q: %.40q, %v", w.name, key, a.Value, err)
			}
		}
	}
}

var someTrace = peer.JoinTrace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")

// queryIsWhole checks that all of a Query comes to the Handler, in Hit and in Load.
func queryIsWhole(t testing.TB, h Harness) {
	base := peer.Query{Group: "g", Key: "k", Lease: 3 * time.Second, Digest: "\x00\xffdigest", Nested: peer.InSlot, Context: "\xfetenant", Trace: someTrace}
	queries := []peer.Query{base, {Group: "another group", Key: "k"}}
	for _, nested := range []peer.Nesting{peer.TopLevel, peer.InLoad} {
		q := base
		q.Nested = nested
		queries = append(queries, q)
	}
	var mu sync.Mutex
	var hits, loads []peer.Query
	p := newPair(t, h, &script{
		hit: func(q *peer.Query) (peer.Answer, error) {
			mu.Lock()
			defer mu.Unlock()
			hits = append(hits, carried(q)) // a copy: its memory may be the transport's
			return peer.Answer{}, peer.ErrNotCached
		},
		load: func(_ context.Context, q *peer.Query) (peer.Answer, error) {
			mu.Lock()
			defer mu.Unlock()
			loads = append(loads, carried(q))
			return peer.Answer{}, nil
		},
	})
	for _, w := range p.ways() {
		for _, want := range queries {
			for _, cachedOnly := range []bool{false, true} {
				if cachedOnly && w.name == "Start of many keys" {
					continue // see peer.Request
				}
				want.CachedOnly = cachedOnly
				mu.Lock()
				hits, loads = nil, nil
				mu.Unlock()
				ask := want
				ask.MaxBytes, ask.Timeout = 1<<20, time.Minute
				if _, err := w.ask(&ask); err != nil {
					t.Errorf("%s: %v", w.name, err)
				}
				mu.Lock()
				for what, got := range map[string][]peer.Query{"Hit": hits, "Load": loads} {
					i := slices.IndexFunc(got, func(q peer.Query) bool { return q.Key == want.Key })
					if i < 0 {
						t.Errorf("%s: %s was not called for the key", w.name, what)
						continue
					}
					expect := want
					if what == "Load" && w.name == "Start of many keys" && !p.plain.Load() {
						expect.Digest = "" // who answers for a batch has those of Hit
					}
					if h.lacks(QueryFields) {
						expect = got[i]
						expect.Group, expect.Key = want.Group, want.Key
					}
					if got[i] != expect {
						t.Errorf("%s: %s got %+v, want %+v", w.name, what, got[i], expect)
					}
				}
				mu.Unlock()
			}
		}
	}
}

// answerIsWhole checks that all of an Answer comes back, from Hit and from Load.
func answerIsWhole(t testing.TB, h Harness) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 3<<16) // 3 MiB
	answers := []peer.Answer{
		{},
		{Item: peer.Item{Value: []byte{}, TTL: -time.Second}, Noted: true},
		{Item: peer.Item{Value: []byte("v"), TTL: time.Hour}},
		{Item: peer.Item{Value: []byte{0, 0xff, '\n'}, TTL: math.MaxInt64}, Noted: true},
		{Item: peer.Item{Value: []byte("v"), TTL: math.MinInt64}},
		{Item: peer.Item{TTL: 1}, Noted: true, Unchanged: true},
		{Item: peer.Item{Value: large[:100<<10]}, Noted: true},
		{Item: peer.Item{Value: large[:300<<10], TTL: time.Minute}, Noted: true},
		{Item: peer.Item{Value: large}},
	}
	var cached bool
	var answer peer.Answer
	p := newPair(t, h, &script{
		hit: func(q *peer.Query) (peer.Answer, error) {
			if !cached {
				return peer.Answer{}, peer.ErrNotCached
			}
			return answer, nil
		},
		load: func(context.Context, *peer.Query) (peer.Answer, error) { return answer, nil },
	})
	for _, w := range p.ways() {
		for i := range answers {
			for _, cached = range []bool{false, true} {
				answer = answers[i]
				got, err := w.ask(&peer.Query{Group: "g", Key: "k", Lease: time.Second, Digest: "d"})
				if h.lacks(QueryFields) {
					got.Noted = answer.Noted // no promise
				}
				if err != nil || !bytes.Equal(got.Value, answer.Value) || !sameTTL(got.TTL, answer.TTL) || got.Noted != answer.Noted || got.Unchanged != answer.Unchanged {
					t.Errorf("%s, answer %d, cached %v: %d bytes, TTL %v, noted %v, unchanged %v, %v: want %d bytes, %v, %v, %v", w.name, i, cached,
						len(got.Value), got.TTL, got.Noted, got.Unchanged, err, len(answer.Value), answer.TTL, answer.Noted, answer.Unchanged)
				}
			}
		}
	}
}

// sameTTL compares TTLs. One of more than a hundred years is without end, however long.
func sameTTL(a, b time.Duration) bool {
	const endless = 100 * 365 * 24 * time.Hour
	return max(-endless, min(a, endless)) == max(-endless, min(b, endless))
}

// valuesAreCopied has both sides change what they have.
func valuesAreCopied(t testing.TB, h Harness) {
	for _, size := range []int{10, 300 << 10} {
		want := bytes.Repeat([]byte("v"), size)
		kept := bytes.Clone(want)
		var item []byte
		var keys []string
		p := newPair(t, h, &script{
			hit: func(q *peer.Query) (peer.Answer, error) { return peer.Answer{Item: peer.Item{Value: kept}}, nil },
			change: func(_ context.Context, c *peer.Change) (peer.Changed, error) {
				item, keys = c.Item.Value, c.Keys
				return peer.Changed{}, nil
			},
		})
		for _, w := range p.ways() {
			a, err := w.ask(&peer.Query{Group: "g", Key: "k"})
			if err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
			for i := range a.Value {
				a.Value[i] = 'x'
			}
			if !bytes.Equal(kept, want) {
				t.Errorf("%s: the one who asked has changed the value in the cache of the one who answered", w.name)
				kept = bytes.Clone(want)
			}
		}
		value, names := bytes.Clone(want), []string{"one", "two"}
		if _, err := p.change(&peer.Change{Group: "g", Keys: names, Item: &peer.Item{Value: value}}); err != nil {
			t.Error(err)
		}
		value[0], names[0] = 'x', "x"
		if !bytes.Equal(item, want) || !slices.Equal(keys, []string{"one", "two"}) {
			t.Error("the one who sent a Change has changed what the other one got")
		}
	}
}

// hitBeforeLoad checks that what is cached is not loaded, and that what is not is asked for once.
func hitBeforeLoad(t testing.TB, h Harness) {
	var mu sync.Mutex
	loads := make(map[string]int)
	p := newPair(t, h, &script{
		hit: func(q *peer.Query) (peer.Answer, error) {
			if strings.HasPrefix(q.Key, "cached") {
				return peer.Answer{Item: peer.Item{Value: []byte("hit")}}, nil
			}
			return peer.Answer{}, peer.ErrNotCached
		},
		load: func(_ context.Context, q *peer.Query) (peer.Answer, error) {
			mu.Lock()
			defer mu.Unlock()
			loads[q.Key]++
			return peer.Answer{Item: peer.Item{Value: []byte("load")}}, nil
		},
	})
	for _, w := range p.ways() {
		for key, want := range map[string]string{"cached " + w.name: "hit", w.name: "load"} {
			if a, err := w.ask(&peer.Query{Group: "g", Key: key}); err != nil || string(a.Value) != want {
				t.Errorf("%s of %q: %q, %v, want %q", w.name, key, a.Value, err, want)
			}
			mu.Lock()
			if n := loads[key]; n != map[string]int{"hit": 0, "load": 1}[want] {
				t.Errorf("%s of %q: Load was called %d times", w.name, key, n)
			}
			mu.Unlock()
		}
	}
}

// wholeChange has something in every field that is carried.
func wholeChange(absent string) peer.Change {
	return peer.Change{
		Group: "g", Keys: []string{"a", "\xff/..", strings.Repeat("k", 5000)}, Item: &peer.Item{Value: []byte("v\x00"), TTL: -time.Second},
		Holders: true, Wait: 1234 * time.Millisecond, Announced: true, Token: 1<<64 - 1, Proof: 1 << 63,
		State: peer.State{Process: 1<<32 - 1, Number: 7, View: 1<<64 - 2, Leaving: true, Departure: 99, Offering: true, Absent: []string{absent}},
		Relay: true, PassOn: []byte{1, 0, 255}, Roll: peer.Roll{View: 1<<64 - 3, Packed: []byte{0, 1, 255}}, Trace: someTrace, Watch: 3 * time.Second, WatchID: 1<<64 - 5,
	}
}

// changeIsWhole checks that all of a Change comes to the Handler.
func changeIsWhole(t testing.TB, h Harness) {
	var got *peer.Change
	p := newPair(t, h, &script{change: func(_ context.Context, c *peer.Change) (peer.Changed, error) {
		got = c
		return peer.Changed{}, nil
	}})
	whole := wholeChange(h.Address(t))
	changes := map[string]peer.Change{
		"all fields": whole, "all keys": {Group: "g", All: true}, "nothing": {},
		"an empty value":  {Group: "g", Keys: []string{"k"}, Item: &peer.Item{}},
		"a large value":   {Group: "g", Keys: []string{"k"}, Item: &peer.Item{Value: make([]byte, 2<<20)}},
		"offers":          {Group: "g", Offered: []string{"a", "\xff"}},
		"a long question": {Since: []uint64{1, 1<<64 - 1}, Members: true, State: whole.State},
		"a question":      {Question: true, State: whole.State, Token: 5},
		"one apart":       {Group: "g", Keys: []string{"k"}, Apart: true, State: whole.State},
	}
	for name, want := range changes {
		got = nil
		sent := want
		if _, err := p.change(&sent); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want.Question, want.Apart = false, false
		if got == nil || !sameChange(*got, want) {
			t.Errorf("%s: the process got %+v, want %+v", name, got, want)
		}
	}
}

// sameChange compares what is carried. A list of none is as good as no list.
func sameChange(a, b peer.Change) bool {
	if (a.Item == nil) != (b.Item == nil) || a.Item != nil && (!bytes.Equal(a.Item.Value, b.Item.Value) || a.Item.TTL != b.Item.TTL) {
		return false
	}
	if !slices.Equal(a.Keys, b.Keys) || !slices.Equal(a.Offered, b.Offered) || !slices.Equal(a.Since, b.Since) || !slices.Equal(a.State.Absent, b.State.Absent) {
		return false
	}
	for _, c := range []*peer.Change{&a, &b} {
		c.Item, c.Keys, c.Offered, c.Since, c.State.Absent = nil, nil, nil, nil, nil
		c.Question, c.Apart, c.From = false, false, ""
	}
	return reflect.DeepEqual(a, b)
}

// changedIsWhole checks that all of a Changed comes back, also beside an error.
func changedIsWhole(t testing.TB, h Harness) {
	name := h.Address(t)
	whole := peer.Changed{
		Holders: []peer.Holder{{Peer: name, Left: 5 * time.Second, Reason: "it does not answer"}, {Peer: name, Left: 1, Reason: "\xff"}},
		State:   peer.State{Process: 5, Number: 1<<64 - 1, View: 3, Began: 2, Leaving: true, Departure: 4, Offering: true, Absent: []string{name}},
		Unheard: true, Groups: 1 << 63, GroupNames: []string{"g"}, Members: []string{name}, Size: 70000,
		Log: []byte{1, 0, 255}, SinceDeparture: true, Unbroken: true, Circle: 1<<63 + 7,
		Relayed: true, Untold: []byte{0, 255}, Roll: peer.Roll{View: 1, Packed: []byte{255, 0}},
		Watch: time.Hour, WatchID: 1<<64 - 6,
	}
	var refuse error
	p := newPair(t, h, &script{change: func(context.Context, *peer.Change) (peer.Changed, error) { return whole, refuse }})
	for _, refuse = range []error{nil, peer.Refuse("another process answers"), errors.New("broken")} {
		for what, c := range map[string]peer.Change{
			"keys": {Group: "g", Keys: []string{"k"}}, "a long one": {Members: true}, "a question": {Question: true}, "one apart": {Apart: true},
		} {
			got, err := p.change(&c)
			if (err == nil) != (refuse == nil) || peer.Unreachable(err) {
				t.Errorf("%s, where the process answers the error %v: %v", what, refuse, err)
			}
			if refuse != nil && err != nil && !strings.Contains(err.Error(), refuse.Error()) {
				t.Errorf("%s: the error %v, want one that says %v", what, err, refuse)
			}
			if !reflect.DeepEqual(got, whole) {
				t.Errorf("%s, with the error %v: %+v, want %+v", what, refuse, got, whole)
			}
		}
	}
}

// boundedChange sends a Change with absurdly many keys, which no peer does.
func boundedChange(t testing.TB, h Harness) {
	most := 0
	p := newPair(t, h, &script{change: func(_ context.Context, c *peer.Change) (peer.Changed, error) {
		most = max(most, len(c.Keys)+len(c.Offered), len(c.State.Absent), len(c.Since))
		return peer.Changed{}, nil
	}})
	keys, names := make([]string, 1<<18), make([]string, 1<<15)
	for i := range keys {
		keys[i] = "k"
	}
	for i := range names {
		names[i] = "http://absent"
	}
	for what, c := range map[string]peer.Change{
		"keys": {Group: "g", Keys: keys}, "offers": {Group: "g", Offered: keys}, "absent peers": {State: peer.State{View: 1, Absent: names}}, "departures": {Since: make([]uint64, 1<<15)},
	} {
		if _, err := p.change(&c); err == nil {
			t.Errorf("a Change of absurdly many %s was answered as any other: want an error", what)
		}
	}
	if most > 0 {
		t.Errorf("a Change with a list of %d came to the Handler: want it refused before memory is spent, as by peer.DecodeChange", most)
	}
	p.works("after absurd changes")
}

// boundedChanged has a process answer a Change with absurd lists.
func boundedChanged(t testing.TB, h Harness) {
	holders, names := make([]peer.Holder, 1<<15), make([]string, 1<<15)
	for i := range holders {
		holders[i], names[i] = peer.Holder{Peer: "http://holder", Left: time.Hour, Reason: "r"}, "http://member"
	}
	answers := map[string]peer.Changed{"holders": {Holders: holders}, "members": {Members: names}, "absent peers": {State: peer.State{View: 1, Absent: names}}}
	var answer peer.Changed
	p := newPair(t, h, &script{change: func(context.Context, *peer.Change) (peer.Changed, error) { return answer, nil }})
	for what, a := range answers {
		answer = a
		got, err := p.change(&peer.Change{Group: "g", Keys: []string{"k"}})
		if err == nil || len(got.Holders)+len(got.Members)+len(got.State.Absent) > 0 {
			t.Errorf("an answer with 32,768 %s was taken: want an error, as from peer.DecodeChanged", what)
		}
	}
	answer = peer.Changed{}
	p.recovers("after absurd answers, for which a transport may hold back")
}

// boundedValue asks for less than the value has.
func boundedValue(t testing.TB, h Harness) {
	value := make([]byte, 2<<20)
	p := newPair(t, h, &script{load: func(context.Context, *peer.Query) (peer.Answer, error) {
		return peer.Answer{Item: peer.Item{Value: value}}, nil
	}})
	for _, w := range p.ways() {
		a, err := w.ask(&peer.Query{Group: "g", Key: "k", MaxBytes: 1000})
		if len(a.Value) > 1000+peer.MaxOverhead {
			t.Errorf("%s: %d bytes came for a query that takes 1,000: want no more than peer.MaxOverhead beside them", w.name, len(a.Value))
		}
		if peer.Unreachable(err) || err != nil && !errors.Is(err, peer.ErrValueSize) {
			t.Errorf("%s: the error %v: want one that is peer.ErrValueSize, and no *peer.PeerError: the peer has answered (P6)", w.name, err)
		}
		if a, err := w.ask(&peer.Query{Group: "g", Key: "k", MaxBytes: len(value)}); err != nil || len(a.Value) != len(value) {
			t.Errorf("%s of a value that has just the size: %d bytes, %v", w.name, len(a.Value), err)
		}
	}
}

// works checks that the process can be asked.
func (p *pair) works(when string) {
	p.t.Helper()
	if _, err := p.get("good"); err != nil {
		p.t.Errorf("%s, Get: %v", when, err)
	}
	if _, err := p.change(&peer.Change{Group: "g", Question: true}); err != nil {
		p.t.Errorf("%s, Change: %v", when, err)
	}
}

// batches asks for many keys at once, which are answered in any order and in every way.
func batches(t testing.TB, h Harness) {
	const keys = 700
	key := func(i int) string { return fmt.Sprintf("key %d", i) }
	value := func(key string) []byte {
		v := []byte("value of " + key)
		if strings.HasSuffix(key, "50") {
			v = append(v, make([]byte, 600<<10)...)
		}
		return v
	}
	var tripped sync.Once
	p := newPair(t, h, &script{
		hit: func(q *peer.Query) (peer.Answer, error) {
			if q.Key != "good" && !strings.HasSuffix(q.Key, "50") && q.Digest != "digest of "+q.Key {
				tripped.Do(func() { t.Errorf("%q came with the digest %q", q.Key, q.Digest) })
			}
			if len(q.Key)%2 == 0 && strings.HasSuffix(q.Key, "3") {
				return peer.Answer{Item: peer.Item{Value: value(q.Key)}}, nil
			}
			return peer.Answer{}, peer.ErrNotCached
		},
		load: func(_ context.Context, q *peer.Query) (peer.Answer, error) {
			return peer.Answer{Item: peer.Item{Value: value(q.Key)}}, nil
		},
		loadBatch: func(_ context.Context, q *peer.Query, keys []string, answer func(int, peer.Answer, error)) {
			var all sync.WaitGroup
			for i, key := range keys {
				switch {
				case strings.HasSuffix(key, "7"):
					all.Go(func() { answer(i, peer.Answer{}, fmt.Errorf("%w: %s", peer.ErrNotFound, key)) })
				case strings.HasSuffix(key, "8"): // no answer
				default:
					all.Go(func() {
						answer(i, peer.Answer{Item: peer.Item{Value: value(key)}}, nil)
						answer(i, peer.Answer{Item: peer.Item{Value: []byte("a second answer")}}, nil)
					})
				}
			}
			all.Wait()
		},
	})
	s, ok := p.conn.(peer.Starter)
	if !ok {
		return
	}
	var waiters []*waiter
	for from := 0; from < keys; {
		r := &peer.Request{Query: peer.Query{Group: "g"}}
		for i := from; i < keys; i++ {
			r.Keys, r.Digests = append(r.Keys, key(i)), append(r.Digests, "digest of "+key(i))
		}
		w := newWaiter(len(r.Keys))
		r.Waiter = w
		n := startAll(t, s, r)
		if n == 0 && from == 0 {
			return // it need not
		}
		if n == 0 {
			t.Fatalf("Start takes no more keys after %d of %d", from, keys)
		}
		for i := range n {
			waiters = append(waiters, w)
			checkOfBatch(t, s, w, i, r.Keys[i], value(r.Keys[i]))
		}
		from += n
	}
	p.works("after batches")
	for _, w := range waiters {
		w.mu.Lock()
		for i, n := range w.times {
			if n > 1 {
				t.Errorf("key %d of a request was answered %d times: want once", i, n)
			}
		}
		w.mu.Unlock()
	}
}

// checkOfBatch checks the answer for one key of a batch.
func checkOfBatch(t testing.TB, s peer.Starter, w *waiter, i int, key string, want []byte) {
	a, err := w.wait(t, i)
	large := len(want) > 100<<10
	if err == peer.ErrLarge && large {
		a, err = s.GetLarge(within(t), &peer.Query{Group: "g", Key: key})
	}
	switch {
	case strings.HasSuffix(key, "7"):
		if !errors.Is(err, peer.ErrNotFound) || peer.Unreachable(err) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s of a batch: %v, want that it is not found", key, err)
		}
	case strings.HasSuffix(key, "8"):
		if err == nil {
			t.Errorf("%s of a batch, which the process did not answer: %.40q, want an error", key, a.Value)
		}
	case err != nil || !bytes.Equal(a.Value, want):
		t.Errorf("%s of a batch: %.40q, %v", key, a.Value, err)
	}
}
