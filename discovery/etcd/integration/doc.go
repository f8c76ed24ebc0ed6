// Package integration tests discovery/etcd against etcd itself, which runs in the
// process of the tests. It is a module of its own, so that those who use
// discovery/etcd depend on the client alone.
package integration
