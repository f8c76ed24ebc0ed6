package engine

// Writer takes the reply of a command: one, or the beginning of one and as many others as it says.
type Writer interface {
	// Proto returns the version of RESP that decides which form some replies have: 2 or 3.
	Proto() int
	Simple(s string)
	Error(text string)
	Int(n int64)
	// Bulk writes a string that will never change.
	Bulk(s string)
	// Bytes writes a string that is valid until Bytes returns.
	Bytes(b []byte)
	Null()
	NullArray()
	Double(f float64)
	Array(n int)
	Map(n int) // of n pairs
	Set(n int)
}

// served is a Writer that wants to know when a command has written to it that has waited: before anybody is told of what that
// has changed. Served waits for nothing.
type served interface{ Served() }

// Error is an error of a command, as clients get it: its first word, in capitals, says what kind it is.
type Error string

func (e Error) Error() string { return string(e) }

// The errors of many commands, in the words of Redis.
const (
	ErrWrongType Error = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrFull      Error = "OOM command not allowed when used memory > 'maxmemory'."
	ErrSyntax    Error = "ERR syntax error"
	ErrNotInt    Error = "ERR value is not an integer or out of range"
	ErrNotFloat  Error = "ERR value is not a valid float"
	ErrNoKey     Error = "ERR no such key"
	ErrIndex     Error = "ERR index out of range"
)
