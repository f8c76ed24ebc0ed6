package engine

import "context"

// Log takes the records of what has changed, in the order in which it did.
type Log interface {
	// Append adds a record. It is called with locks held, and must not wait for a disk that syncs.
	Append(record []byte) (position uint64, err error)
	// Wait returns when what is up to position is as safe as the log was told to make it, or ctx.Err().
	Wait(ctx context.Context, position uint64) error
	// Position returns the position of the last record.
	Position() uint64
	// Err returns why nothing can be appended any more, or nil.
	Err() error
}

// LogError says that nothing can be written, because the log has failed. It is what a command returns during which that happens, and what Err
// returns from then on.
type LogError struct{ Cause error }

func (e *LogError) Error() string {
	return "nothing can be written, because the log failed: " + e.Cause.Error()
}

func (e *LogError) Unwrap() error { return e.Cause }

// Reply returns the error as commands reply it.
func (e *LogError) Reply() Error { return Error("MISCONF " + e.Error()) }

// secure waits for the log, if that has to be. If ctx ends first, what was done may be on the disk or not.
func (e *Engine) secure(ctx context.Context, position uint64) error {
	if e.cfg.Log == nil {
		return nil
	}
	if e.cfg.ReadsWait && position == 0 {
		position = e.cfg.Log.Position()
	}
	if position == 0 {
		return nil
	}
	err := e.cfg.Log.Wait(ctx, position)
	if err == nil || err == ctx.Err() {
		return err
	}
	return &LogError{err}
}

// secureDone is secure where the end of ctx says that nothing was done: for a command that waits, whose element would be lost, and for
// transactions. If something was done, ctx does not end the wait.
func (e *Engine) secureDone(ctx context.Context, position uint64) error {
	if position != 0 {
		ctx = context.WithoutCancel(ctx)
	}
	return e.secure(ctx, position)
}

// logs reports whether what changes goes to a log.
func (e *Engine) logs() bool { return e.cfg.Log != nil && !e.replaying }
