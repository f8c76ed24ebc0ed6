// Command bench measures peercache side by side with what people use today:
//
//	go run ./bench                 # everything, but what needs much memory: scale
//	go run ./bench local           # one comparison
//	go run ./bench local -quick    # is it still alive?
//
// What to look at are the ratios. The absolute figures are the machine's.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A command is a comparison. It prints tables.
type command struct {
	name  string
	about string
	alone bool // only if it is asked for: it takes much memory and time
	run   func(w io.Writer, m measuring) error
}

// commands are run in this order. To add one, write it in a file of its own and
// name it here: the flags, the printing and the test are there already.
var commands = []command{local, writes, misses, memory, bound, hitRatio, ring, peers, invalidation, faults, scale, idleCosts, fronts, dataBench}

func main() {
	serveAsNode()
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, args []string) error {
	chosen := slices.DeleteFunc(slices.Clone(commands), func(c command) bool { return c.alone })
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		i := slices.IndexFunc(commands, func(c command) bool { return c.name == args[0] })
		if i < 0 {
			return fmt.Errorf("no comparison %q; there are%s", args[0], list())
		}
		chosen, args = commands[i:i+1:i+1], args[1:]
	}
	m, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(w, machine())
	for _, c := range chosen {
		fmt.Fprintf(w, "\n## %s: %s\n", c.name, c.about)
		if err := c.run(w, m); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func parse(args []string) (measuring, error) {
	var m measuring
	flags := flag.NewFlagSet("bench [comparison]", flag.ContinueOnError)
	flags.DurationVar(&m.turn, "duration", 300*time.Millisecond, "how long each is measured at a time")
	flags.IntVar(&m.repeats, "repeats", 9, "how many times; the median counts")
	flags.BoolVar(&m.quick, "quick", false, "with little data and short turns: shows that it works, not how well")
	flags.IntVar(&m.peers, "peers", 0, "the size of the cluster, by scale; 0: several")
	flags.StringVar(&m.profile, "profile", "", "a directory for CPU profiles of our side, by peers")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: bench [comparison] [flags]\ncomparisons:%s\nflags:\n", list())
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return m, err
	}
	if flags.NArg() > 0 {
		return m, fmt.Errorf("%q after the flags: want the comparison before them", flags.Arg(0))
	}
	if m.turn <= 0 || m.repeats <= 0 {
		return m, errors.New("-duration and -repeats: want more than 0")
	}
	if m.quick {
		m.turn, m.repeats = time.Millisecond, 3
	}
	return m, nil
}

func list() (s string) {
	for _, c := range commands {
		s += fmt.Sprintf("\n  %-12s %s", c.name, c.about)
	}
	return s
}

// machine says what the figures were measured on.
func machine() string {
	s := fmt.Sprintf("%s %s/%s, GOMAXPROCS %d", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	info, err := os.ReadFile("/proc/cpuinfo") // on Linux
	if err != nil {
		return s
	}
	for line := range strings.Lines(string(info)) {
		if name, model, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return s + ", " + strings.TrimSpace(model)
		}
	}
	return s
}
