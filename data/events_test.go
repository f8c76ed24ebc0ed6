package data_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data"
)

func ExampleMemory_Subscribe() {
	memory, err := data.NewMemory()
	if err != nil {
		panic(err)
	}
	defer memory.Close()
	ctx, cancel := context.WithCancel(context.Background())
	events := memory.Subscribe(ctx, data.EventFilter{Keys: "user:*", Kinds: data.EventWritten | data.EventRemoved})
	memory.Do(ctx, data.Command("SET", "user:1", "Ann"), data.Command("SET", "other", "x"), data.Command("DEL", "user:1"))
	cancel()
	for ev := range events.C() {
		fmt.Println(ev.Kind, ev.Name, ev.Key)
	}
	fmt.Println(events.Dropped(), "dropped")
	// Output:
	// written set user:1
	// removed del user:1
	// 0 dropped
}

// received returns the events that wait, as texts.
func received(s *data.Subscription) (list []string) {
	for {
		select {
		case ev, ok := <-s.C():
			if !ok {
				return append(list, "end")
			}
			list = append(list, fmt.Sprintf("%v %s %s", ev.Kind, ev.Name, ev.Key))
		default:
			return list
		}
	}
}

func TestSubscribe(t *testing.T) {
	for _, c := range []struct {
		name     string
		filter   data.EventFilter
		commands []string
		want     []string
	}{
		{"all", data.EventFilter{}, []string{"set a 1", "expire a 100", "rename a b", "getdel b"},
			[]string{"written set a", "written expire a", "removed rename_from a", "written rename_to b", "removed del b"}},
		{"keys", data.EventFilter{Keys: "a[12]"}, []string{"mset a1 x a2 x a3 x", "flushdb"},
			[]string{"written set a1", "written set a2", "removed flushdb "}},
		{"kinds", data.EventFilter{Kinds: data.EventRemoved}, []string{"set a 1", "del a"}, []string{"removed del a"}},
		{"expired", data.EventFilter{Kinds: data.EventExpired}, []string{"set a 1 px 1", "wait", "get a", "set b 1"}, []string{"expired expired a"}},
		{"expired while it is written", data.EventFilter{}, []string{"set a 1 px 1", "wait", "set a 1"},
			[]string{"written set a", "written expire a", "expired expired a", "written set a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(t)
				s := m.Subscribe(t.Context(), c.filter)
				for _, command := range c.commands {
					if command == "wait" {
						time.Sleep(time.Second) // of the bubble
						continue
					}
					reply(t, m, command)
				}
				if got := received(s); !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestEventsOfTx(t *testing.T) {
	m := newMemory(t)
	s := m.Subscribe(t.Context(), data.EventFilter{})
	m.Tx(t.Context(), func(tx data.Transaction) error {
		tx.Do(data.Command("set", "a", "1"))
		tx.Do(data.Command("set", "b", "1"))
		if got := received(s); len(got) > 0 {
			t.Errorf("%q is told before the end", got)
		}
		return tx.UndoLast()
	})
	if got, want := received(s), []string{"written set a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEvictedEvents(t *testing.T) {
	m := newMemory(t, data.WithBytes(50_000), data.WithEviction(data.EvictLRU))
	s := m.Subscribe(t.Context(), data.EventFilter{Kinds: data.EventEvicted, Buffer: 1})
	for i := range 2000 {
		reply(t, m, fmt.Sprintf("set key%d value", i))
	}
	if got := received(s); len(got) != 1 || s.Dropped() == 0 {
		t.Errorf("got %q and %d dropped, want one and the rest", got, s.Dropped())
	}
}

// TestSubscriptionsEnd has them end by their contexts and by Close, while others write.
func TestSubscriptionsEnd(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for g := range 2 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					reply(t, m, fmt.Sprintf("set %d-%d 1", g, i))
				}
			}
		})
	}
	lasting := m.Subscribe(context.Background(), data.EventFilter{Buffer: 10})
	for range 100 {
		ctx, cancel := context.WithCancel(context.Background())
		s := m.Subscribe(ctx, data.EventFilter{Buffer: 10})
		<-s.C()
		cancel()
		for range s.C() { // until it is closed
		}
	}
	close(stop)
	group.Wait()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for range lasting.C() {
		n++
	}
	if n == 0 || lasting.Dropped() == 0 {
		t.Errorf("%d events were received and %d dropped", n, lasting.Dropped())
	}
	if got := received(m.Subscribe(context.Background(), data.EventFilter{})); !slices.Equal(got, []string{"end"}) {
		t.Errorf("of a Memory that is closed there is %q", got)
	}
}

func TestEventKinds(t *testing.T) {
	for k := data.EventWritten; k <= data.EventRemoved; k <<= 1 {
		if got, err := data.ParseEventKind(k.String()); got != k || err != nil {
			t.Errorf("ParseEventKind(%v) = %v, %v", k, got, err)
		}
	}
	if _, err := data.ParseEventKind("seen"); err == nil {
		t.Error("ParseEventKind(seen) is no error")
	}
}
