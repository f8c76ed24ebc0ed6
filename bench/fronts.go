package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

var fronts = command{
	name:  "fronts",
	about: "hits by the front doors RESP, HTTP and gRPC, and through a gateway",
	run:   runFronts,
}

const (
	frontCallers = 64
	frontKeys    = 1000
)

// frontKey returns a key as redis-benchmark makes it of frontRandom.
func frontKey(i int) string { return fmt.Sprintf("%012d", i%frontKeys) }

const frontRandom = "__rand_int__"

func runFronts(w io.Writer, m measuring) (err error) {
	b := &frontsBench{w: w, m: m}
	defer b.close()
	if b.front, err = b.start("front"); err != nil {
		return err
	}
	if _, err := b.front.tell(b.front.url); err != nil { // alone, for now
		return err
	}
	fmt.Fprintf(w, `
Processes on one machine, over loopback: one has all front doors and the bare servers, and this one asks. redis-server,
nginx, and what a gateway needs beside are processes of their own. Values have %d bytes, and all answers are hits, of %d
keys. c goroutines ask, each for one key at a time; median of %d turns of %v each, in turns.
`, frontBytes, frontKeys, m.repeats, m.turn)
	for _, run := range []func(*frontsBench) error{
		(*frontsBench).redis, (*frontsBench).http, (*frontsBench).grpc, (*frontsBench).gateway,
	} {
		if err := run(b); err != nil {
			return err
		}
	}
	if !m.quick {
		b.targets.print(w, "Targets")
	}
	return nil
}

type frontsBench struct {
	w       io.Writer
	m       measuring
	front   *node
	targets targets
	closers []func()
}

// start starts a process that is what.
func (b *frontsBench) start(what string) (*node, error) {
	n, err := startReporting(what)
	if err == nil {
		b.closers = append(b.closers, n.stop)
	}
	return n, err
}

// close ends what was started, the last first.
func (b *frontsBench) close() {
	for _, f := range slices.Backward(b.closers) {
		f()
	}
}

// table shows rates of answers, ours first. It returns how many times ours is the last one.
func (b *frontsBench) table(what string, names []string, rates []float64) (ratio float64, err error) {
	t := newTable(what, "answers/s", "× ours")
	for i, name := range names {
		t.add(name, rates[i], rates[i]/rates[0])
	}
	return rates[0] / rates[len(rates)-1], t.print(b.w)
}

// compare measures subjects whose answers are hits, and shows them.
func (b *frontsBench) compare(what string, subjects []subject) (ratio float64, err error) {
	for _, s := range subjects {
		s.do(0, frontKeys) // what follows are hits
	}
	before, err := b.front.ask()
	if err != nil {
		return 0, err
	}
	var names []string
	var rates []float64
	for i, f := range b.m.sideBySide(frontCallers, subjects) {
		names, rates = append(names, subjects[i].name), append(rates, 1e9/f.ns)
	}
	after, err := b.front.ask()
	if err != nil {
		return 0, err
	}
	if n := after.Stats.Loads - before.Stats.Loads; n > 0 {
		return 0, fmt.Errorf("%s: %d values were loaded, want hits only", what, n)
	}
	return b.table(what, names, rates)
}

// asking returns a subject that asks for one key after the other.
func asking(name string, ask func(worker int, key string) (bytes int, err error)) subject {
	return subject{name, func(worker, n int) (sum int) {
		for i := range n {
			bytes, err := ask(worker, frontKey(worker+i))
			if err := wantFrontValue(bytes, err); err != nil {
				panic(fmt.Sprint(name, ": ", err)) // of a figure nobody could trust
			}
			sum += bytes
		}
		return sum
	}}
}

// wantFrontValue returns an error unless a value of so many bytes is one of a front.
func wantFrontValue(bytes int, err error) error {
	if err == nil && bytes != frontBytes {
		return fmt.Errorf("%d bytes, want %d", bytes, frontBytes)
	}
	return err
}

