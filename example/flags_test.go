package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	defaults := config{detection: 500 * time.Millisecond, cacheBytes: 64 << 20, logLevel: slog.LevelDebug}
	tests := []struct {
		args string
		want func(*config)
	}{
		{"", func(c *config) { c.ports, c.api = []int{8001, 8002, 8003}, "127.0.0.1:9999" }},
		{"-nodes 0,9001 -api :0 -dir " + dir, func(c *config) { c.ports, c.api, c.dir = []int{0, 9001}, ":0", dir }},
		{"-port 8001", func(c *config) { c.oneNode, c.listen = true, "127.0.0.1:8001" }},
		{"-port 0 -api :9999", func(c *config) { c.oneNode, c.listen, c.api = true, "127.0.0.1:0", ":9999" }},
		{"-port 0 -peers -", func(c *config) { c.oneNode, c.listen, c.followPeers = true, "127.0.0.1:0", true }},
		{"-port 8001 -peers http://127.0.0.1:8001,http://127.0.0.1:8002", func(c *config) {
			c.oneNode, c.listen = true, "127.0.0.1:8001"
			c.peers = []string{"http://127.0.0.1:8001", "http://127.0.0.1:8002"}
		}},
		{"-port 8001 -self http://10.0.0.1:81 -peers http://10.0.0.1:81", func(c *config) {
			c.oneNode, c.listen, c.self, c.peers = true, ":8001", "http://10.0.0.1:81", []string{"http://10.0.0.1:81"}
		}},
		{"-port 1 -origin-delay 300ms -cache-bytes 9 -log-level warn", func(c *config) {
			c.oneNode, c.listen = true, "127.0.0.1:1"
			c.originDelay, c.cacheBytes, c.logLevel = 300*time.Millisecond, 9, slog.LevelWarn
		}},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			want := defaults
			test.want(&want)
			got, err := parseFlags(strings.Fields(test.args), io.Discard)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, error %v\nwant %+v", got, err, want)
			}
		})
	}
}

// Each message says what is wrong, and what would be right or which flag is
// concerned. The process ends with the status that shells know for usage.
func TestFlagErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct{ args, want string }{
		{"8001", `unexpected argument "8001": want only flags`},
		{"-nonsense", "-nonsense"},
		{"-port x", `"x" for flag -port`},
		{"-port -1", "-port -1: want 1 to 65535"},
		{"-port 65536", "-port 65536: want 1 to 65535"},
		{"-port 0 -self http://127.0.0.1:1", "want -port 1 to 65535"},
		{"-port 0 -peers http://127.0.0.1:1", "want -port 1 to 65535"},
		{"-port 1 -nodes 1", "want one of the two"},
		{"-port 1 -self 127.0.0.1", "-self: peercache:"},
		{"-port 1 -peers http://127.0.0.1:2", "lacks this process"},
		{"-port 1 -peers http://127.0.0.1:1,http://127.0.0.1:1", "twice"},
		{"-port 1 -peers http://127.0.0.1:1,", `peer ""`},
		{"-peers http://127.0.0.1:1", "want -port as well"},
		{"-self http://127.0.0.1:1", "want -port as well"},
		{"-nodes ,", "-nodes \",\": want ports"},
		{"-nodes 1,65536", "want ports"},
		{"-nodes 1,2,1", "port 1 stands there twice"},
		{"-api 9999", "want host:port"},
		{"-api :99999", "want host:port"},
		{"-dir " + missing, "-dir " + missing},
		{"-dir flags.go", "-dir flags.go: want a directory"},
		{"-origin-delay 300", "-origin-delay"},
		{"-origin-delay -1s", "-origin-delay -1s: want 0 or more"},
		{"-cache-bytes 0", "-cache-bytes 0: want more than 0"},
		{"-log-level loud", "loud"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(strings.Fields(test.args), strings.NewReader(""), &stdout, &stderr)
			if status != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("status %d, stdout %q, stderr %q: want status %d and %q on stderr",
					status, &stdout, &stderr, exitUsage, test.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run([]string{"-h"}, nil, &stdout, &stderr); status != exitOK || stderr.Len() > 0 {
		t.Errorf("status %d, stderr %q: want %d and nothing", status, &stderr, exitOK)
	}
	for _, want := range []string{"-port", "-peers", "-api", "-dir", "-origin-delay"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the help does not mention %s", want)
		}
	}
	if _, err := parseFlags([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v: want flag.ErrHelp", err)
	}
}
