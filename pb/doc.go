// Package pb is the protocol that peers speak with each other: peercache.proto and
// the code generated from it.
//
// The messages are for transports and for peers in other languages. Programs that
// use the cache do not need them.
package pb

//go:generate go -C ../tools run ./genpb -dir ../pb peercache.proto
