package engine

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// model is a plain map that does what testCommands do.
type model map[string]modelValue

type modelValue struct {
	str   string
	items []string // if isStack
	stack bool
	at    int64
}

func (m model) clone() model { return maps.Clone(m) }

func (m model) find(key string, now int64) (modelValue, bool) {
	v, ok := m[key]
	return v, ok && (v.at == 0 || v.at > now)
}

// do returns what a command replies.
func (m model) do(now int64, args []string) string {
	key := ""
	if len(args) > 1 {
		key = args[1]
	}
	v, ok := m.find(key, now)
	switch args[0] {
	case "get", "lockedget":
		switch {
		case ok && v.stack:
			return "-" + string(ErrWrongType)
		case ok:
			return "$" + v.str
		}
		return "_"
	case "set":
		var at int64
		if len(args) > 3 {
			at, _ = strconv.ParseInt(args[3], 10, 64)
		}
		m[key] = modelValue{str: args[2], at: at}
		return "+OK"
	case "mset", "badmset":
		for i := 1; i < len(args); i += 2 {
			m[args[i]] = modelValue{str: args[i+1]}
		}
		return "+OK"
	case "mget":
		list := []string{"*" + strconv.Itoa(len(args)-1)}
		for _, key := range args[1:] {
			if v, ok := m.find(key, now); ok && !v.stack {
				list = append(list, "$"+v.str)
			} else {
				list = append(list, "_")
			}
		}
		return strings.Join(list, " ")
	case "incr":
		n, err := strconv.ParseInt(v.str, 10, 64)
		switch {
		case ok && v.stack:
			return "-" + string(ErrWrongType)
		case ok && err != nil:
			return "-" + string(ErrNotInt)
		case !ok:
			v, n = modelValue{}, 0
		}
		v.str = strconv.FormatInt(n+1, 10)
		m[key] = v
		return ":" + v.str
	case "del":
		n := 0
		for _, key := range args[1:] {
			if _, ok := m.find(key, now); ok {
				n++
			}
			delete(m, key)
		}
		return ":" + strconv.Itoa(n)
	case "expireat":
		if !ok {
			return ":0"
		}
		v.at, _ = strconv.ParseInt(args[2], 10, 64)
		m[key] = v
		return ":1"
	case "rename":
		if !ok {
			return "-" + string(ErrNoKey)
		}
		delete(m, key)
		m[args[2]] = v
		return "+OK"
	case "flush":
		clear(m)
		return "+OK"
	}
	return m.doStack(v, ok, now, args)
}

func (m model) doStack(v modelValue, ok bool, now int64, args []string) string {
	if ok && !v.stack {
		return "-" + string(ErrWrongType)
	}
	if !ok {
		v = modelValue{stack: true}
	}
	key := args[1]
	switch args[0] {
	case "push":
		v.items = slices.Concat(v.items, args[2:])
		m[key] = v
		return ":" + strconv.Itoa(len(v.items))
	case "compound":
		switch args[2] {
		case "fail":
			return "-ERR failed"
		case "panic":
			return "-ERR the command 'compound' panicked: boom"
		}
		v.items = slices.Concat(v.items, []string{args[2], args[2]})
		m[key] = v
		return "+OK"
	case "pop", "bpop": // of one key
		item, ok := m.pop(key, v)
		if !ok {
			return "_"
		}
		return "$" + item
	case "bmove":
		to, ok := m.find(args[2], now)
		if len(v.items) == 0 {
			return "_"
		}
		if ok && !to.stack {
			return "-" + string(ErrWrongType)
		}
		item, _ := m.pop(key, v)
		if to, ok = m.find(args[2], now); !ok {
			to = modelValue{stack: true}
		}
		to.items = slices.Concat(to.items, []string{item})
		m[args[2]] = to
		return "$" + item
	}
	panic(args[0])
}

func (m model) pop(key string, v modelValue) (string, bool) {
	if len(v.items) == 0 {
		return "", false
	}
	last := len(v.items) - 1
	item := v.items[last]
	if v.items = v.items[:last:last]; last == 0 {
		delete(m, key)
	} else {
		m[key] = v
	}
	return item, true
}

func (m model) contents(now int64) map[string]string {
	all := map[string]string{}
	for key := range m {
		if v, ok := m.find(key, now); ok {
			if v.stack {
				all[key] = fmt.Sprintf("stack %s until %d", fmt.Sprint(v.items), v.at)
			} else {
				all[key] = fmt.Sprintf("string %s until %d", v.str, v.at)
			}
		}
	}
	return all
}

// history is random commands that an engine and a model get.
type history struct {
	t    *testing.T
	r    *rand.Rand
	e    *Engine
	m    model
	now  clock
	keys int
}

func newHistory(t *testing.T, seed uint64, cfg Config) *history {
	h := &history{t: t, r: rand.New(rand.NewPCG(seed, 1)), m: model{}, keys: 20}
	h.now.Store(1_700_000_000_000)
	cfg.Now = h.now.Load
	h.e = newTest(t, cfg)
	return h
}

func (h *history) key() string { return "key" + strconv.Itoa(h.r.IntN(h.keys)) }

func (h *history) text() string {
	if h.r.IntN(3) == 0 {
		return strconv.Itoa(h.r.IntN(1000))
	}
	return strings.Repeat("x", 1+h.r.IntN(100))
}

