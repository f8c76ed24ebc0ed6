package resp

import (
	"context"
	"errors"

	"github.com/peercache/peercache/resp/codec"
)

// Why a command does not wait any longer: see Conn.Block.
var (
	ErrShutdown  = errors.New("UNBLOCKED the server is shut down")
	ErrUnblocked = errors.New("UNBLOCKED client unblocked via CLIENT UNBLOCK")
)

// Block runs f, which waits for others, of a command that is part of no transaction. What was replied to earlier commands is sent before. The
// context of f ends when the client hangs up, when the server is shut down (its cause is then ErrShutdown), and by CLIENT UNBLOCK (its cause
// is ErrUnblocked, or late: the command is to reply as if its time were over).
func (c *Conn) Block(late error, f func(ctx context.Context) error) error {
	if c.mayBreak() {
		c.Flush()
	}
	c.replied()
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	c.mu.Lock()
	c.release = func(cause error) {
		if cause == nil {
			cause = late
		}
		cancel(cause)
	}
	c.mu.Unlock()
	if c.s.draining.Load() {
		cancel(ErrShutdown)
	}
	err := f(ctx)
	c.mu.Lock()
	c.release = nil
	c.mu.Unlock()
	c.replying()
	if err != nil && (errors.Is(context.Cause(ctx), ErrShutdown) || errors.Is(context.Cause(ctx), ErrUnblocked)) {
		return context.Cause(ctx)
	}
	return err
}

// Served says that the command of Block has replied, though it still waits: messages from now on follow its reply. It may be called by others.
func (c *Conn) Served() { c.replying() }

// waits reports whether a command of the client waits in Block. It may be called by others.
func (c *Conn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.release != nil
}

// unblock ends the wait of a client's command, and reports whether it has waited. The cause nil says that its time is over. It may be called by others.
func (c *Conn) unblock(cause error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.release == nil {
		return false
	}
	c.release(cause)
	c.release = nil
	return true
}

func cmdClientUnblock(c *Conn, args [][]byte) {
	var cause error
	switch {
	case len(args) == 3, len(args) == 4 && isWord(args[3], "TIMEOUT"):
	case len(args) == 4 && isWord(args[3], "ERROR"):
		cause = ErrUnblocked
	default:
		c.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	id, ok := codec.Number(args[2])
	if !ok {
		c.Error("ERR value is not an integer or out of range")
		return
	}
	if o := c.s.client(uint64(id)); o != nil && o.unblock(cause) {
		c.Int(1)
		return
	}
	c.Int(0)
}
