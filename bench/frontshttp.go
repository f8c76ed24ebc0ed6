package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	frontdoor "github.com/peercache/peercache/door"
)

var frontsHTTP = command{
	name:  "fronts-http",
	about: "a hit over HTTP, by package api and by nginx's proxy_cache",
	run:   runFrontsHTTP,
}

const (
	frontConns = 64
	frontBytes = 1 << 10
	frontPath  = "/v1/scores/Tom"

	frontLength = "Content-Length: 1024\r\n" // of frontBytes
)

// serveFrontHTTP is a process that answers over HTTP: groups at frontPath, and the same bytes by
// net/http alone at /plain.
func serveFrontHTTP() error {
	value := []byte(strings.Repeat("x", frontBytes))
	scores, err := peercache.NewGroup("scores", memberBytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return value, nil }), peercache.WithTTL(time.Hour))
	if err != nil {
		return err
	}
	handler, err := api.New([]frontdoor.Cache{scores})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { w.Write(value) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, mux)
	orders := bufio.NewScanner(os.Stdin)
	for {
		if err := json.NewEncoder(os.Stdout).Encode(report{URL: l.Addr().String(), CPU: cpuTime()}); err != nil {
			return err
		}
		if !orders.Scan() {
			return nil
		}
	}
}

// runFrontsHTTP measures requests of 64 connections, from this process to one other: one after the
// other on each connection.
func runFrontsHTTP(w io.Writer, m measuring) error {
	ours, err := startReporting("front http")
	if err != nil {
		return err
	}
	defer ours.stop()
	subjects := []struct{ name, addr, path string }{
		{"peercache, package api", ours.url, frontPath},
		{"net/http alone", ours.url, "/plain"},
	}
	proxy, stop, err := startNginx()
	if err != nil {
		return err
	}
	defer stop()
	if proxy == "" {
		fmt.Fprintln(w, "\nnginx is not installed here: without it.")
	} else {
		subjects = append(subjects, struct{ name, addr, path string }{"nginx, proxy_cache", proxy, frontPath})
	}
	var measured []subject
	for _, s := range subjects {
		conns, err := dialFront(s.addr, s.path)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer conns.close()
		measured = append(measured, subject{s.name, conns.do})
	}
	figures := m.sideBySide(frontConns, measured)
	t := newTable("a hit of 1 KiB, 64 connections", "requests/s", "× ours")
	for i, f := range figures {
		t.add(measured[i].name, 1e9/f.ns, figures[0].ns/f.ns)
	}
	if err := t.print(w); err != nil {
		return err
	}
	if proxy != "" && !m.quick {
		var ts targets
		ts.add("a hit over HTTP, × nginx's proxy_cache", figures[2].ns/figures[0].ns, false, 0.3)
		ts.print(w, "Targets")
	}
	return nil
}

// frontClients are connections on which one request is asked again and again.
type frontClients struct {
	request string
	all     []*frontClient
}

type frontClient struct {
	net.Conn
	in *bufio.Reader
}

func dialFront(addr, path string) (*frontClients, error) {
	c := &frontClients{request: "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\n\r\n"}
	for range frontConns {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			c.close()
			return nil, err
		}
		c.all = append(c.all, &frontClient{nc, bufio.NewReader(nc)})
	}
	return c, c.all[0].ask(c.request) // what follows is a hit
}

func (c *frontClients) close() {
	for _, one := range c.all {
		one.Close()
	}
}

func (c *frontClients) do(worker, n int) (sum int) {
	for range n {
		if err := c.all[worker].ask(c.request); err != nil {
			panic(err) // of a figure nobody could trust
		}
		sum++
	}
	return sum
}

// ask asks a request, and reads an answer that has to be the value.
func (c *frontClient) ask(request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	ok, sized := false, false
	for {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case len(line) <= 2:
			if !ok || !sized {
				return errors.New("an answer that is not the value")
			}
			_, err := c.in.Discard(frontBytes)
			return err
		case strings.HasPrefix(string(line), "HTTP/1.1 200 "):
			ok = true
		case strings.EqualFold(string(line), frontLength):
			sized = true
		}
	}
}

// startNginx starts an nginx that caches what an origin in this process answers, and returns its
// address: none where it is not installed.
func startNginx() (addr string, stop func(), err error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		return "", func() {}, nil
	}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", frontBytes))
	}))
	dir, err := os.MkdirTemp("", "bench-nginx")
	if err != nil {
		origin.Close()
		return "", nil, err
	}
	clean := func() { origin.Close(); os.RemoveAll(dir) }
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // the port is free, and soon used
	if err != nil {
		clean()
		return "", nil, err
	}
	addr = l.Addr().String()
	l.Close()
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, user, runtime.NumCPU(), dir, addr, origin.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		clean()
		return "", nil, err
	}
	n, err := startNode(strings.Join([]string{"nginx", "-p", dir, "-c", config, "-e", "stderr"}, argSeparator))
	if err != nil {
		clean()
		return "", nil, err
	}
	stop = func() { n.stop(); clean() }
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			return addr, stop, c.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("nginx does not take connections")
}

// nginxConfig is what nginx's own pages advise for hits: a worker for each processor, no log, files
// that stay open.
const nginxConfig = `%[1]s
worker_processes %[2]d;
daemon off;
pid %[3]s/nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	open_file_cache max=1000;
	client_body_temp_path %[3]s/body;
	proxy_temp_path %[3]s/proxy;
	fastcgi_temp_path %[3]s/fastcgi;
	uwsgi_temp_path %[3]s/uwsgi;
	scgi_temp_path %[3]s/scgi;
	proxy_cache_path %[3]s/cache keys_zone=hits:1m;
	server {
		listen %[4]s;
		location / {
			proxy_pass %[5]s;
			proxy_cache hits;
			proxy_cache_valid 200 1h;
		}
	}
}
`
