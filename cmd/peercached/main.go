// Peercached is a node of a peercache cluster as a program: read-through groups over origins that a
// file names, served by HTTP, gRPC and Redis' protocol.
//
//	peercached serve -c peercached.yaml
//	peercached help
//
// Package node is all of it: a Go program that has an origin of its own calls node.Main as this one
// does.
package main

import (
	"context"
	"os"

	"github.com/peercache/peercache/cmd/peercached/node"
)

func main() { os.Exit(node.Main(context.Background(), os.Args[1:], nil)) }