// redis compares package resp with Redis: by a client as Go programs use it, and by Redis' own
// bench, which sends 16 commands at once on each of 50 connections.
func (b *frontsBench) redis() error {
	addr, stop, err := startRedis(b.w)
	if err != nil || addr == "" {
		return err
	}
	b.closers = append(b.closers, stop)
	names, addrs := []string{"peercache, package resp", "redis-server"}, []string{b.front.doors.RESP, addr}
	var subjects []subject
	ctx := context.Background()
	for i, addr := range addrs {
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
		if err != nil {
			return err
		}
		b.closers = append(b.closers, c.Close)
		for k := range frontKeys {
			if err := c.Do(ctx, c.B().Set().Key(frontGroup+":"+frontKey(k)).Value(string(frontValue)).Build()).Error(); err != nil {
				return err
			}
		}
		subjects = append(subjects, asking(names[i], func(_ int, key string) (int, error) {
			value, err := c.Do(ctx, c.B().Get().Key(frontGroup+":"+key).Build()).ToString()
			return len(value), err
		}))
	}
	ratio, err := b.compare("RESP GET, rueidis, c=64", subjects)
	if err != nil {
		return err
	}
	b.targets.add("RESP GET, rueidis, c=64, × redis-server", ratio, false, 0.8)
	if !installed(b.w, "redis-benchmark") {
		return nil
	}
	rates := make([][]float64, len(addrs))
	for range b.m.repeats {
		for i, addr := range addrs {
			rate, err := b.pipelined(addr)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
		}
	}
	if ratio, err = b.table("RESP GET, redis-benchmark -c 50 -P 16", names, []float64{median(rates[0]), median(rates[1])}); err != nil {
		return err
	}
	b.targets.add("RESP GET, redis-benchmark -P 16, × redis-server", ratio, false, 0.5)
	return nil
}

// pipelined returns how many answers a second redis-benchmark gets.
func (b *frontsBench) pipelined(addr string) (float64, error) {
	requests := 400_000
	if b.m.quick {
		requests = 1000
	}
	host, port, _ := net.SplitHostPort(addr)
	out, err := exec.Command("redis-benchmark", "-h", host, "-p", port, "-c", "50", "-P", "16", "-n", strconv.Itoa(requests),
		"-r", strconv.Itoa(frontKeys), "-e", "--csv", "GET", frontGroup+":"+frontRandom).Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w", err)
	}
	if strings.Contains(string(out), "Error") {
		return 0, fmt.Errorf("redis-benchmark: %s", out)
	}
	rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(rows) == 0 || len(rows[len(rows)-1]) < 2 {
		return 0, errors.Join(fmt.Errorf("redis-benchmark: %q", out), err)
	}
	return strconv.ParseFloat(rows[len(rows)-1][1], 64)
}

// http compares package api with nginx, and with net/http, by a connection for each goroutine.
func (b *frontsBench) http() error {
	proxy, stop, err := startNginx(b.w)
	if err != nil {
		return err
	}
	if proxy != "" {
		b.closers = append(b.closers, stop)
	}
	var subjects []subject
	for _, s := range []struct {
		name, url string
		path      func(key string) string
	}{
		{"peercache, package api", b.front.url, frontPath},
		{"net/http alone", b.front.url, func(string) string { return plainPath }},
		{"nginx, proxy_cache", proxy, frontPath},
	} {
		if s.url == "" {
			continue
		}
		var conns []*frontClient
		for range frontCallers {
			c, err := dialFront(s.url)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			b.closers = append(b.closers, c.close)
			conns = append(conns, c)
		}
		subjects = append(subjects, asking(s.name, func(worker int, key string) (int, error) {
			return frontBytes, conns[worker].get(s.path(key))
		}))
	}
	ratio, err := b.compare("HTTP GET, c=64", subjects)
	if proxy != "" {
		b.targets.add("HTTP GET, c=64, × nginx's proxy_cache", ratio, false, 0.3)
	}
	return err
}

// grpc compares package rpc with grpc-go alone, by one connection.
func (b *frontsBench) grpc() error {
	var subjects []subject
	for _, s := range []struct{ name, addr string }{
		{"peercache, package rpc", b.front.doors.GRPC},
		{"grpc-go alone", b.front.doors.Echo},
	} {
		conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		b.closers = append(b.closers, func() { conn.Close() })
		c := cachepb.NewCacheClient(conn)
		subjects = append(subjects, asking(s.name, func(_ int, key string) (int, error) {
			answer, err := c.Get(context.Background(), &cachepb.GetRequest{Group: frontGroup, Key: []byte(key)})
			return len(answer.GetValue()), err
		}))
	}
	ratio, err := b.compare("gRPC Get, c=64", subjects)
	b.targets.add("gRPC Get, c=64, × grpc-go alone", ratio, false, 0.8)
	return err
}
