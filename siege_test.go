//go:build unix

package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peertls"
)

// attackers is how many connections an attack has, of which the process holds up to held at its end as
// well: 10,000, or as many as this process may have open.
func attackers(t *testing.T, held int) int {
	n := 10_000
	if testing.Short() || raceEnabled {
		n = 2500
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const others = 1000 // files of the test, and connections that are being closed
	most := int(min(limit.Cur, 1<<20)) - others
	if most < 200 {
		t.Skipf("only %d files may be open at once", limit.Cur)
	}
	if fit := max(most-held, most/2); fit < n {
		t.Logf("%d connections: only %d files may be open at once", fit, limit.Cur)
		n = fit
	}
	return n
}

// besieged is a process that is attacked over real connections. It holds both ends of them. A peer of
// it, the friend, asks it for keys all the time.
type besieged struct {
	*testing.T
	url, host    string
	friendURL    string
	pool         *peercache.HTTPPool
	friend       *peercache.Group
	friendly     *peercache.HTTPPool
	lines        lineCounter // of the log
	accepted     atomic.Int64
	newcomer     func() error // a process that is not in the view asks for a key
	hang         chan struct{}
	endHanging   func()       // closes hang
	slowest      atomic.Int64 // of the friend's Gets, in nanoseconds
	answered     atomic.Int64
	before       usage
	mostRoutines atomic.Int64

	mu    sync.Mutex
	conns []net.Conn // guarded by mu; the attackers' ends
}

// lineCounter counts the lines of a log.
type lineCounter struct{ n atomic.Int64 }

func (l *lineCounter) Write(b []byte) (int, error) {
	l.n.Add(int64(bytes.Count(b, []byte("\n"))))
	return len(b), nil
}

// usage is what a process takes.
type usage struct {
	bytes      int64 // of objects and stacks
	goroutines int
}

func measure() usage {
	runtime.GC()
	runtime.GC() // pools keep what they have for one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()}
}

// mostPatient is how long the friend waits for a value, at most.
const mostPatient = 10 * time.Second

// besiege starts a process to attack, and its friend. secure is "" for an open pool, or "secret", or
// "tls".
func besiege(t *testing.T, secure string, opts ...peercache.PoolOption) *besieged {
	b := &besieged{T: t, hang: make(chan struct{})}
	b.endHanging = sync.OnceFunc(func() { close(b.hang) })
	t.Cleanup(b.endHanging)
	getter := peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
		switch {
		case strings.HasPrefix(key, "hang"):
			<-b.hang
		case strings.HasPrefix(key, "large"):
			return make([]byte, 100<<10), nil
		}
		return []byte("value of " + key), nil
	})
	ca := testca.New(t, "CA")
	start := func(serve bool, more ...peercache.PoolOption) (string, *peercache.HTTPPool, *peercache.Group) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		url := "http://" + l.Addr().String()
		more = append([]peercache.PoolOption{peercache.WithDetectionTime(5 * time.Second),
			peercache.WithPoolLogger(slog.New(slog.NewTextHandler(&b.lines, nil)))}, more...)
		switch secure {
		case "secret":
			more = append(more, peercache.WithSecrets(theSecret))
		case "tls":
			url = "https://" + l.Addr().String()
			dir := testca.NewDir(t)
			dir.Write(ca.Sign(testca.Template("127.0.0.1")), ca)
			source, err := peertls.Files(dir.Cert, dir.Key, dir.CA)
			if err != nil {
				t.Fatal(err)
			}
			more = append(more, peercache.WithTLS(source))
		}
		pool, err := peercache.NewHTTPPool(url, more...)
		if err != nil {
			t.Fatal(err)
		}
		group, err := peercache.NewGroup("test", 64<<20, getter, peercache.WithPeers(pool), peercache.WithHotShare(0))
		if err != nil {
			t.Fatal(err)
		}
		server := pool.Server()
		states := server.ConnState
		server.ConnState = func(nc net.Conn, s http.ConnState) {
			if s == http.StateNew && serve {
				b.accepted.Add(1)
			}
			states(nc, s)
		}
		var serving sync.WaitGroup
		serving.Go(func() {
			if secure == "tls" {
				server.ServeTLS(l, "", "")
			} else {
				server.Serve(l)
			}
		})
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			pool.Shutdown(ctx)
			server.Close()
			serving.Wait()
		})
		return url, pool, group
	}
	// A newcomer is on no list here. It may get values, and nothing else.
	opts = append(opts, peercache.WithAccess(func(a peercache.Access) error {
		if a.Operation == peercache.OpGet {
			return nil
		}
		return a.Default
	}))
	b.url, b.pool, _ = start(true, opts...)
	_, b.host, _ = strings.Cut(b.url, "://")
	b.friendURL, b.friendly, b.friend = start(false)
	for _, p := range []*peercache.HTTPPool{b.pool, b.friendly} {
		if err := p.Set(b.url, b.friendURL); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*peercache.HTTPPool{b.pool, b.friendly} {
		if err := p.Ready(inside(t)); err != nil {
			t.Fatal(err)
		}
	}
	b.newcomer = func() error {
		url, pool, group := start(false)
		if err := pool.Set(b.url, url); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), mostPatient)
		defer cancel()
		_, err := group.Get(ctx, b.keyOf(pool, 0))
		if s := group.Stats(); err == nil && s.PeerLoads == 0 {
			err = fmt.Errorf("it has loaded the key itself: %+v", pool.Stats())
		}
		return err
	}
	b.ask()
	until(t, "the friend is answered", func() bool { return b.answered.Load() > 100 })
	b.before = measure()
	return b
}

