// Package node is a service that embeds peercache, as a program: its flags, its
// processes and its end. The program example is this package, and nothing else.
// Those below discovery/ give Main their Source.
//
// What embeds the cache is newNode, in node.go. The getters that it loads from
// are in origin.go, and the service that uses the cache is api.go. source.go is
// about the ways to find the peers; cluster.go starts the three processes.
package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// What Main returns, for the shell.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is the program. It reads args, which begin after the program's name, and
// runs until it is interrupted or terminated, until it has failed, or, with
// -peers -, until stdin ends. It returns the exit status. -discovery takes the
// names of sources besides those that every example has: static, file and dns.
//
// It starts further processes by os.Executable, which must be a program that calls
// Main with the same sources.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, sources ...Source) int {
	c, err := parseFlags(args, stdout, append(slices.Clip(ownSources), sources...))
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: c.logLevel}))
	if err == nil {
		err = c.openDiscovery(log)
	}
	if err != nil {
		fmt.Fprintf(stderr, "example: %v\nexample -h lists the flags\n", err)
		return exitUsage
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once

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
