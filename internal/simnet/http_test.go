package simnet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/peercache/peercache/internal/simnet"
)

// TestMain fails when a goroutine is left behind by any test.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs an HTTP server on a host until the returned function is called.
func serve(t testing.TB, n *simnet.Network, host string, h http.HandlerFunc) (stop func()) {
	t.Helper()
	stop, err := simnet.Serve(n.Host(host), host+":80", h)
	must(t, err)
	return stop
}

func get(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestHTTPTakesExactlyTheConfiguredTime(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(20*ms, 20*ms)
		defer serve(t, n, "b", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * ms)
			io.WriteString(w, "hello "+r.RemoteAddr[:2])
		})()
		transport := n.Host("a").Transport()
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		for _, want := range []time.Duration{180 * ms, 140 * ms} { // the first one dials
			start := time.Now()
			got, err := get(context.Background(), client, "http://b/")
			must(t, err)
			if got != "hello a:" {
				t.Error(got)
			}
			since(t, start, want)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 70*ms)
		defer cancel()
		start := time.Now()
		_, err := get(ctx, client, "http://b/")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		since(t, start, 70*ms)
		if s := n.LinkStats("a", "b"); s.Dials != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestHTTPFaults(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		body := strings.Repeat("x", 100_000)
		stop := serve(t, n, "b", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
		transport := n.Host("a").Transport()
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		ask := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			got, err := get(ctx, client, "http://b/")
			if err == nil && got != body {
				t.Error("the body differs")
			}
			return err
		}
		must(t, ask())
		for _, fault := range []struct {
			name      string
			begin     func()
			want      error
			thenStart bool
		}{
			{"reset", func() { n.Reset("a", "b") }, nil, false}, // it dials again
			{"cut", func() { n.Cut("a", "b") }, context.DeadlineExceeded, false},
			{"dial", func() { transport.CloseIdleConnections(); n.Cut("a", "b") }, context.DeadlineExceeded, false},
			{"amid the answer", func() { n.ResetAfter("b", "a", 50_000) }, syscall.ECONNRESET, false},
			{"silence amid the answer", func() { n.CutAfter("b", "a", 50_000) }, context.DeadlineExceeded, false},
			{"freeze", func() { n.Freeze("b") }, context.DeadlineExceeded, false},
			{"power", func() { n.PowerOff("b") }, context.DeadlineExceeded, true},
			{"crash", func() { n.Crash("b") }, syscall.ECONNREFUSED, true},
		} {
			fault.begin()
			if err := ask(); !errors.Is(err, fault.want) {
				t.Errorf("%s: %v, want %v", fault.name, err, fault.want)
			}
			n.HealAll()
			n.Thaw("b")
			if fault.thenStart {
				stop()
				stop = serve(t, n, "b", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
			}
			if err := ask(); err != nil {
				t.Errorf("after %s: %v", fault.name, err)
			}
		}
		stop()
	})
}

func TestUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLink(simnet.Link{MinLatency: 5 * ms, MaxLatency: 5 * ms, Segment: 3})
		defer serve(t, n, "b", func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			rw.Flush()
			for {
				line, err := rw.ReadString('\n')
				if err != nil {
					return
				}
				rw.WriteString("echo " + line)
				rw.Flush()
			}
		})()
		c, err := n.Host("a").DialContext(context.Background(), "tcp", "b:80")
		must(t, err)
		send(t, c, "GET / HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly\n")
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		must(t, err)
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp.Status)
		}
		send(t, c, "late\n")
		for _, want := range []string{"echo early\n", "echo late\n"} {
			if got, err := r.ReadString('\n'); err != nil || got != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		}
		c.Close()
	})
}

func TestHundredHosts(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(1*ms, 10*ms)
		const hosts = 100
		var all sync.WaitGroup
		for i := range hosts {
			defer serve(t, n, fmt.Sprint("h", i), func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })()
		}
		for i := range hosts {
			all.Go(func() {
				transport := n.Host(fmt.Sprint("h", i)).Transport()
				defer transport.CloseIdleConnections()
				for k := range 10 {
					name := fmt.Sprint("h", (i+k*k)%hosts)
					got, err := get(context.Background(), &http.Client{Transport: transport}, "http://"+name+"/")
					if err != nil || got != name {
						t.Errorf("%q, %v, want %q", got, err, name)
					}
				}
			})
		}
		all.Wait()
		if s := n.Stats(); s.Dials != hosts*10 {
			t.Errorf("%+v", s)
		}
	})
}
