package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// runDataLog compares logs: SETs of 64 clients, and a restart.
func runDataLog(w io.Writer, m measuring, all *targets) error {
	if !installed(w, "redis-benchmark") || !installed(w, "redis-server") {
		return nil
	}
	fmt.Fprintf(w, "\nWith a log on disk: SETs of 64 clients by redis-benchmark, by turns; median of %d.\n", dataRuns(m))
	t := newTable("", "peercache, 1,000/s", "redis-server, 1,000/s", "× redis-server")
	for _, policy := range []struct {
		fsync    string
		requests int
		least    float64
	}{{"always", 20_000, 1}, {"everysec", 200_000, 0.9}} {
		if m.quick {
			policy.requests = 500
		}
		ours, theirs, err := compareLogs(w, m, policy.fsync, policy.requests)
		if err != nil {
			return err
		}
		t.add("appendfsync "+policy.fsync, ours/1000, theirs/1000, ours/theirs)
		all.add("log, "+policy.fsync+", × redis-server", ours/theirs, false, policy.least)
	}
	if err := t.print(w); err != nil {
		return err
	}
	return runDataRestart(w, m, all)
}

// logged is a server with a log in a directory of its own.
type logged struct {
	name  string
	start func(dir, fsync string) (addr string, stop func(), err error)
}

// loggedServers are those that are compared.
func loggedServers(w io.Writer) [2]logged {
	return [2]logged{
		{"peercache", func(dir, fsync string) (string, func(), error) {
			n, err := startReporting(dataNodePrefix + dir + " " + fsync)
			if err != nil {
				return "", nil, err
			}
			return n.doors.RESP, n.stop, nil
		}},
		{"redis-server", func(dir, fsync string) (string, func(), error) {
			return startServer(w, "redis-server", "--bind", "127.0.0.1", "--port", portArg, "--save", "", "--loglevel", "warning",
				"--appendonly", "yes", "--appendfsync", fsync, "--dir", dir)
		}},
	}
}

// inDirs calls do with each server and a directory for its log.
func inDirs(w io.Writer, do func(i int, s logged, dir string) error) error {
	for i, s := range loggedServers(w) {
		dir, err := os.MkdirTemp("", "bench-data")
		if err != nil {
			return err
		}
		err = do(i, s, dir)
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// compareLogs returns how many SETs a second each server takes.
func compareLogs(w io.Writer, m measuring, fsync string, requests int) (ours, theirs float64, err error) {
	var rates [2][]float64
	for range dataRuns(m) {
		err := inDirs(w, func(i int, s logged, dir string) error {
			addr, stop, err := s.start(dir, fsync)
			if err != nil {
				return err
			}
			defer stop()
			rows, err := redisBenchmark(addr, "-c", "64", "-n", strconv.Itoa(requests), "-r", "100000", "-d", "100", "-t", "set")
			if err == nil {
				rates[i] = append(rates[i], rows[0].rate)
			}
			return err
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return median(rates[0]), median(rates[1]), nil
}

// runDataRestart has each server load the same data from its log: strings of 1 KiB, 1 GiB in all.
func runDataRestart(w io.Writer, m measuring, all *targets) error {
	keys := 1 << 20
	if m.quick {
		keys = 1 << 10
	}
	var took [2]time.Duration
	err := inDirs(w, func(i int, s logged, dir string) error {
		addr, stop, err := s.start(dir, "no")
		if err != nil {
			return err
		}
		if err := fillOver(addr, keys); err != nil {
			stop()
			return err
		}
		stop()
		began := time.Now()
		if addr, stop, err = s.start(dir, "no"); err != nil {
			return err
		}
		defer stop()
		if err := waitLoaded(addr, keys); err != nil {
			return err
		}
		took[i] = time.Since(began)
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nA restart with %d strings of 1 KiB, from the start of the process to its first answer: %.2f s, redis-server %.2f s.\n",
		keys, took[0].Seconds(), took[1].Seconds())
	all.add("restart, × redis-server's time", took[0].Seconds()/took[1].Seconds(), true, 1)
	return nil
}

// overRESP calls do with a client of a server.
func overRESP(addr string, do func(c rueidis.Client) error) error {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

// fillOver sets strings of 1 KiB.
func fillOver(addr string, keys int) error {
	value := strings.Repeat("x", 1<<10)
	return overRESP(addr, func(c rueidis.Client) error {
		const inPipeline = 1000
		for from := 0; from < keys; from += inPipeline {
			var cmds rueidis.Commands
			for i := from; i < min(from+inPipeline, keys); i++ {
				cmds = append(cmds, c.B().Set().Key(fmt.Sprintf("key:%012d", i)).Value(value).Build())
			}
			for _, r := range c.DoMulti(context.Background(), cmds...) {
				if err := r.Error(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// waitLoaded waits until a server answers, with so many keys.
func waitLoaded(addr string, keys int) error {
	return overRESP(addr, func(c rueidis.Client) error {
		for {
			n, err := c.Do(context.Background(), c.B().Dbsize().Build()).AsInt64()
			switch {
			case err == nil && n == int64(keys):
				return nil
			case err == nil:
				return fmt.Errorf("%d keys, want %d", n, keys)
			case !strings.HasPrefix(err.Error(), "LOADING"):
				return err
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}
