// Package engine keeps the data of the memory driver: keys of all types, the locks around them, what
// expires, who waits for them, and what has changed.
//
// How a command goes: run.go finds the shards of its keys (shard.go) and locks them, in one order. Its
// function, in one of the packages below internal/commands, gets a Call: it looks values up (call.go),
// changes them (change.go) and writes one reply to a Writer. What was changed is in its transaction
// (txn.go), from which come the log's record, the memory that is counted, notifications, and the turn of
// commands that wait (wait.go).
//
// # Promises
//
//   - A node of the table never changes but for the time of its last use: a string, an expiry or a type
//     is changed by putting another node in its place. So a string is read without a lock. What an Object
//     holds is guarded by the lock of its shard.
//   - Who changes more than one key, or one key twice, marks its shards (shard.several) for as long as
//     that takes: who reads without a lock then waits for the lock instead.
//   - Locks are taken in the order of the shards. Who locks several shares gate; a Tx, which locks shards as
//     it comes to them, has gate alone.
package engine
