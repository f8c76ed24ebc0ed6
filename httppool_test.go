package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// oddKeys are keys that URLs, muxes and text encodings like to change.
var oddKeys = []string{
	"a b", "a+b", "a/b", "a//b", "/", "//", "a/", "/a", ".", "..", "../..", "a/../b", "a/./b", "%", "%2F", "%2f", "%00", "%zz",
	"\x00", "\xff\xfe", "a\xc3", "😀", "é", "?", "a?b=c", "#", "a#b", "&", "=", ":", ";", "a\nb", "\r\n", "\t", `\`, `"`, "<>", "~", "get", "remove",
	"test/key", strings.Repeat("k", 32<<10), strings.Repeat("\xff", 32<<10), strings.Repeat("/", 2000),
}

func TestAnyBytesAreAKey(t *testing.T) {
	for _, compat := range []bool{false, true} {
		for _, onMux := range []bool{false, true} {
			t.Run(fmt.Sprintf("compat=%v,mux=%v", compat, onMux), func(t *testing.T) {
				var opts []peercache.PoolOption
				if compat {
					opts = append(opts, peercache.WithGroupcacheCompat())
				}
				var o origin
				nodes := newCluster(t, 3, config{getter: oneOrigin(&o), pool: opts, onMux: onMux})
				for _, key := range oddKeys {
					for _, n := range nodes {
						if got := n.get(t, key); got != "value of "+key {
							t.Errorf("%.40q came back as %.40q", key, got)
						}
					}
					if c := o.count(key); c != 1 {
						t.Errorf("%.40q was loaded %d times", key, c)
					}
					if err := nodes[0].group.Remove(inside(t), key); err != nil {
						t.Errorf("Remove of %.40q: %v", key, err)
					}
				}
				for _, n := range nodes {
					if s := n.group.Stats(); s.Main.Items+s.Hot.Items != 0 || s.PeerErrors != 0 {
						t.Errorf("after Remove of all: %+v", s)
					}
				}
			})
		}
	}
}

func TestGroupNamesOfAnyText(t *testing.T) {
	for _, opts := range [][]peercache.PoolOption{nil, {peercache.WithGroupcacheCompat()}} {
		nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{}), pool: opts, onMux: true})
		key := keyOwnedBy(t, nodes, 0, 1)
		for _, name := range []string{"a b", ".", "..", "%2F", "é", "a+b", "get"} {
			var groups []*peercache.Group
			for _, n := range nodes {
				g, err := peercache.NewGroup(name, 1<<20, &origin{}, peercache.WithPeers(n.pool))
				if err != nil {
					t.Fatal(err)
				}
				groups = append(groups, g)
			}
			if v, err := groups[0].Get(inside(t), key); err != nil || v.String() != "value of "+key {
				t.Errorf("group %q: %q, %v", name, v, err)
			}
			if s := groups[0].Stats(); s.PeerLoads != 1 {
				t.Errorf("group %q: %+v", name, s)
			}
		}
	}
}

