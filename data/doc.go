// Package data keeps strings, hashes, lists, sets, sorted sets and channels: in memory, in Redis, or in levels of both.
package data
