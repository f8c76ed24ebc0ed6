package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// operation is what a client does at once: a command, or several in an EXEC or a Tx.
type operation struct {
	how      string // run, exec, tx or rollback
	commands [][]string
}

// linear is what operations do that happen one after the other.
var linear = porcupine.Model{
	Init: func() any { return model{} },
	Step: func(state, input, output any) (bool, any) {
		op, m := input.(operation), state.(model).clone()
		var replies []string
		for _, args := range op.commands {
			replies = append(replies, m.do(0, args))
		}
		if op.how == "rollback" {
			m = state.(model)
		}
		return strings.Join(replies, " ") == output, m
	},
	Equal: func(a, b any) bool { return reflect.DeepEqual(a, b) },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprint(input.(operation), " -> ", output)
	},
}

// perform has an engine do an operation, and returns the replies.
func perform(t *testing.T, e *Engine, op operation) string {
	w := new(tokens)
	switch op.how {
	case "run":
		return do(t, e, strings.Join(op.commands[0], " "))
	case "exec":
		var queue []Queued
		for _, args := range op.commands {
			queue = append(queue, Queued{e.Commands().Find(args[0]), args})
		}
		if err := e.Exec(context.Background(), queue, nil, w); err != nil {
			t.Error(err)
		}
		_, replies, _ := strings.Cut(w.String(), " ")
		return replies
	}
	x, err := e.Begin(context.Background())
	if err != nil {
		t.Error(err)
		return ""
	}
	defer x.Rollback()
	for _, args := range op.commands {
		if err := x.Run(e.Commands().Find(args[0]), args, w); err != nil {
			t.Error(err)
		}
	}
	if op.how == "tx" {
		if err := x.Commit(context.Background()); err != nil {
			t.Error(err)
		}
	}
	return w.String()
}

// randomOperation returns an operation about strings in one shard and in two, and about stacks. mset is the name of the command
// that sets two strings of one shard.
func randomOperation(r *rand.Rand, mset string) operation {
	same := oneShard("a")
	some := func(keys ...string) string { return keys[r.IntN(len(keys))] }
	value := fmt.Sprint(r.IntN(1000))
	one := func() []string {
		switch r.IntN(8) {
		case 0:
			return []string{"push", some("s", "t"), value}
		case 1:
			return []string{"pop", some("s", "t")}
		case 4:
			return []string{"bpop", some("s", "t"), "1"}
		case 2:
			return []string{"set", some("a", same, "b"), value}
		case 3:
			return []string{"mget", "a", same, "b"}
		}
		return []string{"get", some("a", same, "b")}
	}
	op := operation{how: "run"}
	switch n := r.IntN(12); n {
	case 0:
		op.how = "exec"
	case 1:
		op.how = "tx"
	case 2:
		op.how = "rollback"
	case 3, 4:
		op.commands = [][]string{{mset, "a", value, same, value}}
	case 5:
		op.commands = [][]string{{"mset", "a", value, "b", value}}
	case 6, 7, 8:
		op.commands = [][]string{{"get", some("a", same)}}
	default:
		op.commands = [][]string{one()}
	}
	if op.how != "run" {
		op.commands = [][]string{one(), one(), one()}
	}
	return op
}

// observe has clients do random operations at the same time, and returns what they have seen.
func observe(t *testing.T, e *Engine, seed uint64, mset string) []porcupine.Operation {
	const clients, each = 4, 100
	var all [clients][]porcupine.Operation
	var group sync.WaitGroup
	began, start := time.Now(), make(chan struct{})
	for c := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(c)))
		ops := make([]operation, each)
		for i := range ops {
			ops[i] = randomOperation(r, mset)
		}
		group.Go(func() {
			<-start
			for _, op := range ops {
				call := time.Since(began)
				output := perform(t, e, op)
				all[c] = append(all[c], porcupine.Operation{ClientId: c, Input: op, Call: int64(call), Output: output, Return: int64(time.Since(began))})
			}
		})
	}
	close(start)
	group.Wait()
	var history []porcupine.Operation
	for _, ops := range all {
		history = append(history, ops...)
	}
	return history
}

// TestD2Linearizable checks that there is an order of all operations of some clients that explains what each has seen.
func TestD2Linearizable(t *testing.T) {
	for seed := range uint64(150) {
		history := observe(t, newTest(t, Config{}), seed, "mset")
		switch result, info := porcupine.CheckOperationsVerbose(linear, history, 10*time.Second); result {
		case porcupine.Illegal:
			t.Fatalf("seed %d: no order explains what the clients have seen: %v", seed, info.PartialLinearizationsOperations())
		case porcupine.Unknown:
			t.Logf("seed %d: not checked within 10s", seed)
		}
	}
}

// TestD2LinearizableFindsBugs has the check find commands of which others see a half.
func TestD2LinearizableFindsBugs(t *testing.T) {
	for name, mset := range map[string]Command{
		// Its second key, which is in the same shard, is none that the engine knows of: readers without a lock are not held up.
		"not marked": {Name: "badmset", Arity: 5, Flags: Write, Keys: Key(1), Run: badMSet},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := NewTable(testCommands, []Command{mset})
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(2000) {
				e, err := New(Config{Commands: table, Kinds: []*Kind{stackKind}})
				if err != nil {
					t.Fatal(err)
				}
				if porcupine.CheckOperationsTimeout(linear, observe(t, e, seed, mset.Name), 10*time.Second) == porcupine.Illegal {
					t.Logf("found with seed %d", seed)
					return
				}
			}
			t.Error("not found")
		})
	}
}

func badMSet(c *Call) error {
	c.SetString(c.Args[1], c.Args[2], 0)
	runtime.Gosched() // others may look
	c.SetString(c.Args[3], c.Args[4], 0)
	c.W.Simple("OK")
	return nil
}