// keyOf returns the n-th key or so that is owned by the process that is attacked, in the eyes of p.
func (b *besieged) keyOf(p *peercache.HTTPPool, n int) string {
	for {
		key := fmt.Sprint("key", n)
		if p := p.Pick(key, 0); p != nil && p.Name() == b.url {
			return key
		}
		n++
	}
}

// ask has the friend ask for keys, until the test ends, and counts goroutines meanwhile.
func (b *besieged) ask() {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() {
		for n := 0; ctx.Err() == nil; n += 1 + n%7 {
			b.get(ctx, b.keyOf(b.friendly, n%20_000))
		}
	})
	asking.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ctx.Err() == nil; <-tick.C {
			b.mostRoutines.Store(max(b.mostRoutines.Load(), int64(runtime.NumGoroutine())))
		}
	})
	b.Cleanup(func() { cancel(); asking.Wait() })
}

// get has the friend ask for one key.
func (b *besieged) get(ctx context.Context, key string) {
	began := time.Now()
	one, cancel := context.WithTimeout(ctx, mostPatient)
	defer cancel()
	if _, err := b.friend.Get(one, key); err != nil && ctx.Err() == nil {
		b.Errorf("a peer's Get of %q, after %v: %v", key, time.Since(began), err)
	}
	b.slowest.Store(max(b.slowest.Load(), int64(time.Since(began))))
	b.answered.Add(1)
}

// dialPatiently dials host. If as many files are open as may be, it tries again: the process that is
// attacked has refused some connections, and closes them.
func dialPatiently(host string) (net.Conn, error) {
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		nc, err := net.DialTimeout("tcp", host, time.Until(deadline))
		if !errors.Is(err, syscall.EMFILE) || time.Now().After(deadline) {
			tick.Stop()
			return nc, err
		}
	}
}

// attack opens connections, on each of which act does what an attacker does. An error of act is that
// of a connection that was closed, as a rule. It returns when all were accepted.
func (b *besieged) attack(n int, act func(i int, nc net.Conn) error) (closed int) {
	b.Helper()
	accepted := b.accepted.Load()
	b.mostRoutines.Store(0)
	var next, failed, opened atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				nc, err := dialPatiently(b.host)
				if err != nil {
					b.Errorf("connection %d: %v", i, err)
					return
				}
				opened.Add(1)
				nc.(*net.TCPConn).SetLinger(0) // leaves no port in use
				b.mu.Lock()
				b.conns = append(b.conns, nc)
				b.mu.Unlock()
				nc.SetDeadline(time.Now().Add(30 * time.Second))
				if act(i, nc) != nil {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	until(b.T, "all connections are accepted", func() bool { return b.accepted.Load()-accepted >= opened.Load() })
	return int(failed.Load())
}

// bound is what an attack may cost.
type bound struct {
	bytes      int64
	goroutines int
}

// withstood checks what the attack costs, while it goes on, and that peers are answered.
func (b *besieged) withstood(most bound) {
	b.Helper()
	now := measure()
	bytes, goroutines := now.bytes-b.before.bytes, int(b.mostRoutines.Load())-b.before.goroutines
	answered := b.answered.Load()
	until(b.T, "the friend is answered", func() bool { return b.answered.Load() > answered+1 })
	b.Logf("%d connections: %.1f MiB, %d goroutines at most, %d now; the slowest of %d Gets of a peer took %v; %d lines are logged",
		len(b.conns), float64(bytes)/(1<<20), goroutines, now.goroutines-b.before.goroutines, b.answered.Load(), time.Duration(b.slowest.Load()).Round(time.Microsecond), b.lines.n.Load())
	if bytes > most.bytes {
		b.Errorf("it costs %d bytes, want at most %d", bytes, most.bytes)
	}
	if goroutines > most.goroutines {
		b.Errorf("it costs %d goroutines, want at most %d", goroutines, most.goroutines)
	}
	if n := b.lines.n.Load(); n > 200 {
		b.Errorf("%d lines were logged, want at most 200", n)
	}
}

// over ends the attack, and checks that nothing of it stays.
func (b *besieged) over() {
	b.Helper()
	for _, nc := range b.conns {
		nc.Close()
	}
	b.conns = nil
	b.endHanging()
	until(b.T, "all goroutines end", func() bool { return runtime.NumGoroutine() <= b.before.goroutines+20 })
}

// write writes text with the line ends of HTTP.
func write(nc net.Conn, text string) error {
	_, err := io.WriteString(nc, strings.ReplaceAll(text, "\n", "\r\n"))
	return err
}

// status writes a request, and returns the status of its response.
func status(nc net.Conn, text string) (int, error) {
	if err := write(nc, text); err != nil {
		return 0, err
	}
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(nc, head); err != nil {
		return 0, err
	}
	var code int
	_, err := fmt.Sscanf(string(head), "HTTP/1.1 %d", &code)
	return code, err
}

// upgrade is a request for a stream in the name of a peer.
func upgrade(from string) string {
	return "GET /_peercache/ HTTP/1.1\nHost: 127.0.0.1\nUpgrade: peercache\nConnection: Upgrade\nPeercache-Peer: " + from + "\n" +
		"Peercache-Challenge: AAAAAAAAAAAAAAAAAAAAAA\n\n"
}

// errRefused says that a request was not let in.
var errRefused = errors.New("refused")

// openStream opens a stream in the name of a peer, and says hello.
func openStream(nc net.Conn, from string) error {
	code, err := status(nc, upgrade(from))
	if err == nil && code != http.StatusSwitchingProtocols {
		err = errRefused
	}
	if err == nil {
		_, err = io.WriteString(nc, "\x02\x62\x00")
	}
	return err
}

// framesOf returns frames as they are on a stream.
func framesOf(t testing.TB, frames ...*pb.Frame) []byte {
	var buf bytes.Buffer
	for _, f := range frames {
		if _, err := protodelim.MarshalTo(&buf, f); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}
