package engine

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// panicked is the panic of a command. The reply is not whole then, so that it is no Error, which would follow it.
type panicked struct {
	command string
	value   any
}

func (p *panicked) Error() string {
	return fmt.Sprintf("data: the command '%s' panicked: %v", p.command, p.value)
}

// isPanicked reports whether err is the panic of a command.
func isPanicked(err error) bool {
	_, ok := err.(*panicked)
	return ok
}

// loggedPanics is how many panics are logged at most.
const loggedPanics = 10

// panicked returns the error of a command that has panicked, and logs it.
func (e *Engine) panicked(cmd *Command, value any) *panicked {
	if e.panics.Add(1) <= loggedPanics {
		slog.Error("a command panicked", "command", cmd.Name, "panic", value, "stack", string(debug.Stack()))
	}
	return &panicked{cmd.Name, value}
}

// panicked ends a command that has panicked after p. What it has changed is undone by who keeps undos. If nobody does, a part of it
// may be there: then nothing may be written from now on. The log has nothing of it, so that what is loaded from that is whole.
func (t *txn) panicked(c *Call, value any, p place) error {
	err := t.e.panicked(c.cmd, value)
	if !t.undo && (t.changed > p.changed || len(t.written) > 0) {
		t.e.broken.CompareAndSwap(nil, err)
	}
	t.record = t.record[:p.record]
	clear(t.written) // which may be in no state to be counted
	t.written = t.written[:0]
	return err
}
