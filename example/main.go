// Example is a small service that embeds peercache. It answers over HTTP with
// scores that it keeps in memory, or with the files of a directory, and plays
// that reading them is expensive.
//
//	go run ./example                            three processes, and what to try
//	go run ./example -port 8001 -peers URL,URL  one process
//	go run ./example -h                         all flags
//
// What embeds the cache is newNode, in node.go. The getters that it loads from
// are in origin.go, and the service that uses the cache is api.go. cluster.go
// starts the three processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// What run returns, for the shell.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "example: %v\nexample -h lists the flags\n", err)
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once

	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.logLevel}))
	if c.oneNode {
		err = runNode(ctx, c, stdin, stdout, log)
	} else {
		err = runCluster(ctx, c, stdout, log)
	}
	if err != nil {
		fmt.Fprintf(stderr, "example: %v\n", err)
		return exitFailed
	}
	return exitOK
}
