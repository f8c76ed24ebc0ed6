package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// installed reports whether there is a program that is no part of this module, and says so if
// there is none.
func installed(w io.Writer, program string) bool {
	_, err := exec.LookPath(program)
	if err != nil {
		fmt.Fprintf(w, "\n%s is not installed here: without it.\n", program)
	}
	return err == nil
}

// portArg stands for the port among the arguments of a server.
const portArg = "PORT"

// startServer starts a server that is no part of this module, on a port of its own,
// and returns its address: none where it is not installed.
func startServer(w io.Writer, program string, args ...string) (addr string, stop func(), err error) {
	if !installed(w, program) {
		return "", nil, nil
	}
	if addr, err = freeAddr(); err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	args[slices.Index(args, portArg)] = port
	stop, err = guard(addr, append([]string{program}, args...)...)
	return addr, stop, err
}

// startRedis starts a Redis that keeps all in memory.
func startRedis(w io.Writer) (addr string, stop func(), err error) {
	return startServer(w, "redis-server",
		"--bind", "127.0.0.1", "--port", portArg, "--save", "", "--appendonly", "no", "--loglevel", "warning")
}

// freeAddr returns an address of this machine that nobody listens at.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// guard runs a command line that listens at addr until stop is called, or this process ends.
func guard(addr string, args ...string) (stop func(), err error) {
	n, err := startNode(strings.Join(args, argSeparator))
	if err != nil {
		return nil, err
	}
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return n.stop, c.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	n.stop()
	return nil, fmt.Errorf("%s does not take connections", args[0])
}
