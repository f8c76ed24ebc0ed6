package lru

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// left is what onLeave was told.
type left struct {
	key    string
	value  int64
	reason Reason
}

// A newSized cache holds numbers that are their own size, and reports what leaves.
func newSized(t testing.TB, maxBytes int64) (*Cache[int64], *[]left) {
	t.Helper()
	log := new([]left)
	c, err := New(maxBytes,
		func(_ string, v int64) int64 { return v },
		func(key string, v int64, r Reason) { *log = append(*log, left{key, v, r}) })
	if err != nil {
		t.Fatal(err)
	}
	return c, log
}

// costOf returns what one entry of a newSized cache costs.
func costOf(t testing.TB, key string, v int64) int64 {
	t.Helper()
	c, _ := newSized(t, math.MaxInt64)
	c.Add(key, v)
	return c.Stats().Bytes
}

func (c *Cache[V]) keys() (keys []string) {
	for e := c.order.front; e != nil; e = e.next {
		keys = append(keys, e.key)
	}
	return keys
}

func TestNewRefuses(t *testing.T) {
	size := func(string, int) int64 { return 0 }
	tests := []struct {
		name     string
		maxBytes int64
		size     func(string, int) int64
		want     string
	}{
		{"no bound", 0, size, "bound must be positive"},
		{"a negative bound", -1, size, "bound must be positive"},
		{"no size", 1, nil, "size is nil"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(tt.maxBytes, tt.size, nil)
			if c != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, %v; want an error with %q", c, err, tt.want)
			}
		})
	}
}

// Each case starts with room for exactly three entries, a, b and c, added in that
// order.
func TestWhatStaysAndWhatLeaves(t *testing.T) {
	const v = 64 // every value's size, unless said
	tests := []struct {
		name string
		do   func(t *testing.T, c *Cache[int64])
		keys string // from the one used last on
		left []left
	}{
		{
			name: "the longest unused makes room",
			do:   func(t *testing.T, c *Cache[int64]) { c.Add("d", v) },
			keys: "d c b",
			left: []left{{"a", v, Evicted}},
		},
		{
			name: "Get is use",
			do: func(t *testing.T, c *Cache[int64]) {
				if got, ok := c.Get("a"); got != v || !ok {
					t.Errorf("Get = %d, %v", got, ok)
				}
				c.Add("d", v)
			},
			keys: "d a c",
			left: []left{{"b", v, Evicted}},
		},
		{
			name: "Get of what is not there",
			do: func(t *testing.T, c *Cache[int64]) {
				if got, ok := c.Get("d"); got != 0 || ok {
					t.Errorf("Get = %d, %v", got, ok)
				}
			},
			keys: "c b a",
		},
		{
			name: "Add replaces and is use",
			do:   func(t *testing.T, c *Cache[int64]) { c.Add("a", v-1) },
			keys: "a c b",
			left: []left{{"a", v, Replaced}},
		},
		{
			name: "a larger value in place of a smaller one makes room",
			do:   func(t *testing.T, c *Cache[int64]) { c.Add("a", 2*v) },
			keys: "a c",
			left: []left{{"a", v, Replaced}, {"b", v, Evicted}},
		},
		{
			name: "several make room for one, the longest unused first",
			do:   func(t *testing.T, c *Cache[int64]) { c.Add("d", 5*v) },
			keys: "d",
			left: []left{{"a", v, Evicted}, {"b", v, Evicted}, {"c", v, Evicted}},
		},
		{
			name: "what is larger than the bound is not kept",
			do: func(t *testing.T, c *Cache[int64]) {
				for _, size := range []int64{1000, math.MaxInt64 - 4096, math.MaxInt64} {
					if c.Add("d", size) {
						t.Errorf("Add of %d bytes says that it is kept", size)
					}
				}
				if got := c.Stats().Rejected; got != 3 {
					t.Errorf("Rejected = %d, want 3", got)
				}
			},
			keys: "c b a",
		},
		{
			name: "what is larger than the bound takes the older value with it",
			do: func(t *testing.T, c *Cache[int64]) {
				if c.Add("b", 1000) {
					t.Error("Add says that it is kept")
				}
			},
			keys: "c a",
			left: []left{{"b", v, Replaced}},
		},
		{
			name: "a negative size is 0",
			do:   func(t *testing.T, c *Cache[int64]) { c.Add("a", -1000) },
			keys: "a c b",
			left: []left{{"a", v, Replaced}},
		},
		{
			name: "Remove",
			do: func(t *testing.T, c *Cache[int64]) {
				if !c.Remove("b") || c.Remove("b") || c.Remove("d") {
					t.Error("Remove reports the wrong thing")
				}
			},
			keys: "c a",
			left: []left{{"b", v, Removed}},
		},
		{
			name: "RemoveIf drops what it is shown, for the reason given",
			do: func(t *testing.T, c *Cache[int64]) {
				is := func(want int64) func(int64) bool { return func(v int64) bool { return v == want } }
				if c.RemoveIf("b", Expired, is(v+1)) || !c.RemoveIf("b", Expired, is(v)) ||
					c.RemoveIf("b", Expired, is(v)) {
					t.Error("RemoveIf reports the wrong thing")
				}
			},
			keys: "c a",
			left: []left{{"b", v, Expired}},
		},
		{
			name: "Clear",
			do: func(t *testing.T, c *Cache[int64]) {
				c.Clear()
				c.Add("d", v)
				c.Add("a", v)
			},
			keys: "a d",
			left: []left{{"a", v, Removed}, {"b", v, Removed}, {"c", v, Removed}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, log := newSized(t, 3*costOf(t, "a", v))
			for _, key := range []string{"a", "b", "c"} {
				if !c.Add(key, v) {
					t.Fatalf("Add(%q) = false", key)
				}
			}
			tt.do(t, c)
			if got := strings.Join(c.keys(), " "); got != tt.keys {
				t.Errorf("keys are %q, want %q", got, tt.keys)
			}
			if !slices.Equal(*log, tt.left) {
				t.Errorf("left: %v, want %v", *log, tt.left)
			}
			checkInvariants(t, c)
		})
	}
}

