package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// frontPath is where a front has a key, by HTTP.
func frontPath(key string) string { return "/v1/" + frontGroup + "/" + key }

const frontLength = "Content-Length: 1024\r\n" // of frontBytes

// frontClient is a connection that asks by HTTP, for one key at a time. It costs less than net/http's
// client, which would be most of what is measured.
type frontClient struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialFront(url string) (*frontClient, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, err
	}
	return &frontClient{conn, bufio.NewReader(conn)}, nil
}

func (c *frontClient) close() { c.conn.Close() }

// get asks for what is at path, and reads an answer that has to be the value.
func (c *frontClient) get(path string) error {
	if _, err := io.WriteString(c.conn, "GET "+path+" HTTP/1.1\r\nHost: front\r\n\r\n"); err != nil {
		return err
	}
	ok, sized := false, false
	for head := ""; ; {
		line, err := c.in.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case len(line) <= 2:
			if !ok || !sized {
				return fmt.Errorf("%s: an answer that is not the value: %q", path, head)
			}
			_, err := c.in.Discard(frontBytes)
			return err
		case strings.HasPrefix(string(line), "HTTP/1.1 200 "):
			ok = true
		case strings.EqualFold(string(line), frontLength):
			sized = true
		}
		head += string(line)
	}
}

// startNginx starts an nginx that caches what an origin in this process answers, and returns its
// URL: none where it is not installed.
func startNginx(w io.Writer) (url string, stop func(), err error) {
	if !installed(w, "nginx") {
		return "", nil, nil
	}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(frontValue) }))
	dir, err := os.MkdirTemp("", "bench-nginx")
	clean := func() { origin.Close(); os.RemoveAll(dir) }
	var addr string
	if err == nil {
		addr, err = freeAddr()
	}
	if err != nil {
		clean()
		return "", nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, user, runtime.NumCPU(), dir, addr, origin.URL)
	var end func()
	if err = os.WriteFile(config, []byte(text), 0o600); err == nil {
		end, err = guard(addr, "nginx", "-p", dir, "-c", config, "-e", "stderr")
	}
	if err != nil {
		clean()
		return "", nil, err
	}
	return "http://" + addr, func() { end(); clean() }, nil
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
	open_file_cache max=2000;
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
