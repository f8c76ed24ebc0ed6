//go:build unix

package node

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Three processes find each other by a file, and then a fourth, which all see.
func TestDiscoveryByFile(t *testing.T) {
	peers, dir := filepath.Join(t.TempDir(), "peers"), t.TempDir()
	listPeers(t, peers, nil)
	client := newClient(t, 1)
	var nodes []*process
	for n := range 4 {
		node := start(t, nodeReady, "-port", "0", "-api", "127.0.0.1:0", "-detection-time", silence, "-log-level", "INFO",
			"-dir", dir, "-discovery", "file", "-peers-file", peers)
		t.Cleanup(func() { node.stop(t, os.Interrupt) })
		nodes = append(nodes, node)
		if n >= 2 {
			listPeers(t, peers, nodes)
			waitShared(t, client, nodes, dir)
		}
	}
	// The fourth is listed no more, so that nobody asks it, and what is listed in its
	// place harms nobody.
	listPeers(t, peers, append(nodes[:3:3], &process{peer: "rubbish"}))
	waitShared(t, client, nodes[:3], dir)
	for _, node := range nodes[:3] {
		node.stop(t, os.Interrupt)
		if log := node.stderr.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "rubbish") {
			t.Errorf("%s: want a warning of the rubbish in the log:\n%s", node.peer, log)
		}
	}
}

// listPeers writes the file in the way that its documentation asks for.
func listPeers(t *testing.T, path string, nodes []*process) {
	t.Helper()
	text := "# the peers of a test\n"
	for _, node := range nodes {
		text += node.peer + "\n"
	}
	err := os.WriteFile(path+".next", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".next", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// waitShared waits until nodes that serve the files of dir share one view, with
// all of them in it: each of some new files is loaded once, and every node loads
// some. A node that has not joined yet holds up who asks it.
func waitShared(t *testing.T, client *http.Client, nodes []*process, dir string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		keys := newFiles(t, dir, 50)
		before := loads(t, client, nodes)
		for _, key := range keys {
			for _, node := range nodes {
				if got, err := getString(client, node.api, key); got != key || err != nil {
					t.Fatalf("%s at %s: got %q, error %v: want the key", key, node.peer, got, err)
				}
			}
		}
		all, idle := int64(0), 0
		for i, after := range loads(t, client, nodes) {
			all += after - before[i]
			if after == before[i] {
				idle++
			}
		}
		if all == int64(len(keys)) && idle == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d loads of %d keys, %d of %d nodes loaded none: want each key once, and some by each node",
				all, len(keys), idle, len(nodes))
		}
	}
}

// newFiles makes n files below dir, whose content is the key that each has there.
func newFiles(t *testing.T, dir string, n int) (keys []string) {
	t.Helper()
	sub, err := os.MkdirTemp(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		key := filepath.Base(sub) + "/" + fmt.Sprint(i)
		if err := os.WriteFile(filepath.Join(dir, key), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// loads returns how many loads each node has run.
func loads(t *testing.T, client *http.Client, nodes []*process) []int64 {
	t.Helper()
	var loads []int64
	for i := range nodes {
		loads = append(loads, stats(t, client, nodes[i:i+1]).Loads)
	}
	return loads
}

// A discovery that cannot work ends the process, which says why.
func TestDiscoveryFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for want, args := range map[string][]string{
		missing:         {"-discovery", "file", "-peers-file", missing},
		"want that, or": {"-discovery", "dns", "-dns", "http://localhost:1"},
		"//TARGET:PORT": {"-discovery", "dns", "-srv", "https://localhost"},
	} {
		p, err := tryStart(t, func(*process, string) bool { return false }, append(args, "-port", "0")...)
		if p != nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "exit status 1") {
			t.Errorf("%q: %v: want status 1 and %q", args, err, want)
		}
	}
}

// One that waits for a view can be stopped.
func TestStopBeforeJoin(t *testing.T) {
	peers := filepath.Join(t.TempDir(), "peers")
	listPeers(t, peers, nil)
	start(t, nodeReady, "-port", "0", "-api", "127.0.0.1:0", "-discovery", "file", "-peers-file", peers).stop(t, os.Interrupt)
}
