package drivertest

import (
	"context"
	"fmt"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/data"
)

// secondLevel checks that a permit of a data.SecondLevel is good until its key is removed, or set.
func (s *suite) secondLevel() {
	ctx := s.Context()
	l, err := data.SecondLevel(s.driver, "u[*]:")
	if err != nil {
		s.Fatal(err)
	}
	get := func(want string) peercache.Leveled {
		s.Helper()
		all, err := l.Get(ctx, []string{"a"})
		if err != nil || len(all) != 1 || all[0].Found != (want != "") || string(all[0].Item.Value) != want || all[0].Permit == "" {
			s.Fatalf("%+v, %v, want %q", all, err, want)
		}
		return all[0]
	}
	set := func(value, permit string) {
		s.Helper()
		if err := l.Set(ctx, "a", peercache.Item{Value: []byte(value), TTL: time.Hour}, permit); err != nil {
			s.Error(err)
		}
	}
	first := get("").Permit
	if second := get("").Permit; second != first {
		s.Error("a second permit while there is one")
	}
	set("1", "no permit")
	get("")
	set("1", first)
	if at := get("1"); at.Item.TTL > time.Hour || at.Item.TTL < 59*time.Minute {
		s.Errorf("TTL %v", at.Item.TTL)
	}
	set("2", first)
	value := get("1").Permit
	set("3", value)
	value = get("3").Permit
	for name, remove := range map[string]func(context.Context) error{"Remove": func(ctx context.Context) error { return l.Remove(ctx, "a", "b") }, "Clear": l.Clear} {
		if err := remove(ctx); err != nil {
			s.Errorf("%s: %v", name, err)
		}
		set("4", value)
		value = get("").Permit
		if err := remove(ctx); err != nil {
			s.Errorf("%s: %v", name, err)
		}
		set("5", value)
		value = get("").Permit
		set("6", value)
		value = get("6").Permit
	}
	other := s.c.Strings()
	if err := other.Set(ctx, "u*:a", "x"); err != nil {
		s.Fatal(err)
	}
	for i := range 2500 {
		if _, err := l.Get(ctx, []string{fmt.Sprint(i)}); err != nil {
			s.Fatal(err)
		}
	}
	if err := l.Clear(ctx); err != nil {
		s.Error(err)
	}
	if n, err := s.c.Keys().DBSize(ctx); n != 1 || err != nil {
		s.Errorf("there are %d keys, %v, want that of somebody else", n, err)
	}
}
