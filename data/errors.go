package data

import "github.com/peercache/peercache/data/internal/engine"

// The errors of many commands. errors.Is tells them apart.
const (
	// ErrWrongType says that the key has a value of another type.
	ErrWrongType = CommandError(engine.ErrWrongType)
	// ErrFull says that there is no memory left for what a command adds.
	ErrFull = CommandError(engine.ErrFull)
	// ErrLogFailed says that nothing can be written, because the log cannot.
	ErrLogFailed CommandError = "MISCONF nothing can be written, because the log failed"
)