func TestPoolSaysWhatIsWrong(t *testing.T) {
	bad := map[string]string{ // base URL to a part of the error
		"":                          "want a base URL",
		"10.0.0.1:8001":             "want a base URL",
		"localhost:8001":            "want a base URL",
		"ftp://10.0.0.1":            "want a base URL",
		"http://":                   "want a base URL",
		"http://:8001":              "want a base URL",
		"http://10.0.0.1:8001/":     "http://10.0.0.1:8001",
		"http://10.0.0.1:8001/x":    "http://10.0.0.1:8001",
		"http://10.0.0.1:8001?a=b":  "http://10.0.0.1:8001",
		"http://u:p@10.0.0.1:8001":  "http://10.0.0.1:8001",
		"HTTP://10.0.0.1:8001":      "http://10.0.0.1:8001",
		"http://Example.com":        "http://example.com",
		"http://10.0.0.1:99999":     "port",
		"http://10.0.0.1:0":         "port",
		"http://10.0.0.1:80 01":     "invalid",
		"http://10.0.0.1:8001\x00/": "invalid",
	}
	const self = "http://10.0.0.1:8001"
	pool, err := peercache.NewHTTPPool(self, peercache.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range bad {
		if _, err := peercache.NewHTTPPool(url); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "peercache: ") {
			t.Errorf("NewHTTPPool(%q): %v", url, err)
		}
		if err := pool.Set(self, url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Set(…, %q): %v", url, err)
		}
	}
	lists := map[string][]string{
		"empty list":   nil,
		"stands twice": {self, "http://b:1", "http://b:1"},
		"lacks this":   {"http://b:1"},
	}
	for want, list := range lists {
		if err := pool.Set(list...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Set(%q): %v", list, err)
		}
	}
	if err := pool.Set("https://b.example:444", self, "http://[::1]:8001"); err != nil {
		t.Error(err)
	}
	if err := pool.Set(self, "nonsense"); err == nil || len(pool.Peers()) != 2 {
		t.Errorf("a Set that failed changed the view: %v", pool.Peers())
	}
	options := map[string]peercache.PoolOption{
		"WithBasePath":      peercache.WithBasePath("no-slash"),
		"WithBasePath(\"//": peercache.WithBasePath("//"),
		"letters":           peercache.WithBasePath("/a b/"),
		"WithPeerTimeout":   peercache.WithPeerTimeout(0),
		"WithTransport":     peercache.WithTransport(nil),

		"WithViewChangeRate(0): want at least 1": peercache.WithViewChangeRate(0),
		"WithMaxUnproven(-1): want at least 1":   peercache.WithMaxUnproven(-1),
	}
	for want, opt := range options {
		if _, err := peercache.NewHTTPPool(self, opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestSetMovesKeys(t *testing.T) {
	var o origin
	nodes := newCluster(t, 3, config{getter: oneOrigin(&o), group: []peercache.GroupOption{peercache.WithHotShare(0)}})
	key := keyOwnedBy(t, nodes, 0, 2)
	nodes[0].get(t, key)
	for _, n := range nodes[:2] {
		if err := n.pool.Set(nodes[0].url, nodes[1].url); err != nil {
			t.Fatal(err)
		}
	}
	if p := nodes[0].pool.Pick(key, 0); p != nil && p.Name() == nodes[2].url {
		t.Fatal("the key still belongs to a peer that is not in the view")
	}
	nodes[0].get(t, key)
	if c, s := o.count(key), nodes[0].group.Stats(); c != 1 || s.Handovers+nodes[1].group.Stats().Handovers != 1 {
		t.Fatalf("%d loads, want none but by the owner before, who hands the value over", c)
	}
}

func TestRemoveReachesOwnersAndCopies(t *testing.T) {
	var o origin
	nodes := newCluster(t, 3, config{getter: oneOrigin(&o)})
	var keys []string
	for i := range 60 {
		keys = append(keys, fmt.Sprint("key", i))
	}
	for round := 1; round <= 2; round++ {
		for _, key := range keys {
			for _, n := range nodes {
				n.get(t, key)
			}
			if c := o.count(key); c != round {
				t.Fatalf("%s: %d loads in round %d", key, c, round)
			}
		}
		if err := nodes[round].group.Remove(inside(t), keys...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRemoveReachesAPeerThatShutsDown(t *testing.T) {
	nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{})})
	key := keyOwnedBy(t, nodes, 0, 1)
	nodes[1].get(t, key)
	if err := nodes[1].pool.Shutdown(inside(t)); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].group.Remove(inside(t), key); err != nil {
		t.Fatal(err)
	}
	if s := nodes[1].group.Stats(); s.Main.Items != 0 {
		t.Fatal("Remove returned nil, and a peer has the value still")
	}
}

func TestRemoveOfManyLargeKeys(t *testing.T) {
	nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{})})
	var keys []string // more than one request may carry
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("%05d%s", i, strings.Repeat("k", 30<<10)))
	}
	if err := nodes[0].group.Remove(inside(t), keys...); err != nil {
		t.Fatal(err)
	}
}

