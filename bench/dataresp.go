package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
)

const (
	// leastRESP is the part of redis-server's throughput that each test of redis-benchmark wants.
	leastRESP = 0.8
	// dataRequests are those of one run of a test.
	dataRequests = 100_000
)

// runDataRESP runs redis-benchmark's default tests against a Memory behind package resp, redis-server, and miniredis.
func runDataRESP(w io.Writer, m measuring, all *targets) error {
	if !installed(w, "redis-benchmark") {
		return nil
	}
	theirs, stop, err := startRedis(w)
	if err != nil || theirs == "" {
		return err
	}
	defer stop()
	ours, err := startReporting(dataNodePrefix)
	if err != nil {
		return err
	}
	defer ours.stop()
	mini, err := startReporting(miniredisNode)
	if err != nil {
		return err
	}
	defer mini.stop()
	for _, pipeline := range []int{1, 16} {
		requests := dataRequests * pipeline / 2
		if m.quick {
			requests = 1000
		}
		fmt.Fprintf(w, "\nredis-benchmark's default tests, -c 50 -P %d, %d requests each, by turns; median of %d; miniredis has %d requests, and none inline:\n", pipeline, requests, dataRuns(m), miniredisRequests)
		if err := compareRESP(w, m, all, [3]string{ours.doors.RESP, theirs, mini.doors.RESP}, pipeline, requests); err != nil {
			return err
		}
	}
	return nil
}

// miniredisRequests are the most of a test of miniredis: its lists are slices, to which LPUSH copies all that they have.
const miniredisRequests = 10_000

// miniredisTests are the default tests without PING_INLINE: miniredis ends a connection that has no RESP.
const miniredisTests = "ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset"

// compareRESP compares peercache, redis-server and miniredis.
func compareRESP(w io.Writer, m measuring, all *targets, addrs [3]string, pipeline, requests int) error {
	rates := map[string]*[len(addrs)][]float64{}
	var names []string
	for range dataRuns(m) {
		for i, addr := range addrs {
			n, only := requests, []string(nil)
			if i == 2 {
				n, only = min(n, miniredisRequests), []string{"-t", miniredisTests}
			}
			rows, err := redisBenchmark(addr, append([]string{"-c", "50", "-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(n)}, only...)...)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if rates[r.name] == nil {
					rates[r.name], names = new([len(addrs)][]float64), append(names, r.name)
				}
				rates[r.name][i] = append(rates[r.name][i], r.rate)
			}
		}
	}
	t := newTable("", "peercache, 1,000/s", "redis-server, 1,000/s", "× redis-server", "miniredis, 1,000/s")
	for _, name := range names {
		a, b, mini := median(rates[name][0]), median(rates[name][1]), 0.0
		if r := rates[name][2]; len(r) > 0 {
			mini = median(r)
		}
		t.add(name, a/1000, b/1000, a/b, mini/1000)
		all.add(fmt.Sprintf("RESP, -P %d, %s, × redis-server", pipeline, name), a/b, false, leastRESP)
	}
	return t.print(w)
}

// dataRuns is how often a program that measures by itself is run.
func dataRuns(m measuring) int { return min(3, m.repeats) }

// testRate is a line of redis-benchmark.
type testRate struct {
	name string
	rate float64 // requests a second
}

// redisBenchmark runs redis-benchmark.
func redisBenchmark(addr string, args ...string) (rates []testRate, err error) {
	host, port, _ := net.SplitHostPort(addr)
	out, err := exec.Command("redis-benchmark", append([]string{"-h", host, "-p", port, "-e", "--csv"}, args...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark: %w", err)
	}
	if strings.Contains(string(out), "Error") {
		return nil, fmt.Errorf("redis-benchmark: %s", out)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark: %q: %w", out, err)
	}
	for _, row := range rows {
		rate, err := strconv.ParseFloat(row[min(1, len(row)-1)], 64)
		if err != nil {
			continue // the head
		}
		rates = append(rates, testRate{row[0], rate})
	}
	if len(rates) == 0 {
		return nil, fmt.Errorf("redis-benchmark: %q", out)
	}
	return rates, nil
}
