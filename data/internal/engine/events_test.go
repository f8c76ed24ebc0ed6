package engine

import (
	"slices"
	"testing"

	"github.com/peercache/peercache/data/internal/pubsub"
)

// TestD4NotificationFlags has what redis-server 7.0 replies to CONFIG SET and CONFIG GET of notify-keyspace-events.
func TestD4NotificationFlags(t *testing.T) {
	e := newTest(t, Config{})
	for _, c := range []struct{ flags, want string }{
		{"AKE", "AKE"}, {"AKEn", "AKE"}, {"KEA", "AKE"}, {"g$lshzxetdKE", "AKE"}, {"KEn", "nKE"}, {"KEg$lshzxet", "g$lshzxetKE"},
		{"m", "m"}, {"AKEm", "AKEm"}, {"KEx", "xKE"}, {"", ""}, {"nmKEA", "AKEm"},
	} {
		if err := e.SetNotifications(c.flags); err != nil || e.Notifications() != c.want {
			t.Errorf("after %q there is %q, %v, want %q", c.flags, e.Notifications(), err, c.want)
		}
	}
	for _, flags := range []string{"Q", "KEQ"} {
		if e.SetNotifications(flags) == nil || e.Notifications() != "AKEm" {
			t.Errorf("%q is no error, or has changed something: %s", flags, e.Notifications())
		}
	}
}

// messages is a subscriber that keeps what it gets.
type messages []string

func (m *messages) Message(p pubsub.Message) { *m = append(*m, p.Channel+" "+p.Text) }

func TestNotifications(t *testing.T) {
	for _, c := range []struct {
		flags    string
		commands []string
		want     []string
	}{
		{"", []string{"set a 1"}, nil},
		{"A", []string{"set a 1"}, nil},
		{"KE", []string{"set a 1"}, nil},
		{"KEA", []string{"set a 1", "del a b"}, []string{
			"__keyspace@0__:a set", "__keyevent@0__:set a", "__keyspace@0__:a del", "__keyevent@0__:del a"}},
		{"E$", []string{"set a 1", "del a"}, []string{"__keyevent@0__:set a"}},
		{"En", []string{"set a 1", "set a 2"}, []string{"__keyevent@0__:new a"}},
		{"Ex", []string{"set a 1 1", "get a", "del a"}, []string{"__keyevent@0__:expired a"}},
		{"EA", []string{"set a 1", "flush"}, []string{"__keyevent@0__:set a"}},
	} {
		e := newTest(t, Config{})
		if err := e.SetNotifications(c.flags); err != nil {
			t.Fatal(err)
		}
		var got messages
		e.Messages.Subscribe(pubsub.Pattern, "__key*", &got)
		for _, command := range c.commands {
			do(t, e, command)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q are told %q, want %q", c.flags, c.commands, got, c.want)
		}
	}
}

// TestEventsOfTransactions has those told of that were not undone, once all has happened.
func TestEventsOfTransactions(t *testing.T) {
	e := newTest(t, Config{})
	var got []string
	e.OnEvent(^Class(0), func(class Class, event, key string) { got = append(got, event+" "+key) })
	x, _ := e.Begin(background)
	for _, q := range queued(e, "set a 1", "set b 1", "del a") {
		x.Run(q.Command, q.Args, new(tokens))
	}
	x.BackTo(2)
	if len(got) > 0 {
		t.Errorf("%q was told before Commit", got)
	}
	if err := x.Commit(background); err != nil {
		t.Fatal(err)
	}
	do(t, e, "flush")
	if want := []string{"new a", "set a", "new b", "set b", "flushdb "}; !slices.Equal(got, want) {
		t.Errorf("%q are told, want %q", got, want)
	}
	e.OnEvent(0, nil)
	do(t, e, "set c 1")
	if len(got) != 5 {
		t.Errorf("%q were told after the end", got[5:])
	}
}

// TestUndoneIsForgotten has nothing be kept of what was undone: a txn is used again.
func TestUndoneIsForgotten(t *testing.T) {
	e := newTest(t, Config{})
	e.OnEvent(^Class(0), func(Class, string, string) {})
	defer e.OnChange(func([]string, bool) {})()
	x, err := e.Begin(background)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Rollback()
	for _, q := range queued(e, "set a 1", "set b 1", "set c 1") {
		x.Run(q.Command, q.Args, new(tokens))
	}
	if err := x.BackTo(0); err != nil {
		t.Fatal(err)
	}
	for _, n := range x.t.notices[:cap(x.t.notices)] {
		if n.key != "" {
			t.Errorf("the event %v is kept", n)
		}
	}
	for _, key := range x.t.keys[:cap(x.t.keys)] {
		if key != "" {
			t.Errorf("the key %s is kept", key)
		}
	}
}
