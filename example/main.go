// Example is a small service that embeds peercache. It answers over HTTP with
// scores that it keeps in memory, or with the files of a directory, and plays
// that reading them is expensive.
//
//	go run ./example                            three processes, and what to try
//	go run ./example -port 8001 -peers URL,URL  one process
//	go run ./example -h                         all flags
//
// Package node is all of it. The modules below discovery/ have an example each,
// which is the same with one more way to find the peers.
package main

import (
	"os"

	"github.com/peercache/peercache/example/node"
)

func main() { os.Exit(node.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
