package tiered

import (
	"slices"
	"strings"
	"sync"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// plan is what a command is to a Driver.
type plan struct {
	reads bool     // it changes nothing
	keys  []string // of it; if it reads and has none, only the last level can answer
	all   bool     // it is about all keys
}

var table = sync.OnceValue(func() engine.Table {
	t, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		panic(err)
	}
	return t
})

// plansOf returns what commands are, and whether all of them read.
func plansOf(cmds []data.Cmd) (plans []plan, read bool) {
	plans, read = make([]plan, len(cmds)), true
	for i, cmd := range cmds {
		plans[i] = planOf(cmd)
		read = read && plans[i].reads
	}
	return plans, read
}

// planOf returns what a command is. What is not known may write all keys.
func planOf(cmd data.Cmd) (p plan) {
	c := table().Find(cmd.Name)
	if c == nil {
		return plan{all: true}
	}
	args := append([]string{cmd.Name}, cmd.Args...)
	if !c.Fits(len(args)) {
		return plan{reads: true}
	}
	p.reads = c.Flags&engine.Write == 0
	p.all = c.Flags&engine.All != 0
	switch c.Name {
	case "object", "expiretime", "pexpiretime": // what a copy does not have, or not as exactly
		return p
	case "hscan", "sscan", "zscan": // a cursor means nothing at another level than that which has replied it
		return p
	}
	c.KeysOf(args, func(key string) { p.keys = append(p.keys, key) })
	return p
}

// keysRead returns the keys of commands that read, each once, and whether a level that has them can answer all.
func keysRead(plans []plan) (keys []string, anywhere bool) {
	anywhere = true
	for _, p := range plans {
		keys = append(keys, p.keys...)
		anywhere = anywhere && len(p.keys) > 0
	}
	slices.Sort(keys)
	return slices.Compact(keys), anywhere
}

func isGet(cmd data.Cmd) bool { return len(cmd.Args) == 1 && strings.EqualFold(cmd.Name, "get") }

func onlyGets(cmds []data.Cmd) bool {
	return !slices.ContainsFunc(cmds, func(cmd data.Cmd) bool { return !isGet(cmd) })
}
