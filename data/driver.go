package data

import "context"

// Cmd is a command with its arguments. Arguments are any bytes.
type Cmd struct {
	Name string // in letters of any case
	Args []string
}

// Command returns a Cmd: Command("SET", "greeting", "hello", "EX", "10").
func Command(name string, args ...string) Cmd { return Cmd{name, args} }

// Driver keeps data. Its methods may be called at the same time.
type Driver interface {
	// Do runs commands in their order, each by itself, and returns as many replies. A command that fails has an
	// ErrorReply, and the others run. An error says that not all commands have a reply: ctx has ended, or the data
	// cannot be reached; which of them have run is then not known.
	Do(ctx context.Context, cmds ...Cmd) ([]Reply, error)
	// Tx runs f. What f does by its Tx happens whole, or, if f or Tx returns an error, or f panics, not at all. f must not use the driver
	// itself, and must not use the Tx afterwards.
	Tx(ctx context.Context, f func(tx Tx) error) error
	// Close ends the driver. What it has promised to keep is then kept.
	Close() error
}

// Tx is a transaction. It is for one goroutine.
type Tx interface {
	// Do runs a command and returns its reply, which may be an ErrorReply: that ends nothing.
	Do(cmd Cmd) (Reply, error)
	// Savepoint returns a place to which RollbackTo can go back.
	Savepoint() Savepoint
	// RollbackTo undoes the commands since a savepoint.
	RollbackTo(s Savepoint) error
	// UndoLast undoes the last command that was not undone.
	UndoLast() error
}

// Savepoint is a place in a Tx.
type Savepoint int
