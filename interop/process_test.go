package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asNode in the environment makes a process of the test binary a node: it has
// been built already, and with the race detector if the test has.
const asNode = "PEERCACHE_INTEROP_NODE"

func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// Ways to serve a pool. Muxes differ in which paths they redirect.
const (
	onMux    = "mux"     // on an http.ServeMux, as groupcache.NewHTTPPool does
	onOldMux = "old mux" // on that of Go 1.21: also if the program's go.mod says so
	alone    = "alone"   // as the server's handler
)

// process is a running node.
type process struct {
	kind   string
	url    string
	client *http.Client
}

// listeners opens n places for nodes, and returns their URLs. They outlive the
// nodes, so that several fleets can have the same URLs, one after the other.
func listeners(t *testing.T, n int) (open []*net.TCPListener, urls []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		open = append(open, l.(*net.TCPListener))
		urls = append(urls, "http://"+l.Addr().String())
	}
	return open, urls
}

// startFleet runs a process of kinds[i] at open[i], until the test ends.
func startFleet(t *testing.T, open []*net.TCPListener, urls, kinds []string, serving string) []*process {
	t.Helper()
	fleet := make([]*process, len(kinds))
	for i := range kinds {
		fleet[i] = start(t, open[i], urls[i], kinds[i], serving, urls)
	}
	return fleet
}

func start(t *testing.T, listener *net.TCPListener, url, kind, serving string, peers []string) *process {
	t.Helper()
	f, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0],
		"-kind", kind, "-self", url, "-peers", join(peers), "-fd=3", "-until-eof", fmt.Sprintf("-mux=%t", serving != alone))
	// A process with the race detector would wait for a second before it ends.
	cmd.Env = append(os.Environ(), asNode+"=1", "GORACE=atexit_sleep_ms=0")
	if serving == onOldMux {
		cmd.Env = append(cmd.Env, "GODEBUG=httpmuxgo121=1")
	}
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // it ends with this process, however that ends
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		kill()
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stdin.Close()
		patience := time.AfterFunc(10*time.Second, kill)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s at %s: %v", kind, url, err)
		}
		patience.Stop()
		kill()
	})
	return &process{kind: kind, url: url, client: &http.Client{Transport: transport, Timeout: 15 * time.Second}}
}

func join(urls []string) (list string) {
	for i, u := range urls {
		if i > 0 {
			list += ","
		}
		list += u
	}
	return list
}

// ask asks a node one of the questions of questionsOf.
func (p *process) ask(t *testing.T, question string, keys []string, answer any) {
	t.Helper()
	resp, err := p.client.PostForm(p.url+questionPath+question, url.Values{"key": keys})
	if err != nil {
		t.Errorf("%s: %v", question, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	if err != nil {
		t.Errorf("%s: %v: %.100q", question, err, body)
	}
}

func (p *process) get(t *testing.T, key string) (a answer) {
	t.Helper()
	p.ask(t, "get", []string{key}, &a)
	return a
}

func (p *process) remove(t *testing.T, key string) (a answer) {
	t.Helper()
	p.ask(t, "remove", []string{key}, &a)
	return a
}

// owners returns the URLs of the peers that p takes for the owners of keys.
func (p *process) owners(t *testing.T, keys ...string) (urls []string) {
	t.Helper()
	p.ask(t, "owners", keys, &urls)
	if len(urls) != len(keys) {
		t.Fatalf("got %d owners for %d keys", len(urls), len(keys))
	}
	return urls
}

// loads returns how often the origin of each process has loaded each key.
func loads(t *testing.T, fleet []*process) []map[string]int {
	t.Helper()
	all := make([]map[string]int, len(fleet))
	for i, p := range fleet {
		var hexed map[string]int
		p.ask(t, "loads", nil, &hexed)
		all[i] = make(map[string]int, len(hexed))
		for h, n := range hexed {
			key, err := hex.DecodeString(h)
			if err != nil {
				t.Fatal(err)
			}
			all[i][string(key)] = n
		}
	}
	return all
}

// at returns the place of the process with a URL.
func at(t *testing.T, fleet []*process, url string) int {
	t.Helper()
	for i, p := range fleet {
		if p.url == url {
			return i
		}
	}
	t.Fatalf("the owner is %q, which is none of the fleet", url)
	return -1
}

// together runs f for 0 to n-1, a few at a time, and waits.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	const atOnce = 16
	for first := range atOnce {
		wg.Go(func() {
			for i := first; i < n; i += atOnce {
				f(i)
			}
		})
	}
	wg.Wait()
}
