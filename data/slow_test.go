package data_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data"
)

func TestOnSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, data.WithCommands(data.CommandSpec{Name: "nap", Arity: -2, Run: func(c *data.Call) error {
			d, err := time.ParseDuration(c.Args[1])
			time.Sleep(d) // of the bubble
			return err
		}}))
		var got []string
		stop := m.OnSlow(10*time.Millisecond, func(s data.SlowCommand) { got = append(got, s.Args[1]+" "+s.Took.String()) })
		all := 0
		defer m.OnSlow(0, func(s data.SlowCommand) {
			all++
			if len(s.Args) > 32 || slices.ContainsFunc(s.Args, func(arg string) bool { return len(arg) > 128 }) {
				t.Errorf("a command is kept with %d arguments, or long ones", len(s.Args))
			}
		})()
		reply(t, m, "nap 9ms")
		reply(t, m, "nap 11ms")
		m.Tx(t.Context(), func(tx data.Transaction) error {
			_, err := tx.Do(data.Command("nap", "12ms"))
			return err
		})
		stop()
		reply(t, m, "nap 13ms")
		reply(t, m, "del "+strings.Repeat("x ", 100)+strings.Repeat("x", 1000))
		reply(t, m, "nap 1ms "+strings.Repeat("x", 1000))
		if want := []string{"11ms 11ms", "12ms 12ms"}; !slices.Equal(got, want) || all != 6 {
			t.Errorf("told of %q, and %d in all, want %q, and 6", got, all, want)
		}
	})
}