func TestOnLeaveMayUseTheCache(t *testing.T) {
	var c *Cache[int64]
	var err error
	c, err = New(1000,
		func(string, int64) int64 { return 0 },
		func(key string, v int64, r Reason) {
			if _, ok := c.Get(key); ok && r != Replaced {
				t.Errorf("%q is still in when it is said to have left", key)
			}
			if r == Evicted {
				c.Remove("not there")
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		c.Add(fmt.Sprint(i), 0)
	}
	c.Clear()
}

func TestNoOnLeave(t *testing.T) {
	c := newBytesCache(t, 1000)
	for i := range 100 {
		c.Add(fmt.Sprint(i%50), nil)
	}
	c.Remove("49")
	c.Clear()
	checkInvariants(t, c)
}

func TestReasonString(t *testing.T) {
	for r, want := range map[Reason]string{
		Evicted: "evicted", Expired: "expired", Removed: "removed", Replaced: "replaced", 9: "Reason(9)",
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	c := newBytesCache(t, 1<<20)
	c.Add("here", nil)
	c.Add("front", nil)
	if n := testing.AllocsPerRun(100, func() {
		c.Get("here")
		c.Get("front")
		c.Get("not here")
	}); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}

func TestAddUnlessRefused(t *testing.T) {
	c, err := New(1<<20, func(string, string) int64 { return 0 }, nil)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(answer bool) func() bool { return func() bool { return answer } }
	if !c.AddUnless(refuse(false), "k", "first") || c.AddUnless(refuse(true), "k", "second") {
		t.Fatal("kept what was refused, or refused what was not")
	}
	if v, ok := c.Get("k"); !ok || v != "first" {
		t.Fatalf("%q, %v", v, ok)
	}
}
