package peertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// recorder is a testing.TB whose failures are the test's to look at.
type recorder struct {
	testing.TB
	ctx context.Context

	mu       sync.Mutex
	failed   bool     // guarded by mu
	first    string   // guarded by mu
	cleanups []func() // guarded by mu
}

func (r *recorder) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failed {
		r.failed, r.first = true, text
	}
}

func (r *recorder) Helper()                        {}
func (r *recorder) Log(...any)                     {}
func (r *recorder) Logf(string, ...any)            {}
func (r *recorder) Context() context.Context       { return r.ctx }
func (r *recorder) Error(args ...any)              { r.fail(fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, a ...any) { r.fail(fmt.Sprintf(format, a...)) }

func (r *recorder) Fatal(args ...any) {
	r.fail(fmt.Sprint(args...))
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, a ...any) {
	r.fail(fmt.Sprintf(format, a...))
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// run runs a check, and returns how it failed.
func (r *recorder) run(f func(t testing.TB)) (failed bool, first string) {
	for _, step := range []func(){
		func() { f(r) },
		func() {
			for {
				r.mu.Lock()
				n := len(r.cleanups)
				if n == 0 {
					r.mu.Unlock()
					return
				}
				last := r.cleanups[n-1]
				r.cleanups = r.cleanups[:n-1]
				r.mu.Unlock()
				last()
			}
		},
	} {
		done := make(chan struct{})
		go func() { // it may call runtime.Goexit
			defer close(done)
			step()
		}()
		<-done
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed, r.first
}

// broken is a transport in memory with a fault.
type broken struct {
	// These change what is asked and answered; nil changes nothing.
	query   func(q *peer.Query)
	answer  func(key string, a *peer.Answer, err *error)
	change  func(c *peer.Change)
	changed func(c *peer.Changed, err *error)
	local   func(l peer.Local) peer.Local
	process func(p peer.Process) peer.Process
	conn    func(c peer.Conn) peer.Conn
	mixUp   bool // the answers of batches
}

func (b *broken) harness(t testing.TB) Harness {
	h := inMemory(t)
	transport, serve := h.Transport, h.Serve
	h.Transport = func(t testing.TB, self string) peer.Transport { return &brokenTransport{transport(t, self), b} }
	h.Serve = func(t testing.TB, address string, p peer.Process) func() {
		if b.process != nil {
			p = b.process(p)
		}
		return serve(t, address, p)
	}
	return h
}

type brokenTransport struct {
	peer.Transport
	broken *broken
}

func (t *brokenTransport) Dial(l peer.Local, name string) peer.Conn {
	if t.broken.local != nil {
		l = t.broken.local(l)
	}
	c := peer.Conn(&brokenConn{t.Transport.Dial(l, name).(peer.Starter), t.broken})
	if t.broken.conn != nil {
		return t.broken.conn(c)
	}
	return c
}

type brokenConn struct {
	peer.Starter
	broken *broken
}

func (c *brokenConn) Get(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	asked := *q
	if c.broken.query != nil {
		c.broken.query(&asked)
	}
	a, err := c.Starter.Get(ctx, &asked)
	if c.broken.answer != nil {
		c.broken.answer(q.Key, &a, &err)
	}
	return a, err
}

func (c *brokenConn) GetLarge(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	return c.Get(ctx, q)
}

func (c *brokenConn) Start(r *peer.Request) (int, peer.Sent, bool) {
	asked := *r
	if c.broken.query != nil {
		c.broken.query(&asked.Query)
	}
	asked.Waiter = &brokenWaiter{r.Waiter, c.broken, r.Keys}
	return c.Starter.Start(&asked)
}

func (c *brokenConn) Change(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	asked := *ch
	if c.broken.change != nil {
		c.broken.change(&asked)
	}
	changed, err := c.Starter.Change(ctx, &asked)
	if c.broken.changed != nil {
		c.broken.changed(&changed, &err)
	}
	return changed, err
}

type brokenWaiter struct {
	peer.Waiter
	broken *broken
	keys   []string
}

func (w *brokenWaiter) Answer(i int, a peer.Answer, err error) {
	if w.broken.answer != nil {
		w.broken.answer(w.keys[i], &a, &err)
	}
	if w.broken.mixUp {
		i = len(w.keys) - 1 - i
	}
	w.Waiter.Answer(i, a, err)
}

type anonymous struct{ peer.Local }

func (a anonymous) Identity() peer.Identity { return peer.Identity{} }

type deaf struct{ peer.Local }

func (deaf) Answered(peer.Identity, peer.Instant) error { return nil }

type lenient struct{ peer.Local }

func (l lenient) Answered(by peer.Identity, sent peer.Instant) error {
	l.Local.Answered(by, sent)
	return nil
}

// asks is a process that does something to what it is asked by and to.
type asks struct {
	peer.Process
	from func(peer.Identity) peer.Identity
	to   func(string) string
	h    func(peer.Handler) peer.Handler
}

func (a asks) Accept(from peer.Identity, to string) (peer.Handler, error) {
	if a.from != nil {
		from = a.from(from)
	}
	if a.to != nil {
		to = a.to(to)
	}
	h, err := a.Process.Accept(from, to)
	if a.h != nil && err == nil {
		h = a.h(h)
	}
	return h, err
}

// loads is a Handler that never looks for hits, and lasts uses one for good.
type loads struct{ peer.Handler }

func (loads) Hit(*peer.Query) (peer.Answer, error) { return peer.Answer{}, peer.ErrNotCached }

// twice is a Handler that does what a transport does which sends a request again.
type twice struct{ peer.Handler }

func (h twice) Load(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	again := *q
	h.Handler.Load(ctx, &again)
	return h.Handler.Load(ctx, q)
}

// shares is a Handler whose last value is there for the one who asks, as it is.
type shares struct {
	peer.Handler
	last *atomic.Pointer[[]byte]
}

func (s shares) Hit(q *peer.Query) (peer.Answer, error) {
	a, err := s.Handler.Hit(q)
	if err == nil {
		s.last.Store(&a.Value)
	}
	return a, err
}

type patient struct{ peer.Conn }

func (p patient) Get(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	return p.Conn.Get(context.WithoutCancel(ctx), q)
}

func (p patient) Change(ctx context.Context, c *peer.Change) (peer.Changed, error) {
	return p.Conn.Change(context.WithoutCancel(ctx), c)
}

// leaky does not tell the Handler that who asked has left.
type leaky struct{ peer.Handler }

func (l leaky) Load(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	return l.Handler.Load(context.WithoutCancel(ctx), q)
}

// closes is a Conn that takes nothing after Close.
type closes struct {
	peer.Conn
	over *atomic.Bool
}

func (c closes) Close(ctx context.Context) {
	c.over.Store(true)
	c.Conn.Close(ctx)
}

func (c closes) Change(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	if c.over.Load() {
		return peer.Changed{}, errors.New("closed")
	}
	return c.Conn.Change(ctx, ch)
}

// remembers is a Conn whose Ping asks once.
type remembers struct {
	peer.Conn
	who *atomic.Pointer[peer.Identity]
}

func (r remembers) Ping(ctx context.Context) (peer.Identity, error) {
	if who := r.who.Load(); who != nil {
		return *who, nil
	}
	who, err := r.Conn.Ping(ctx)
	r.who.Store(&who)
	return who, err
}

// giving returns a broken transport whose answers are changed.
func giving(f func(a *peer.Answer, err *error)) *broken {
	return &broken{answer: func(_ string, a *peer.Answer, err *error) { f(a, err) }}
}

// TestBrokenTransports breaks a transport in many ways, and wants each to fail the contract at the
// check that says so.
func TestBrokenTransports(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 3 * time.Second
	var last atomic.Pointer[[]byte]
	for name, c := range map[string]struct {
		by     []string // the checks that are to fail, among others
		broken *broken
	}{
		"drops State":                {[]string{"ChangeIsWhole"}, &broken{change: func(c *peer.Change) { c.State = peer.State{} }}},
		"drops the State of answers": {[]string{"ChangedIsWhole"}, &broken{changed: func(c *peer.Changed, _ *error) { c.State = peer.State{} }}},
		"drops a Changed beside an error": {[]string{"ChangedIsWhole"}, &broken{changed: func(c *peer.Changed, err *error) {
			if *err != nil {
				*c = peer.Changed{}
			}
		}}},
		"drops Proof":         {[]string{"ChangeIsWhole"}, &broken{change: func(c *peer.Change) { c.Proof = 0 }}},
		"drops Item":          {[]string{"ChangeIsWhole"}, &broken{change: func(c *peer.Change) { c.Item = nil }}},
		"drops Holders":       {[]string{"ChangeIsWhole", "P8Removed"}, &broken{change: func(c *peer.Change) { c.Holders = false }}},
		"drops all but a key": {[]string{"ChangeIsWhole", "P8ManyKeys"}, &broken{change: func(c *peer.Change) { c.Keys = c.Keys[:min(1, len(c.Keys))] }}},
		"swallows Changes":    {[]string{"ChangeIsWhole", "P8Removed", "P8ManyKeys"}, &broken{change: func(c *peer.Change) { c.Keys, c.All, c.Item = nil, false, nil }}},
		"loses who asks": {[]string{"Identity"}, &broken{process: func(p peer.Process) peer.Process {
			return asks{Process: p, from: func(peer.Identity) peer.Identity { return peer.Identity{} }}
		}}},
		"does not say who asks": {[]string{"Identity"}, &broken{local: func(l peer.Local) peer.Local { return anonymous{l} }}},
		"loses whom it asks": {[]string{"Identity"}, &broken{process: func(p peer.Process) peer.Process {
			return asks{Process: p, to: func(string) string { return "" }}
		}}},
		"loses the process number": {[]string{"Identity"}, &broken{process: func(p peer.Process) peer.Process {
			return asks{Process: p, from: func(who peer.Identity) peer.Identity { who.Process = 0; return who }}
		}}},
		"loses who answers":  {[]string{"Identity", "WrongPeerDoesNotCount"}, &broken{local: func(l peer.Local) peer.Local { return deaf{l} }}},
		"takes a wrong peer": {[]string{"WrongPeerDoesNotCount"}, &broken{local: func(l peer.Local) peer.Local { return lenient{l} }}},
		"says that an answer's error is a failure": {[]string{"ErrorsAreAnswers", "P6GetterErrors"}, giving(func(_ *peer.Answer, err *error) {
			if remote, ok := errors.AsType[*peer.RemoteError](*err); ok {
				*err = &peer.PeerError{Peer: remote.Peer, Err: *err}
			}
		})},
		"says that a failure is an answer": {[]string{"NobodyThere", "P6OwnerGone"}, giving(func(_ *peer.Answer, err *error) {
			if failure, ok := errors.AsType[*peer.PeerError](*err); ok {
				*err = failure.Err
			}
		})},
		"loses the kind of errors": {[]string{"ErrorsAreAnswers", "P6GetterErrors"}, giving(func(_ *peer.Answer, err *error) {
			if remote, ok := errors.AsType[*peer.RemoteError](*err); ok {
				*err = &peer.RemoteError{Peer: remote.Peer, Message: remote.Message}
			}
		})},
		"loses the text of errors": {[]string{"ErrorsAreAnswers"}, giving(func(_ *peer.Answer, err *error) {
			if remote, ok := errors.AsType[*peer.RemoteError](*err); ok {
				remote.Message = "error"
			}
		})},
		"answers an error with nothing": {[]string{"ErrorsAreAnswers"}, giving(func(_ *peer.Answer, err *error) { *err = nil })},
		"loses TTL":                     {[]string{"AnswerIsWhole", "ErrorsAreAnswers"}, giving(func(a *peer.Answer, _ *error) { a.TTL = 0 })},
		"takes a negative TTL for none": {[]string{"AnswerIsWhole"}, giving(func(a *peer.Answer, _ *error) { a.TTL = max(0, a.TTL) })},
		"loses Noted":                   {[]string{"AnswerIsWhole"}, giving(func(a *peer.Answer, _ *error) { a.Noted = false })},
		"says Noted":                    {[]string{"AnswerIsWhole"}, giving(func(a *peer.Answer, _ *error) { a.Noted = true })},
		"loses Unchanged":               {[]string{"AnswerIsWhole"}, giving(func(a *peer.Answer, _ *error) { a.Unchanged = false })},
		"cuts large values":             {[]string{"AnswerIsWhole", "P1LargeValues"}, giving(func(a *peer.Answer, _ *error) { a.Value = a.Value[:min(len(a.Value), 1<<20)] })},
		"loses Lease":                   {[]string{"QueryIsWhole"}, &broken{query: func(q *peer.Query) { q.Lease = 0 }}},
		"loses Digest":                  {[]string{"QueryIsWhole"}, &broken{query: func(q *peer.Query) { q.Digest = "" }}},
		"loses CachedOnly":              {[]string{"QueryIsWhole"}, &broken{query: func(q *peer.Query) { q.CachedOnly = false }}},
		"loses Nested":                  {[]string{"QueryIsWhole"}, &broken{query: func(q *peer.Query) { q.Nested = peer.TopLevel }}},
		"loses Context":                 {[]string{"QueryIsWhole", "ContextTravels"}, &broken{query: func(q *peer.Query) { q.Context = "" }}},
		"loses Trace":                   {[]string{"QueryIsWhole"}, &broken{query: func(q *peer.Query) { q.Trace = "" }}},
		"makes keys text":               {[]string{"KeysOfAnyBytes"}, &broken{query: func(q *peer.Query) { q.Key = string([]rune(q.Key)) }}},
		"ignores MaxBytes":              {[]string{"BoundedValue"}, &broken{query: func(q *peer.Query) { q.MaxBytes = 0 }}},
		"mixes up a batch":              {[]string{"Batches", "P1OneLoad"}, &broken{mixUp: true}},
		"ignores ctx":                   {[]string{"OwnContext"}, &broken{conn: func(c peer.Conn) peer.Conn { return patient{c} }}},
		"does not tell who left": {[]string{"OwnContext"}, &broken{process: func(p peer.Process) peer.Process {
			return asks{Process: p, h: func(h peer.Handler) peer.Handler { return leaky{h} }}
		}}},
		"does not copy values": {[]string{"ValuesAreCopied"}, &broken{
			process: func(p peer.Process) peer.Process {
				return asks{Process: p, h: func(h peer.Handler) peer.Handler { return shares{h, &last} }}
			},
			answer: func(_ string, a *peer.Answer, _ *error) {
				if value := last.Load(); value != nil && slices.Equal(a.Value, *value) {
					a.Value = *value
				}
			},
		}},
		"never looks for a hit": {[]string{"HitBeforeLoad"}, &broken{process: func(p peer.Process) peer.Process {
			return asks{Process: p, h: func(h peer.Handler) peer.Handler { return loads{h} }}
		}}},
		"asks twice": {[]string{"HitBeforeLoad"}, &broken{process: func(p peer.Process) peer.Process {
			return asks{Process: p, h: func(h peer.Handler) peer.Handler { return twice{h} }}
		}}},
		"takes nothing after Close": {[]string{"Closed"}, &broken{conn: func(c peer.Conn) peer.Conn { return closes{c, new(atomic.Bool)} }}},
		"remembers who was there":   {[]string{"Ping"}, &broken{conn: func(c peer.Conn) peer.Conn { return remembers{c, new(atomic.Pointer[peer.Identity])} }}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, by := range c.by {
				i := slices.IndexFunc(checks, func(c check) bool { return c.name == by })
				if i < 0 {
					t.Fatalf("no check has the name %s", by)
				}
				r := &recorder{TB: t, ctx: t.Context()}
				failed, first := r.run(func(tb testing.TB) { checks[i].run(tb, c.broken.harness(tb)) })
				if !failed {
					t.Errorf("%s passes", by)
				} else if testing.Verbose() {
					t.Logf("%s: %.300s", by, first)
				}
			}
		})
	}
}