func TestLoadTimeoutWithoutEnd(t *testing.T) {
	var o origin
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o), group: []peercache.GroupOption{peercache.WithLoadTimeout(math.MaxInt64)}})
	nodes[0].get(t, keyOwnedBy(t, nodes, 0, 1))
	if s := nodes[0].group.Stats(); s.PeerLoads != 1 {
		t.Errorf("%+v: want the owner asked", s)
	}
}

func TestPeerThatHangs(t *testing.T) {
	var o origin
	hangs := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or the server does not see that the asker leaves
		<-r.Context().Done()
	})
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o), second: hangs, pool: []peercache.PoolOption{peercache.WithPeerTimeout(50 * time.Millisecond), peercache.WithDetectionTime(50 * time.Millisecond)}})
	key := keyOwnedBy(t, nodes, 0, 1)
	if got := nodes[0].get(t, key); got != "value of "+key {
		t.Fatal(got)
	}
}

func TestP7CopyHasTheTimeThatIsLeft(t *testing.T) {
	getter := peercache.ItemFunc(func(context.Context, string) (peercache.Item, error) {
		return peercache.Item{Value: []byte("v"), TTL: time.Hour}, nil
	})
	nodes := newCluster(t, 2, config{getter: oneOrigin(getter)})
	key := keyOwnedBy(t, nodes, 0, 1)
	nodes[0].get(t, key)
	item, err := nodes[0].pool.Pick(key, 0).Get(inside(t), peercache.Query{Group: "test", Key: key})
	if err != nil || item.TTL <= 0 || item.TTL >= time.Hour {
		t.Fatalf("%+v, %v: want less than the hour that the value had when it was loaded", item, err)
	}
}

func TestShutdown(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	o := origin{load: func(_ context.Context, key string) ([]byte, error) {
		if key == "slow" {
			close(started)
			<-release
		}
		return []byte("v"), nil
	}}
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o)})
	left, cancel := context.WithCancel(context.Background())
	cancelled := make(chan error, 1)
	go func() {
		_, err := nodes[1].group.ServeGet(left, peercache.Query{Group: "test", Key: "slow"}) // a load that will be abandoned
		cancelled <- err
	}()
	<-started
	cancel()
	<-cancelled

	key := keyOwnedBy(t, nodes, 0, 1)
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := nodes[1].pool.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Shutdown beside a load in progress: %v", err)
	}
	if got := nodes[0].get(t, key); got != "v" || nodes[0].group.Stats().Loads != 1 {
		t.Fatalf("%q: a peer that shuts down is to be passed by", got)
	}
	if got := nodes[1].get(t, key); got != "v" {
		t.Fatalf("%q: the group is to go on by itself", got)
	}
	if err := nodes[1].pool.Set(nodes[1].url); !errors.Is(err, peercache.ErrClosed) {
		t.Fatalf("Set after Shutdown: %v", err)
	}
	close(release)
	for range 2 {
		if err := nodes[1].pool.Shutdown(inside(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRemoveReachesThePeersAfterShutdown removes from a process that is about to
// end: it may still write to the origin.
func TestRemoveReachesThePeersAfterShutdown(t *testing.T) {
	var version atomic.Int64
	o := origin{load: func(context.Context, string) ([]byte, error) { return fmt.Append(nil, version.Load()), nil }}
	nodes := newCluster(t, 3, config{getter: oneOrigin(&o)})
	for owner := range nodes {
		key := keyOwnedBy(t, nodes, 0, owner)
		for _, n := range nodes {
			n.get(t, key)
		}
	}
	keys := []string{keyOwnedBy(t, nodes, 0, 0), keyOwnedBy(t, nodes, 0, 1), keyOwnedBy(t, nodes, 0, 2)}
	if err := nodes[0].pool.Shutdown(inside(t)); err != nil {
		t.Fatal(err)
	}
	version.Store(1)
	if err := nodes[0].group.Remove(inside(t), keys...); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		for _, key := range keys {
			if got := n.get(t, key); got != "1" {
				t.Errorf("%s has the old value of %s", n.url, key)
			}
		}
	}
}
