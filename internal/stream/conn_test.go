package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memConn is one end of a connection in memory. Unlike net.Pipe's it holds what
// was written until it is read, up to a bound; and it can be used in a bubble of
// synctest.
type memConn struct {
	in, out *memPipe
}

// memPipe is one direction of a connection.
type memPipe struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     bytes.Buffer // guarded by mu
	most    int          // how much buf holds before Write blocks
	closed  bool         // guarded by mu
}

func newMemPipe(most int) *memPipe {
	p := &memPipe{most: most}
	p.changed.L = &p.mu
	return p
}

// memConns returns the ends of a connection that holds up to most bytes each way.
func memConns(most int) (a, b *memConn) {
	ab, ba := newMemPipe(most), newMemPipe(most)
	return &memConn{in: ba, out: ab}, &memConn{in: ab, out: ba}
}

func (c *memConn) Read(b []byte) (int, error) {
	p := c.in
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.buf.Len() == 0 {
		if p.closed {
			return 0, io.EOF
		}
		p.changed.Wait()
	}
	p.changed.Broadcast()
	return p.buf.Read(b)
}

func (c *memConn) Write(b []byte) (n int, err error) {
	p := c.out
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		for !p.closed && p.buf.Len() >= p.most {
			p.changed.Wait()
		}
		if p.closed {
			return n, io.ErrClosedPipe
		}
		m, _ := p.buf.Write(b[:min(len(b), p.most-p.buf.Len())])
		n, b = n+m, b[m:]
		p.changed.Broadcast()
	}
	return n, nil
}

func (c *memConn) Close() error {
	for _, p := range []*memPipe{c.in, c.out} {
		p.mu.Lock()
		p.closed = true
		p.changed.Broadcast()
		p.mu.Unlock()
	}
	return nil
}

// held is how much was written to c and not read by the other end.
func (c *memConn) held() int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.buf.Len()
}

func (c *memConn) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *memConn) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *memConn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *memConn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *memConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// funcs is a Handler of functions. What is nil answers with an error.
type funcs struct {
	hit       func(group, key string) (Answer, bool)
	load      func(ctx context.Context, group, key string) Answer
	loadBatch func(ctx context.Context, group string, keys []string, answer func(int, Answer))
	change    func(ctx context.Context, request []byte) []byte
}

var errNoFunc = &Error{Kind: kindUnknown, Message: "not expected"}

func (h funcs) Hit(q Query) (Answer, bool) {
	if h.hit == nil {
		return Answer{}, false
	}
	return h.hit(strings.Clone(q.Group), strings.Clone(q.Key))
}

func (h funcs) Load(ctx context.Context, q Query) Answer {
	if h.load == nil {
		return Answer{Err: errNoFunc}
	}
	return h.load(ctx, q.Group, q.Key)
}

func (h funcs) LoadBatch(ctx context.Context, q Query, keys []string, answer func(int, Answer)) {
	if h.loadBatch != nil {
		h.loadBatch(ctx, q.Group, keys, answer)
	}
}

func (h funcs) Change(ctx context.Context, request []byte) []byte {
	if h.change == nil {
		return nil
	}
	return h.change(ctx, request)
}

// ChangeWaits takes a change whose request begins with "wait" for one that waits for others,
// and with "hint" for one that waits for its sender.
func (h funcs) ChangeWaits(request []byte) Waits {
	switch {
	case bytes.HasPrefix(request, []byte("wait")):
		return ForOthers
	case bytes.HasPrefix(request, []byte("hint")):
		return ForSender
	}
	return ForNobody
}

// queryFor asks for a key and nothing else.
func queryFor(group, key string) *Query { return &Query{Group: group, Key: key} }

// echo answers every key with itself, as a hit.
var echo = funcs{hit: func(_, key string) (Answer, bool) { return Answer{Value: key}, true }}

// hang loads until it is told to end.
func hang(ctx context.Context, _, _ string) Answer {
	<-ctx.Done()
	return Answer{Err: &Error{Kind: kindCanceled, Message: context.Cause(ctx).Error()}}
}

// ends are both sides of a stream in a test.
type ends struct {
	*Link
	server   *Server
	ran      chan error // what Run returned
	cli, srv *memConn
}

// connect makes a stream in memory. It is closed when the test ends, or the bubble
// is over.
func connect(t *testing.T, h Handler, cfg Config) *ends {
	t.Helper()
	cli, srv := memConns(1 << 20)
	e := &ends{server: NewServer(srv, nil, h, cfg), ran: make(chan error, 1), cli: cli, srv: srv}
	go func() { e.ran <- e.server.Run() }()
	var err error
	if e.Link, err = Open(t.Context(), cli, nil, cfg); err != nil {
		t.Fatal(err)
	}
	return e
}

// end closes both sides and returns what Run did.
func (e *ends) end() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.Close(ctx)
	return <-e.ran
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// records is a Waiter that keeps what it is told.
type records struct {
	mu  sync.Mutex
	got map[int][]record
}

type record struct {
	Answer
	err error
	at  time.Time
}

func (r *records) Answer(index int, a Answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got == nil {
		r.got = make(map[int][]record)
	}
	r.got[index] = append(r.got[index], record{a, err, time.Now()})
}

// one returns the only answer for an index.
func (r *records) one(t *testing.T, index int) record {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got[index]) != 1 {
		t.Fatalf("index %d has %d answers, want 1: %v", index, len(r.got[index]), r.got[index])
	}
	return r.got[index][0]
}

func (r *records) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}
