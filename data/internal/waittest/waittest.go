// Package waittest runs commands that wait, in the order in which a test starts them.
package waittest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

// Waiting is an engine, and commands that wait in it.
type Waiting struct {
	Engine *engine.Engine
	// Log has the commands that the engine has logged, one a line.
	Log []string

	t    *testing.T
	mu   sync.Mutex
	done map[string]*outcome
}

// outcome is how a command has ended.
type outcome struct {
	reply string
	err   error
}

// Run runs a test in a bubble of synctest. No command may wait any more when it returns.
func Run(t *testing.T, test func(t *testing.T, w *Waiting)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &Waiting{t: t, done: make(map[string]*outcome)}
		w.Engine = enginetest.New(t, engine.Config{Log: (*record)(w)})
		test(t, w)
		synctest.Wait()
		if n := w.Engine.Waiting(); n > 0 {
			t.Errorf("%d commands wait at the end", n)
		}
		w.Engine.Close() // those that wait must not outlive the bubble
	})
}

// Start runs a command in a goroutine, until it waits or ends.
func (w *Waiting) Start(ctx context.Context, name, line string) {
	go func() {
		reply, err := w.run(ctx, line)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.done[name] = &outcome{reply, err}
	}()
	synctest.Wait()
}

// Want fails the test if what was started under a name has not ended with that reply, in the form of Do. "" means that it waits.
func (w *Waiting) Want(name, reply string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch got := w.done[name]; {
	case got == nil && reply != "":
		w.t.Errorf("%s waits, and should have %s", name, reply)
	case got != nil && got.reply != reply:
		w.t.Errorf("%s has %q (%v), want %q", name, got.reply, got.err, reply)
	}
}

// Err returns the error with which a command has ended.
func (w *Waiting) Err(name string) error {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.done[name]; got != nil {
		return got.err
	}
	return nil
}

// Do runs a command that does not wait, and returns its reply: the parts that it has, with a space between them.
func (w *Waiting) Do(line string) string {
	w.t.Helper()
	reply, err := w.run(context.Background(), line)
	if err != nil {
		w.t.Errorf("%s: %v", line, err)
	}
	return reply
}

// Exec runs commands as a transaction, and returns the reply.
func (w *Waiting) Exec(lines ...string) string {
	w.t.Helper()
	var queue []engine.Queued
	for _, line := range lines {
		cmd, args := w.find(line)
		queue = append(queue, engine.Queued{Command: cmd, Args: args})
	}
	var reply writer
	if err := w.Engine.Exec(context.Background(), queue, nil, &reply); err != nil {
		w.t.Errorf("%q: %v", lines, err)
	}
	return reply.String()
}

// Tx begins a transaction, and runs commands in it.
func (w *Waiting) Tx(lines ...string) *engine.Tx {
	w.t.Helper()
	tx, err := w.Engine.Begin(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range lines {
		cmd, args := w.find(line)
		if err := tx.Run(cmd, args, new(writer)); err != nil {
			w.t.Errorf("%s: %v", line, err)
		}
	}
	return tx
}

func (w *Waiting) find(line string) (*engine.Command, []string) {
	args := strings.Fields(line)
	cmd := w.Engine.Commands().Find(args[0])
	if cmd == nil || !cmd.Fits(len(args)) {
		panic("waittest: no such command: " + line)
	}
	return cmd, args
}

func (w *Waiting) run(ctx context.Context, line string) (string, error) {
	cmd, args := w.find(line)
	var reply writer
	err := w.Engine.Run(ctx, cmd, args, &reply)
	return reply.String(), err
}

// record is the Log of a Waiting.
type record Waiting

func (r *record) Append(record []byte) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := engine.Commands(string(record), func(args []string) error {
		r.Log = append(r.Log, strings.Join(args, " "))
		return nil
	})
	return uint64(len(r.Log)), err
}
func (r *record) Wait(context.Context, uint64) error { return nil }
func (r *record) Position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(len(r.Log))
}
func (r *record) Err() error { return nil }

// writer keeps a reply as text.
type writer struct{ parts []string }

func (w *writer) add(s string)     { w.parts = append(w.parts, s) }
func (w *writer) String() string   { return strings.Join(w.parts, " ") }
func (w *writer) Proto() int       { return 3 }
func (w *writer) Simple(s string)  { w.add(s) }
func (w *writer) Error(s string)   { w.add("-" + s) }
func (w *writer) Int(n int64)      { w.add(":" + strconv.FormatInt(n, 10)) }
func (w *writer) Bulk(s string)    { w.add(s) }
func (w *writer) Bytes(b []byte)   { w.add(string(b)) }
func (w *writer) Null()            { w.add("_") }
func (w *writer) NullArray()       { w.add("*_") }
func (w *writer) Double(f float64) { w.add(fmt.Sprint(f)) }
func (w *writer) Array(n int)      { w.add("*" + strconv.Itoa(n)) }
func (w *writer) Map(n int)        { w.add("%" + strconv.Itoa(n)) }
func (w *writer) Set(n int)        { w.add("~" + strconv.Itoa(n)) }
