package data

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// A group's getter reads strings, with what their keys have left to live.
func TestOrigin(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	if err := c.Strings().Set(ctx, "u:a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Strings().SetEX(ctx, "u:b", "2", time.Hour); err != nil {
		t.Fatal(err)
	}
	o := Origin(c.Driver()).WithPrefix("u:")
	items, err := o.GetBatch(ctx, []string{"a", "none", "b"})
	each, ok := errors.AsType[peercache.BatchError](err)
	if !ok || each[0] != nil || !errors.Is(each[1], peercache.ErrNotFound) || each[2] != nil {
		t.Fatalf("%v", err)
	}
	if string(items[0].Value) != "1" || items[0].TTL != 0 || string(items[2].Value) != "2" || items[2].TTL > time.Hour || items[2].TTL < 59*time.Minute {
		t.Errorf("%v", items)
	}
	if _, err := o.Get(ctx, "none"); !errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if item, err := o.Get(ctx, "a"); err != nil || string(item.Value) != "1" {
		t.Errorf("%v, %v", item, err)
	}
	if _, err := c.Hashes().HSet(ctx, "u:hash", map[string]string{"f": "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Get(ctx, "hash"); !errors.Is(err, ErrWrongType) {
		t.Errorf("%v, want ErrWrongType", err)
	}
	for _, c := range []struct {
		before, after int64
		want          time.Duration
	}{
		{-1, -1, 0}, {-2, -2, -1}, {-2, 5000, -1}, {5000, -2, -1}, {-2, -1, -1}, {0, 0, -1}, {1, 1, -1}, {3, 3, 2 * time.Millisecond},
		{-1, 5000, 4999 * time.Millisecond}, {5000, -1, 4999 * time.Millisecond}, {5000, 7000, 4999 * time.Millisecond}, {7000, 5000, 4999 * time.Millisecond},
	} {
		got, err := leftOf(Reply{Kind: IntReply, Int: c.before}, Reply{Kind: IntReply, Int: c.after}, time.Millisecond)
		if got != c.want || err != nil {
			t.Errorf("PTTL %d and then %d: %v, %v, want %v", c.before, c.after, got, err, c.want)
		}
	}
}

// between is a driver in which something happens between two commands of a pipeline.
type between struct {
	*Memory
	before string // the name of the second one
	do     func()
}

func (b *between) Do(ctx context.Context, cmds ...Cmd) (replies []Reply, err error) {
	for _, cmd := range cmds {
		if cmd.Name == b.before && b.do != nil {
			b.do()
		}
		r, err := b.Memory.Do(ctx, cmd)
		if err != nil {
			return replies, err
		}
		replies = append(replies, r...)
	}
	return replies, nil
}

// A value that came after the first question, with an end, in the place of one without, is kept no longer than it lives.
func TestNoValueOutlivesItsKey(t *testing.T) {
	c := newClient(t)
	ctx := t.Context()
	s := c.Strings()
	b := &between{Memory: c.Driver().(*Memory)}
	level, err := SecondLevel(b, "l:")
	if err != nil {
		t.Fatal(err)
	}
	kept := levelValue + anyPermit
	for key, value := range map[string]string{"o:a": "old", "l:a": kept + "old"} {
		if err := s.Set(ctx, key, value); err != nil {
			t.Fatal(err)
		}
	}
	b.before, b.do = "get", func() {
		if err := s.SetEX(ctx, "o:a", "new", time.Minute); err != nil {
			t.Error(err)
		}
	}
	if item, err := Origin(b).WithPrefix("o:").Get(ctx, "a"); err != nil || string(item.Value) != "new" || item.TTL <= 0 || item.TTL > time.Minute {
		t.Errorf("the origin has %q for %v, %v", item.Value, item.TTL, err)
	}
	b.before, b.do = "set", func() {
		if err := s.SetEX(ctx, "l:a", kept+"new", time.Minute); err != nil {
			t.Error(err)
		}
	}
	all, err := level.Get(ctx, []string{"a"})
	if err != nil || !all[0].Found || string(all[0].Item.Value) != "new" || all[0].Item.TTL <= 0 || all[0].Item.TTL > time.Minute {
		t.Errorf("the second level has %+v, %v", all, err)
	}
}

// anyPermit is one of a second level.
const anyPermit = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// The contract of a second level is part of package drivertest.
func TestSecondLevelWithoutPrefix(t *testing.T) {
	if _, err := SecondLevel(newClient(t).Driver(), ""); err == nil {
		t.Error("no error")
	}
}
