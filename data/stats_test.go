package data

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestStats(t *testing.T) {
	m, err := NewMemory(WithBytes(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, ctx := New(m), context.Background()
	if err := c.Strings().Set(ctx, "a", strings.Repeat("x", 1000)); err != nil {
		t.Fatal(err)
	}
	if err := c.Strings().SetEX(ctx, "b", "y", time.Hour); err != nil {
		t.Fatal(err)
	}
	if s := m.Stats(); s.Keys != 2 || s.Expiring != 1 || s.Bytes < 1000 || s.Bytes > 100_000 || s.Limit != 1<<20 || s.Evicted != 0 || s.Expired != 0 {
		t.Errorf("%+v", s)
	}
	for i := 0; err == nil; i++ {
		err = c.Strings().Set(ctx, strconv.Itoa(i), strings.Repeat("x", 10_000))
	}
	if s := m.Stats(); !errors.Is(err, ErrFull) || s.Bytes < 1<<20 || s.Bytes > 1<<20+20_000 {
		t.Errorf("%v at %+v", err, s)
	}
}

func TestNotifications(t *testing.T) {
	if _, err := NewMemory(WithNotifications("no such")); err == nil {
		t.Error("flags that there are not")
	}
	m, err := NewMemory(WithNotifications("KEA"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := m.engine.Notifications(); got != "AKE" {
		t.Errorf("%q", got)
	}
}
