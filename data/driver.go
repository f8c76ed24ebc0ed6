package data

import (
	"context"
	"errors"
)

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
	// Tx runs f. What f does by its Transaction happens whole, or, if f returns an error or panics, not at all. f must
	// not use the driver itself, and must not use the Transaction afterwards. ErrConflict says that another client has
	// changed what f has read: then nothing has happened, and Tx may be called again.
	//
	// Commands of an optimistic Transaction run when f has returned. One that fails then undoes none of the others, which have
	// happened, and Tx returns its error. If the connection breaks at that moment, or the log fails, Tx returns an error, and
	// nobody knows whether the transaction has happened.
	Tx(ctx context.Context, f func(tx Transaction) error) error
	// Close ends the driver. What it has promised to keep is then kept.
	Close() error
}

// Transaction is a transaction of a Driver. It is for one goroutine.
//
// There are two kinds. One has what it uses for itself until it ends, and each command replies as it would elsewhere: that of Memory.Tx. The
// other one is optimistic, as those of Redis are: commands that read run at once, and commands that write, or send a message, wait until
// the end; they have a QueuedReply, and to read what they write is ErrUnread.
type Transaction interface {
	// Do runs a command and returns its reply, which may be an ErrorReply: that ends nothing.
	Do(cmd Cmd) (Reply, error)
	// Savepoint returns a place to which RollbackTo can go back.
	Savepoint() Savepoint
	// RollbackTo undoes the commands since a savepoint. Savepoints after it are gone: to go to one is ErrNoSavepoint.
	RollbackTo(s Savepoint) error
	// UndoLast undoes the last command that may write, or sends a message, did not fail, and was not undone.
	UndoLast() error
}

// Watcher is a Driver that has optimistic transactions besides others.
type Watcher interface {
	Driver
	// Watch does what Tx does, with an optimistic Transaction. It fails with ErrConflict if keys, or what f has read, have been
	// changed since.
	Watch(ctx context.Context, keys []string, f func(tx Transaction) error) error
}

// StringGetter is a Driver that reads a string faster than by Do.
type StringGetter interface {
	// GetString returns the string of a key, and whether there is one.
	GetString(ctx context.Context, key string) (s string, ok bool, err error)
}

// doer runs one command, whose name is args[0]. A command that fails is an error; nothing else is.
type doer interface {
	do(ctx context.Context, args []string) (Reply, error)
}

// driverDoer is a doer that stands on a Driver.
type driverDoer struct{ driver Driver }

func (d driverDoer) do(ctx context.Context, args []string) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	replies, err := d.driver.Do(ctx, Cmd{args[0], args[1:]})
	if err != nil {
		return Reply{}, err
	}
	if len(replies) != 1 {
		return Reply{}, errReplies
	}
	return checked(replies[0])
}

var errReplies = errors.New("data: the driver has not replied once to each command")

// checked returns a reply, or the error that it is.
func checked(r Reply) (Reply, error) {
	if r.Kind == ErrorReply {
		return Reply{}, CommandError(r.Str)
	}
	return r, nil
}
