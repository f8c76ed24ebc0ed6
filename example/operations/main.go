// Operations runs three processes' worth of peercache in one, each with its page for operators and
// its /metrics for Prometheus, and plays users that read from them.
//
//	go run ./example/operations             on free ports
//	go run ./example/operations -port 9001  the pages on 9001 to 9003
//
// Package show is all of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/peercache/peercache/example/operations/show"
)

func main() {
	port := flag.Int("port", 0, "of the first page; 0: free ones")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *port); err != nil {
		fmt.Fprintln(os.Stderr, "operations:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, port int) error {
	cluster, err := show.Start(show.Config{Processes: 3, Port: port})
	if err != nil {
		return err
	}
	for _, p := range cluster.Processes {
		fmt.Printf("%s has its page at %s, and its figures at %smetrics\n", p.Name, p.Page, p.Page)
	}
	fmt.Println("Users read from all of them. Stop with Ctrl-C.")
	cluster.Play(ctx)
	return cluster.Close()
}
