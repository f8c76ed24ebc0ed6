// Package data keeps strings, hashes, lists, sets, sorted sets and channels, as Redis does: in the memory of this process, in
// Redis, or in levels of both.
//
// A Driver has the data: a Memory, one of package data/redis, one of package data/tiered, or the user's own. A Client has a method for
// each command over any Driver.
//
// Data is no cache. It does not vanish (D1), changes whole or not at all (D2), is on disk when it is said to be (D3), and a command of
// Redis' name does what Redis does (D4): docs/data.md has these promises, and what to use when.
//
// Where things are: memory.go, log.go and events.go are the driver in memory, which stands on internal/engine; internal/commands has the
// functions of the commands, internal/builtin their table; client.go and a file for each kind are the client. Package respdoor serves a
// driver to Redis clients, package logfile looks at logs.
package data

//go:generate go run ./internal/gendocs ../docs/data-commands.md
