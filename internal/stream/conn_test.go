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

	"github.com/peercache/peercache/peer"
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

// peerName is the name of the peer that a test's Link leads to.
const peerName = "http://peer:8080"

// reply is an answer with its error, as tests write it down.
type reply struct {
	Value            string
	TTL              time.Duration
	Err              error // the peer's
	Plain            bool
	Noted, Unchanged bool
}

// replyOf returns what a Waiter got as the peer's answer.
func replyOf(a peer.Answer, err error) reply {
	r := reply{Value: string(a.Value), TTL: a.TTL, Noted: a.Noted, Unchanged: a.Unchanged, Err: err}
	if err == peer.ErrLarge {
		r.Plain, r.Err = true, nil
	}
	return r
}

// answer returns what a Handler answers.
func (r reply) answer() (peer.Answer, error) {
	return peer.Answer{Item: peer.Item{Value: []byte(r.Value), TTL: r.TTL}, Noted: r.Noted, Unchanged: r.Unchanged}, r.Err
}

// response returns what is sent.
func (r reply) response() *response {
	a, err := r.answer()
	out := &response{Answer: a, plain: r.Plain}
	if err != nil {
		out.err = encodeError(err)
	}
	return out
}

// errorOf returns an error of the kind with a text.
func errorOf(kind error, text string) error { return &peer.Told{Text: text, Err: kind} }

// isRefusal reports whether err is a peer's answer that says: ask another one.
func isRefusal(err error) bool { return peer.Unreachable(err) && errors.Is(err, peer.ErrClosed) }

// get asks for a key and waits. The error is ctx's or the link's, as it is.
func get(ctx context.Context, l *Link, q *peer.Query) (reply, error) {
	a, answer, err := l.Get(ctx, q)
	return replyOf(a, answer), err
}

// change sends a change of that text, and returns the text of the answer.
func change(ctx context.Context, l *Link, text string) (string, error) {
	body, err := l.Change(ctx, changeOf(text))
	if err != nil {
		return "", err
	}
	changed, answer, err := peer.DecodeChanged(body, peerName)
	return string(changed.Log), errors.Join(answer, err)
}

// changeOf returns a pb.ChangeRequest with a text. One that begins with "wait" is a change that
// waits for others, and one with "hint" waits for its sender.
func changeOf(text string) []byte {
	c := peer.Change{Group: text, Holders: strings.HasPrefix(text, "wait")}
	if strings.HasPrefix(text, "hint") {
		c.State.View = 1
	}
	b, err := peer.EncodeChange(&c)
	if err != nil {
		panic(err)
	}
	return b
}

// getBatch asks for the values of keys and calls answer for each as it comes, as a Waiter's. It
// returns when all are answered or ctx has ended; answer is not called after that.
func getBatch(ctx context.Context, l *Link, group string, keys []string, answer func(i int, a reply, err error)) error {
	b := &batchWaiter{answer: answer, done: make(chan struct{}, 1), awaited: len(keys)}
	var ids []ID
	defer func() {
		for _, id := range ids {
			l.Cancel(id)
		}
		b.mu.Lock()
		b.answer = nil
		b.mu.Unlock()
	}()
	for off := 0; off < len(keys); {
		id, err := retry(ctx, l, func() (ID, error) {
			id, n, err := l.AskBatch(b, off, &peer.Query{Group: group}, keys[off:], nil)
			off += n
			return id, err
		})
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// batchWaiter waits for the answers of several batches.
type batchWaiter struct {
	done chan struct{} // has room for one: it is used once

	mu      sync.Mutex
	answer  func(i int, a reply, err error) // guarded by mu; nil: nobody waits
	awaited int                             // guarded by mu; answers to come
}

// Answer implements peer.Waiter.
func (b *batchWaiter) Answer(i int, a peer.Answer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answer != nil {
		r := recordOf(a, err)
		b.answer(i, r.reply, r.err)
	}
	if b.awaited--; b.awaited == 0 {
		b.done <- struct{}{}
	}
}

// funcs is a Handler of functions. What is nil answers with an error.
type funcs struct {
	hit       func(group, key string) (reply, bool)
	load      func(ctx context.Context, group, key string) reply
	loadBatch func(ctx context.Context, group string, keys []string, answer func(int, reply))
	change    func(ctx context.Context, text string) string
}

var errNoFunc = errors.New("not expected")

func (h funcs) Hit(q *peer.Query) (peer.Answer, error) {
	if h.hit == nil {
		return peer.Answer{}, peer.ErrNotCached
	}
	r, ok := h.hit(strings.Clone(q.Group), strings.Clone(q.Key))
	if !ok {
		return peer.Answer{}, peer.ErrNotCached
	}
	return r.answer()
}

func (h funcs) Load(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	if h.load == nil {
		return peer.Answer{}, errNoFunc
	}
	return h.load(ctx, q.Group, q.Key).answer()
}

func (h funcs) LoadBatch(ctx context.Context, q *peer.Query, keys []string, answer func(int, peer.Answer, error)) {
	if h.loadBatch != nil {
		h.loadBatch(ctx, q.Group, keys, func(i int, r reply) {
			a, err := r.answer()
			answer(i, a, err)
		})
	}
}

func (h funcs) Change(ctx context.Context, c *peer.Change) (peer.Changed, error) {
	if h.change == nil {
		return peer.Changed{}, nil
	}
	return peer.Changed{Log: []byte(h.change(ctx, c.Group))}, nil
}

// queryFor asks for a key and nothing else.
func queryFor(group, key string) *peer.Query { return &peer.Query{Group: group, Key: key} }

// echo answers every key with itself, as a hit.
var echo = funcs{hit: func(_, key string) (reply, bool) { return reply{Value: key}, true }}

// hang loads until it is told to end.
func hang(ctx context.Context, _, _ string) reply {
	<-ctx.Done()
	return reply{Err: errorOf(context.Canceled, context.Cause(ctx).Error())}
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
func connect(t *testing.T, h peer.Handler, cfg Config) *ends {
	t.Helper()
	cli, srv := memConns(1 << 20)
	e := &ends{server: NewServer(srv, nil, h, cfg), ran: make(chan error, 1), cli: cli, srv: srv}
	go func() { e.ran <- e.server.Run() }()
	var err error
	if e.Link, err = Open(t.Context(), cli, nil, peerName, cfg); err != nil {
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
	reply
	err error // why there was no answer
	at  time.Time
}

// recordOf returns what a Waiter got, now.
func recordOf(a peer.Answer, err error) record {
	r := record{at: time.Now()}
	if peer.IsUnanswered(err) || peer.Unreachable(err) && !isRefusal(err) {
		r.err = err
	} else {
		r.reply = replyOf(a, err)
	}
	return r
}

func (r *records) Answer(index int, a peer.Answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got == nil {
		r.got = make(map[int][]record)
	}
	r.got[index] = append(r.got[index], recordOf(a, err))
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
