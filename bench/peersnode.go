package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/golang/groupcache"

	"github.com/peercache/peercache"
)

// nodeVariable is set in the environment of processes that bench starts of itself,
// and says what they are: "owner", "protected" and a directory, "member", "cluster", "namespace", "virtual",
// "idle", "front", "front gateway", "idle peers" or "socket pools" and their number, or the command line of a
// server to guard.
const nodeVariable = "PEERCACHE_BENCH_NODE"

// protectedPrefix stands before the directory of an owner's certificate.
const protectedPrefix = "protected "

// serveAsNode makes this process what nodeVariable says, and ends it when its
// standard input is closed. Without the variable it does nothing.
func serveAsNode() {
	what := os.Getenv(nodeVariable)
	if what == "" {
		return
	}
	run := runGuard
	var peers int
	if n, err := fmt.Sscanf(what, "idle peers %d", &peers); n == 1 && err == nil {
		what, run = "idle peers", func(string) error { return idlePeers(peers) }
	}
	if n, err := fmt.Sscanf(what, "socket pools %d", &peers); n == 1 && err == nil {
		what, run = "socket pools", func(string) error { return runSocketPools(peers) }
	}
	if strings.HasPrefix(what, dataNodePrefix) {
		run = runDataNode
	}
	if dir, ok := strings.CutPrefix(what, protectedPrefix); ok {
		run = func(string) error { return runProtected(dir) }
	}
	switch what {
	case "socket pools", "idle peers":
	case "idle":
		run = func(string) error { return idleProcess() }
	case "owner":
		run = func(string) error { return runOwner() }
	case "member":
		run = func(string) error { return runMember() }
	case "cluster":
		run = func(string) error { return runClusterNode() }
	case "front", "front gateway":
		run = func(what string) error { return runFront(what != "front") }
	case "namespace":
		run = func(string) error { return runNamespace() }
	case miniredisNode:
		run = func(string) error { return runMiniredis() }
	case "virtual":
		run = runVirtual
	}
	if err := run(what); err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+what+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// argSeparator is between the arguments of a command line.
const argSeparator = "\n"

// runGuard runs a server as long as standard input is open. So none is left behind,
// however the bench ends.
func runGuard(commandLine string) error {
	args := strings.Split(commandLine, argSeparator)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it may have processes of its own
	cmd.WaitDelay = 5 * time.Second                                          // then it is killed
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// report is what an owner or a member tells, once in the beginning and then for each line
// that it is sent.
type report struct {
	URL   string
	CPU   time.Duration   // that the process has used so far
	Stats peercache.Stats // of a member's group, or a front's
	Doors doors           // of a front
	P50   time.Duration   // of a gateway's Gets since the last report
}

// runOwner answers peers, by each of the ways that are compared.
func runOwner() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + l.Addr().String()
	mux := http.NewServeMux()
	pool, err := ownPeercache(mux, url)
	if err != nil {
		return err
	}
	for _, add := range []func(*http.ServeMux, string) error{ownGroupcache, ownPlain} {
		if err := add(mux, url); err != nil {
			return err
		}
	}
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)

	go http.Serve(l, mux)
	orders := bufio.NewScanner(os.Stdin)
	for {
		r := report{URL: url, CPU: cpuTime()}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
		if !orders.Scan() {
			return nil
		}
		if list := orders.Text(); list != "" { // of the peers
			if err := pool.Set(strings.Split(list, ",")...); err != nil {
				return err
			}
		}
	}
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ownPeercache(mux *http.ServeMux, url string) (*peercache.HTTPPool, error) {
	pool, err := peercache.NewHTTPPool(url)
	if err != nil {
		return nil, err
	}
	mux.Handle(pool.BasePath(), pool)
	for of, k := range valueKinds {
		load := func(context.Context, string) ([]byte, error) { return valueKind(of).value(), nil }
		for _, suffix := range []string{"", withoutCopiesName} {
			if _, err := peercache.NewGroup(k.name+suffix, ownerBytes, peercache.GetterFunc(load), peercache.WithPeers(pool)); err != nil {
				return nil, err
			}
		}
	}
	return pool, nil
}

func ownGroupcache(mux *http.ServeMux, url string) error {
	// It knows no peers, and so owns every key that it is asked for.
	pool := groupcache.NewHTTPPoolOpts(url, nil)
	mux.Handle("/_groupcache/", pool)
	for of, k := range valueKinds {
		groupcache.NewGroup(k.name, ownerBytes, groupcache.GetterFunc(func(_ context.Context, _ string, dest groupcache.Sink) error {
			return dest.SetBytes(valueKind(of).value())
		}))
	}
	return nil
}

// ownPlain serves what net/http can do at best: values that are there.
func ownPlain(mux *http.ServeMux, _ string) error {
	for of, k := range valueKinds {
		value := valueKind(of).value()
		mux.HandleFunc("/plain/"+k.name+"/", func(w http.ResponseWriter, _ *http.Request) { w.Write(value) })
	}
	return nil
}

// node is a process that bench started of itself.
type node struct {
	url    string
	doors  doors
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	cmd    *exec.Cmd
}

// startNode starts a process that is what, by a command that becomes the one that is
// appended to it, if any.
func startNode(what string, by ...string) (*node, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(slices.Clone(by), self)
	n := &node{cmd: exec.Command(args[0], args[1:]...)}
	// As many threads as this process has: with the race detector, bubbles of testing/synctest must have one (see .ci/run).
	n.cmd.Env = append(os.Environ(), nodeVariable+"="+what, fmt.Sprint("GOMAXPROCS=", runtime.GOMAXPROCS(0)))
	n.cmd.Stderr = os.Stderr
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.stdout = bufio.NewScanner(stdout)
	return n, n.cmd.Start()
}

// startOwner starts a process that owns keys.
func startOwner() (*node, error) { return startReporting("owner") }

// startReporting starts a process that is what, and reports.
func startReporting(what string) (*node, error) {
	n, err := startNode(what)
	if err != nil {
		return nil, err
	}
	r, err := n.read()
	if err != nil {
		n.stop()
		return nil, err
	}
	n.url, n.doors = r.URL, r.Doors
	return n, nil
}

// ask asks an owner or a member for a report.
func (n *node) ask() (report, error) { return n.tell("") }

// tell sends a line, and returns the report that comes of it.
func (n *node) tell(line string) (report, error) {
	if _, err := io.WriteString(n.stdin, line+"\n"); err != nil {
		return report{}, err
	}
	return n.read()
}

func (n *node) read() (r report, err error) {
	if !n.stdout.Scan() {
		return r, errors.Join(errors.New("a process that bench started has ended"), n.stdout.Err())
	}
	return r, json.Unmarshal(n.stdout.Bytes(), &r)
}

// stop ends the process, and waits for that.
func (n *node) stop() {
	n.stdin.Close()
	n.cmd.Wait()
}
