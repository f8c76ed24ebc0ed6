package data

import (
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
	for ms, want := range map[int64]time.Duration{-1: 0, -2: -1, 0: -1, 1: -1, 3: 2 * time.Millisecond} {
		item, err := itemOf(Reply{Kind: IntReply, Int: ms}, Reply{Kind: StringReply}, time.Millisecond)
		if item.TTL != want || err != nil {
			t.Errorf("PTTL %d: %v, %v, want %v", ms, item.TTL, err, want)
		}
	}
}

// The contract of a second level is part of package drivertest.
func TestSecondLevelWithoutPrefix(t *testing.T) {
	if _, err := SecondLevel(newClient(t).Driver(), ""); err == nil {
		t.Error("no error")
	}
}
