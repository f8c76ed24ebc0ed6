package lru

import (
	"slices"
	"testing"
)

// Update changes a value in its place: its size counts as before, nothing leaves, and it
// counts as no use.
func TestUpdate(t *testing.T) {
	c, log := newSized(t, 3*costOf(t, "a", 100))
	c.Add("a", 100)
	c.Add("b", 100)
	before := c.Stats()
	if !c.Update("a", func(v int64) (int64, bool) { return v + 1, true }) {
		t.Error("a was not updated")
	}
	if c.Update("b", func(int64) (int64, bool) { return 0, false }) {
		t.Error("b was updated against f's will")
	}
	if c.Update("c", func(int64) (int64, bool) { t.Error("f was called for nothing"); return 0, true }) {
		t.Error("what is not there was updated")
	}
	if s := c.Stats(); s != before || len(*log) != 0 {
		t.Errorf("%+v, %v left: want %+v as before, and nothing", s, *log, before)
	}
	if order := c.keys(); !slices.Equal(order, []string{"b", "a"}) {
		t.Errorf("the order is %v: want b before a, as they were added", order)
	}
	for key, want := range map[string]int64{"a": 101, "b": 100} {
		if v, ok := c.Get(key); !ok || v != want {
			t.Errorf("%s is %d, %v, want %d", key, v, ok, want)
		}
	}
}

// A panic of f leaves the cache as it was, and usable.
func TestUpdateThatPanics(t *testing.T) {
	c, _ := newSized(t, 1<<20)
	c.Add("a", 1)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		c.Update("a", func(int64) (int64, bool) { panic("f") })
	}()
	if v, ok := c.Get("a"); !ok || v != 1 {
		t.Errorf("a is %d, %v", v, ok)
	}
}

// Range has what was in at one moment, the latest used first, whatever f does.
func TestRange(t *testing.T) {
	c, _ := newSized(t, 1<<20)
	for i, key := range []string{"a", "b", "c", "d"} {
		c.Add(key, int64(i))
	}
	c.Get("b")
	var order []string
	c.Range(func(key string, v int64) bool {
		if want := int64(key[0] - 'a'); v != want {
			t.Errorf("%s has %d, want %d", key, v, want)
		}
		order = append(order, key)
		c.Remove("c")
		c.Get("a")
		c.Add("new", 1)
		return key != "c"
	})
	if want := []string{"b", "d", "c"}; !slices.Equal(order, want) {
		t.Errorf("Range came to %v, want %v and no more", order, want)
	}
}
