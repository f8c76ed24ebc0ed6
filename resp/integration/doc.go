// Package integration tests package resp with the clients that people use: rueidis with client-side
// caching, go-redis, redis-cli, and those of Python and Node. It is a module of its own, so that
// nobody else needs them. A test skips where its client is missing.
package integration
