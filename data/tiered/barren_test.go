package tiered

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/data"
)

// What cannot be copied is not tried again on each read, and nobody waits for it.
func TestBarren(t *testing.T) {
	for _, c := range []struct {
		name, read, want, write, after string
		txs                            int64 // to find out that it cannot be copied
	}{
		{"nothing", "GET", nothing, "SET k x", "x", 0},
		{"nothing, of any type", "LLEN", "0", "RPUSH k x", "1", 1},
		{"a large key", "LLEN", "4", "LPOP k", "3", 1},
		{"a key of a type that is not copied", "CLEN", "0", "DEL k", "0", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				front, last := newTeller(t), newTeller(t)
				d := open(t, []data.Driver{front, last}, WithSoleWriter(), WithMaxElements(3))
				switch c.name {
				case "a large key":
					run(t, d, "RPUSH", "k", "1", "2", "3", "4")
				case "a key of a type that is not copied":
					run(t, d, "CMAKE", "k", "3")
				}
				txs := last.txs.Load()
				if got := run(t, d, c.read, "k"); got != c.want || last.txs.Load()-txs != c.txs {
					t.Errorf("it reads %s, by %d transactions", got, last.txs.Load()-txs)
				}
				dos, fronts := last.dos.Load(), front.dos.Load()
				last.before = func() { // others read at the same time
					last.before = nil
					for range 4 {
						if got := run(t, d, c.read, "k"); got != c.want {
							t.Errorf("it reads %s", got)
						}
					}
				}
				run(t, d, c.read, "k")
				asked := int64(0)
				if c.read == "GET" {
					asked = 5
				}
				if last.dos.Load()-dos != 5 || front.dos.Load()-fronts != asked || last.txs.Load()-txs != c.txs {
					t.Errorf("5 reads are %d at the last level, %d others at the front, %d transactions in all", last.dos.Load()-dos, front.dos.Load()-fronts-asked, last.txs.Load()-txs)
				}
				fields := strings.Fields(c.write)
				run(t, d, fields[0], fields[1:]...)
				if got := run(t, d, c.read, "k"); got != c.after {
					t.Errorf("after a write: %s, want %s", got, c.after)
				}
				if got, want := run(t, front.Memory, "EXISTS", "k"), run(t, last.Memory, "EXISTS", "k"); got != want {
					t.Errorf("after a write: EXISTS is %s at the front, and %s at the last level", got, want)
				}
			})
		})
	}
}

// A key that nobody has told of, and that can be copied now, is after a second.
func TestBarrenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front, last := memory(t), newTeller(t)
		d := open(t, []data.Driver{front, last})
		last.tell()
		run(t, d, "GET", "a")
		run(t, last.Memory, "SET", "a", "1")
		if got := run(t, d, "GET", "a") + run(t, front, "EXISTS", "a"); got != "10" {
			t.Errorf("before it is told: %s", got)
		}
		last.tell("a")
		if got := run(t, d, "GET", "a") + run(t, front, "EXISTS", "a"); got != "11" {
			t.Errorf("when it was told: %s", got)
		}
		run(t, d, "GET", "b")
		run(t, last.Memory, "SET", "b", "1")
		time.Sleep(barrenTime)
		if got := run(t, d, "GET", "b") + run(t, front, "EXISTS", "b"); got != "11" {
			t.Errorf("later: %s", got)
		}
	})
}

// Who reads what will not be copied as a whole waits for nobody who copies a part of it.
func TestNoWaitInVain(t *testing.T) {
	many := make([]string, mostFilled+1)
	for i := range many {
		many[i] = fmt.Sprint("k", i)
	}
	for name, cmds := range map[string][]data.Cmd{
		"nothing":         {data.Command("GET", "none"), data.Command("GET", "k0")},
		"no copy answers": {data.Command("DBSIZE"), data.Command("GET", "k0")},
		"many keys":       {data.Command("EXISTS", many...)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				last := newTeller(t)
				d := open(t, []data.Driver{memory(t), last}, WithSoleWriter())
				run(t, d, "SET", "k0", "1")
				run(t, d, "GET", "none")
				last.before = func() {
					last.before = nil
					for range 2 {
						if _, err := d.Do(t.Context(), cmds...); err != nil {
							t.Error(err)
						}
					}
				}
				if _, err := d.Do(t.Context(), cmds...); err != nil {
					t.Error(err)
				}
				if got := run(t, d, "GET", "k0"); got != "1" {
					t.Errorf("GET: %s", got)
				}
			})
		})
	}
}

// Barren keys take no more than so much memory.
func TestManyBarrenKeys(t *testing.T) {
	var s stripe
	for i := range 3 * mostSpans {
		if s.markBarren(fmt.Sprint(i)); len(s.barren) > mostSpans {
			t.Fatalf("it has %d keys", len(s.barren))
		}
	}
}
