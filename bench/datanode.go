package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/respdoor"
	"github.com/peercache/peercache/resp"
)

// dataNodePrefix begins what a process is that serves data by RESP. The directory of its log follows, and how it is
// synced, in the words of Redis' appendfsync; or nothing.
const dataNodePrefix = "data "

// runDataNode serves a Memory until its standard input ends.
func runDataNode(what string) error {
	opts, err := dataNodeLog(what)
	if err != nil {
		return err
	}
	memory, err := data.NewMemory(opts...)
	if err != nil {
		return err
	}
	fallback, err := respdoor.New(memory)
	if err != nil {
		return err
	}
	server, err := resp.New(nil, resp.WithFallback(fallback))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(l)
	if err := reportRESP(l.Addr().String()); err != nil {
		return err
	}
	return memory.Close()
}

// miniredisNode is a process that serves miniredis, which Go programs have in their tests in place of a Redis.
const miniredisNode = "miniredis"

func runMiniredis() error {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return err
	}
	defer m.Close()
	return reportRESP(m.Addr())
}

// reportRESP tells which address speaks RESP, and returns when standard input has ended.
func reportRESP(addr string) error {
	orders := bufio.NewScanner(os.Stdin)
	for {
		if err := json.NewEncoder(os.Stdout).Encode(report{Doors: doors{RESP: addr}}); err != nil {
			return err
		}
		if !orders.Scan() {
			return orders.Err()
		}
	}
}

// dataNodeLog returns the log that a process is told to have.
func dataNodeLog(what string) ([]data.MemoryOption, error) {
	dir, fsync, ok := strings.Cut(strings.TrimPrefix(what, dataNodePrefix), " ")
	if !ok {
		return nil, nil
	}
	policy, ok := map[string]data.SyncPolicy{"always": data.SyncAlways, "everysec": data.SyncInterval(time.Second), "no": data.SyncNever}[fsync]
	if !ok {
		return nil, fmt.Errorf("a log that is synced %q", fsync)
	}
	return []data.MemoryOption{data.WithLog(dir, data.LogSync(policy))}, nil
}