func (h *history) at() string {
	return strconv.FormatInt(h.now.Load()+int64(h.r.IntN(20_000))-1000, 10)
}

// command returns a random command.
func (h *history) command() []string {
	switch h.r.IntN(16) {
	case 0:
		return []string{"get", h.key()}
	case 1:
		return []string{"set", h.key(), h.text()}
	case 2:
		return []string{"set", h.key(), h.text(), h.at()}
	case 3:
		return []string{"mset", h.key(), h.text(), h.key(), h.text()}
	case 4:
		return []string{"mget", h.key(), h.key()}
	case 5:
		return []string{"incr", h.key()}
	case 6:
		return []string{"del", h.key(), h.key()}
	case 7:
		return []string{"expireat", h.key(), h.at()}
	case 8:
		return []string{"rename", h.key(), h.key()}
	case 9:
		if h.r.IntN(20) == 0 {
			return []string{"flush"}
		}
		return []string{"lockedget", h.key()}
	case 10:
		return []string{"compound", h.key(), []string{"fail", "panic", "good"}[h.r.IntN(3)]}
	case 11, 12:
		return []string{"pop", h.key()}
	case 13:
		return []string{"bmove", h.key(), h.key(), "1"}
	}
	return []string{"push", h.key(), h.text(), h.text()}
}

// step does something at random.
func (h *history) step() {
	switch h.r.IntN(10) {
	case 0:
		h.exec()
	case 1, 2:
		h.tx()
	case 3:
		h.now.Add(int64(h.r.IntN(3000)))
		if h.r.IntN(2) == 0 {
			h.e.Sweep()
		}
	default:
		args := h.command()
		if args[0] == "bmove" { // which would wait
			args = []string{"get", args[1]}
		}
		w := new(tokens)
		if err := h.e.Run(context.Background(), h.e.Commands().Find(args[0]), args, w); err != nil {
			h.t.Fatal(err)
		}
		h.want(args, w.String(), h.m.do(h.now.Load(), args))
	}
}

func (h *history) want(args []string, got, want string) {
	h.t.Helper()
	if got != want {
		h.t.Fatalf("%v replies %s, want %s", args, got, want)
	}
}

func (h *history) exec() {
	var queue []Queued
	n := 1 + h.r.IntN(4)
	want := []string{"*" + strconv.Itoa(n)}
	for range n {
		args := h.command()
		queue = append(queue, Queued{h.e.Commands().Find(args[0]), args})
		want = append(want, h.m.do(h.now.Load(), args))
	}
	w := new(tokens)
	if err := h.e.Exec(context.Background(), queue, nil, w); err != nil {
		h.t.Fatal(err)
	}
	h.want([]string{"exec"}, w.String(), strings.Join(want, " "))
}

// tx runs a Tx that goes back at random.
func (h *history) tx() {
	x, err := h.e.Begin(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	states := []model{h.m.clone()} // after each command
	for range 1 + h.r.IntN(8) {
		if h.r.IntN(4) == 0 {
			n := h.r.IntN(len(states))
			if err := x.BackTo(n); err != nil {
				h.t.Fatal(err)
			}
			states = states[:n+1]
			h.m = states[n].clone()
			continue
		}
		args, w := h.command(), new(tokens)
		if err := x.Run(h.e.Commands().Find(args[0]), args, w); err != nil {
			h.t.Fatal(err)
		}
		h.want(args, w.String(), h.m.do(h.now.Load(), args))
		if !strings.HasPrefix(w.String(), "-") {
			states = append(states, h.m.clone())
		}
		if x.Len() != len(states)-1 {
			h.t.Fatalf("Len = %d after %v, want %d", x.Len(), args, len(states)-1)
		}
	}
	if h.r.IntN(3) == 0 {
		x.Rollback()
		h.m = states[0]
		return
	}
	if err := x.Commit(context.Background()); err != nil {
		h.t.Fatal(err)
	}
}

// check compares the engine with the model, and what is counted with what is there.
func (h *history) check() {
	h.t.Helper()
	if got, want := contents(h.e), h.m.contents(h.now.Load()); !maps.Equal(got, want) {
		h.t.Fatalf("the engine has\n%v\nwant\n%v", got, want)
	}
	if got, want := h.e.Used(), counted(h.e); got != want {
		h.t.Fatalf("Used = %d, want %d", got, want)
	}
	volatile := 0
	for i := range h.e.shards {
		h.e.shards[i].keys.Load().All(func(n *Node) bool {
			if n.Value.Expire != 0 {
				volatile++
			}
			return true
		})
	}
	if got := h.e.Volatile(); got != volatile {
		h.t.Fatalf("Volatile = %d, want %d", got, volatile)
	}
}

// TestD2HistoriesAreThoseOfAMap has random commands, transactions that go back, and time that passes, and compares replies, what is kept and
// the memory that is counted with a plain map.
func TestD2HistoriesAreThoseOfAMap(t *testing.T) {
	for seed := range uint64(60) {
		h := newHistory(t, seed, Config{})
		h.keys = 1 + int(seed)*3
		for i := range 2000 {
			h.step()
			if i%50 == 0 {
				h.check()
			}
		}
		h.check()
		do(t, h.e, "flush")
		if used := h.e.Used(); used != 0 {
			t.Fatalf("Used = %d of nothing", used)
		}
	}
}
