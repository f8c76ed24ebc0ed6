package web

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

const nginxConfig = `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	default_type text/plain;
	gzip on; gzip_types *; gzip_min_length 100; gzip_proxied any; gzip_vary on;
	server {
		listen unix:nginx.sock;
		root root;
		location /fresh/ { expires 1m; }
		location /secret/ { expires 1m; add_header Cache-Control no-store; }
		location /old/ { expires -1; }
		location /gone/ { return 410; }
		location /busy/ { return 503; }
		location = /moved { return 302 /fresh/Tom; }
	}
}
`

// startNginx returns an origin that asks a real nginx, and the bytes that it has read of it.
func startNginx(t *testing.T, files map[string]string) (*Origin, string, *atomic.Int64) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Skipf("there is no nginx: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "") // a short path, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := strings.ReplaceAll(nginxConfig, "unix:", "unix:"+dir+"/")
	for path, text := range files {
		path = filepath.Join(dir, "root", filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var problems bytes.Buffer
	cmd := exec.Command(program, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	socket := filepath.Join(dir, "nginx.sock")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		}
		select {
		case <-exited:
			t.Fatalf("nginx has ended: %s", &problems)
		case <-tick.C:
		}
	}
	var read atomic.Int64
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		return counted{c, &read}, err
	}}
	o, err := New(Config{URL: "http://nginx.example/{key...}", Transport: transport, RetryWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o, dir, &read
}

// counted is a connection that counts what is read of it.
type counted struct {
	net.Conn
	read *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(int64(n))
	return n, err
}

// What a server of the world says means what this package takes it for.
func TestNginx(t *testing.T) {
	large := strings.Repeat("0123456789", 100_000)
	o, dir, read := startNginx(t, map[string]string{
		"plain/Tom": large, "fresh/Tom": "630", "fresh/a b%2F": "631", "secret/Tom": "632", "old/Tom": large,
	})
	for key, want := range map[string]struct {
		value   string
		ttl     time.Duration
		missing bool
		problem string
	}{
		"plain/Tom":    {value: large, ttl: groups},
		"fresh/Tom":    {value: "630", ttl: time.Minute},
		"fresh/a b%2F": {value: "631", ttl: time.Minute},
		"secret/Tom":   {value: "632", ttl: notKept},
		"old/Tom":      {value: large, ttl: notKept},
		"moved":        {value: "630", ttl: time.Minute},
		"fresh/Sam":    {missing: true},
		"gone/Tom":     {missing: true},
		"busy/Tom":     {problem: `"503 Service Temporarily Unavailable" (3 tries)`},
	} {
		for try := range 2 {
			before := read.Load()
			item, err := o.Get(t.Context(), key)
			switch {
			case want.missing && !errors.Is(err, peercache.ErrNotFound), want.problem != "" && (err == nil || !strings.Contains(err.Error(), want.problem)):
				t.Errorf("%s: %v", key, err)
			case !want.missing && want.problem == "" && (err != nil || string(item.Value) != want.value):
				t.Errorf("%s: %d bytes, %v, want %d", key, len(item.Value), err, len(want.value))
			case item.TTL > want.ttl || item.TTL < want.ttl-10*time.Second:
				t.Errorf("%s: TTL %v, want %v", key, item.TTL, want.ttl)
			}
			if n := read.Load() - before; try == 1 && want.problem == "" && n > 1000 {
				t.Errorf("%s: %d bytes came of a value that has not changed", key, n)
			}
		}
	}
	path := filepath.Join(dir, "root", "plain", "Tom")
	if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if item, err := o.Get(t.Context(), "plain/Tom"); err != nil || string(item.Value) != "new" {
		t.Errorf("after a change: %d bytes, %v", len(item.Value), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Get(t.Context(), "plain/Tom"); !errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("after a removal: %v", err)
	}
}
