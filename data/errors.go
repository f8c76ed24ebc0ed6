package data

import (
	"errors"

	"github.com/peercache/peercache/data/internal/engine"
)

// The errors of many commands. errors.Is tells them apart.
const (
	// ErrWrongType says that the key has a value of another type.
	ErrWrongType = CommandError(engine.ErrWrongType)
	// ErrFull says that there is no memory left for what a command adds.
	ErrFull = CommandError(engine.ErrFull)
	// ErrLogFailed says that nothing can be written, because the log cannot. Of the command during which the log fails it is not known
	// whether it has happened: only a restart, which reads the log, tells.
	ErrLogFailed CommandError = "MISCONF nothing can be written, because the log failed"
	// ErrCrossSlot says that the keys of a command, or of a transaction, are not in one slot of a cluster. Keys are in
	// one slot that have the same text in braces: {user1}:name, {user1}:age.
	ErrCrossSlot CommandError = "CROSSSLOT Keys in request don't hash to the same slot"
)

// ErrClosed is what commands return when their Memory is closed.
var ErrClosed = engine.ErrClosed

// The errors of transactions.
var (
	// ErrConflict says that another client has changed what a transaction has read, or watches. Nothing has happened.
	ErrConflict = errors.New("data: another client has changed what the transaction has read")
	// ErrPartial says that an optimistic transaction has happened, but for commands that have failed. The errors of these come with it.
	ErrPartial = errors.New("data: the transaction has happened, but for commands that failed")
	// ErrUnread says that an optimistic transaction cannot read a key that it has written: the write has not happened
	// yet. What is to be read has to be read first.
	ErrUnread = errors.New("data: an optimistic transaction cannot read a key that it has written")
	// ErrNothingToUndo says that a transaction has no command that UndoLast could undo.
	ErrNothingToUndo = errors.New("data: the transaction has nothing to undo")
	// ErrNoSavepoint says that a savepoint is none of the transaction, or was undone.
	ErrNoSavepoint = errors.New("data: the transaction has no such savepoint")
)

// logFailed is a LogError of the engine as ErrLogFailed, and as the CommandError that commands reply.
type logFailed struct{ *engine.LogError }

func (f logFailed) Error() string { return "data: " + f.LogError.Error() }

func (f logFailed) Is(target error) bool { return target == ErrLogFailed }

func (f logFailed) As(target any) bool {
	replied, ok := target.(*CommandError)
	if ok {
		*replied = CommandError(f.Reply())
	}
	return ok
}

// ofEngine returns an error of the engine as one of this package.
func ofEngine(err error) error {
	if failed, ok := err.(*engine.LogError); ok {
		return logFailed{failed}
	}
	return err
}
