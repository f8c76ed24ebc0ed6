package peertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// patience is how long a check waits for what has to come. Only the test of the contract changes it.
var patience = 20 * time.Second

// script is a process that answers as a check says. What is nil has a default.
type script struct {
	t    testing.TB
	who  peer.Identity
	hit  func(q *peer.Query) (peer.Answer, error) // the default is peer.ErrNotCached
	load func(ctx context.Context, q *peer.Query) (peer.Answer, error)
	// loadBatch has load answer for each key, in any order, as its default.
	loadBatch func(ctx context.Context, q *peer.Query, keys []string, answer func(int, peer.Answer, error))
	change    func(ctx context.Context, c *peer.Change) (peer.Changed, error)

	mu       sync.Mutex
	refuse   error         // guarded by mu; what Accept returns
	hang     chan struct{} // guarded by mu; nil, or Accept waits until it is closed
	accepted []accepted    // guarded by mu
}

// accepted is what Accept was called with.
type accepted struct {
	from peer.Identity
	to   string
}

func (s *script) Identity() peer.Identity { return s.who }

func (s *script) Accept(from peer.Identity, to string) (peer.Handler, error) {
	s.mu.Lock()
	s.accepted = append(s.accepted, accepted{from, to})
	hang, refuse := s.hang, s.refuse
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if refuse != nil {
		return nil, refuse
	}
	return &scripted{script: s}, nil
}

// set changes what Accept does.
func (s *script) set(refuse error, hang chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse, s.hang = refuse, hang
}

// accepts returns what Accept was called with.
func (s *script) accepts() []accepted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]accepted(nil), s.accepted...)
}

// scripted is the Handler of a script.
type scripted struct {
	*script
	inHit atomic.Int32
}

// sync orders what the script and its check do with the variables that they share: the race
// detector sees no order in what goes over a network.
func (s *script) sync() {
	s.mu.Lock()
	defer s.mu.Unlock()
}

func (s *scripted) Hit(q *peer.Query) (peer.Answer, error) {
	s.sync()
	defer s.sync()
	if s.inHit.Add(1) != 1 {
		s.t.Error("Hit was called concurrently for one Handler")
	}
	defer s.inHit.Add(-1)
	if s.hit == nil {
		return peer.Answer{}, peer.ErrNotCached
	}
	return s.hit(q)
}

func (s *scripted) Load(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	s.sync()
	defer s.sync()
	if s.load == nil {
		return peer.Answer{Item: peer.Item{Value: []byte("value of " + q.Key)}}, nil
	}
	return s.load(ctx, q)
}

func (s *scripted) LoadBatch(ctx context.Context, q *peer.Query, keys []string, answer func(int, peer.Answer, error)) {
	s.sync()
	if s.loadBatch != nil {
		s.loadBatch(ctx, q, keys, func(i int, a peer.Answer, err error) {
			s.sync()
			answer(i, a, err)
		})
		return
	}
	for _, i := range rand.Perm(len(keys)) {
		one := *q
		one.Key = keys[i]
		a, err := s.Load(ctx, &one)
		answer(i, a, err)
	}
}

func (s *scripted) Change(ctx context.Context, c *peer.Change) (peer.Changed, error) {
	s.sync()
	defer s.sync()
	if s.change == nil {
		return peer.Changed{}, nil
	}
	return s.change(ctx, c)
}

// local is the process that asks, as its Conn sees it.
type local struct {
	who peer.Identity

	mu       sync.Mutex
	wrong    error           // guarded by mu; what Answered returns
	answered []peer.Identity // guarded by mu
	sent     []peer.Instant  // guarded by mu; those of answered
}

func (l *local) Identity() peer.Identity { return l.who }

func (l *local) Answered(by peer.Identity, sent peer.Instant) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered, l.sent = append(l.answered, by), append(l.sent, sent)
	return l.wrong
}

func (l *local) Misconfigured(peer.ConfigProblem, error) {}
func (l *local) Degraded(string, error)                  {}
func (l *local) Counts() bool                            { return true }

// pair is a process that asks, and one that is asked.
type pair struct {
	t      testing.TB
	h      Harness
	script *script
	local  *local
	conn   peer.Conn
	plain  atomic.Bool // conn is a Starter that takes nothing
	kill   func()
}

// newPair serves a script, and dials it.
func newPair(t testing.TB, h Harness, s *script) *pair {
	p := unserved(t, h, s)
	p.serve()
	return p
}

// unserved dials a script that is not served yet.
func unserved(t testing.TB, h Harness, s *script) *pair {
	self, name := h.Address(t), h.Address(t)
	s.t, s.who = t, peer.Identity{Name: name, Process: 20002}
	p := &pair{t: t, h: h, script: s, local: &local{who: peer.Identity{Name: self, Process: 10001}}}
	p.dial()
	return p
}

// serve has the script answer.
func (p *pair) serve() { p.kill = p.h.Serve(p.t, p.script.who.Name, p.script) }

// dial makes another Conn to the script.
func (p *pair) dial() {
	p.conn = p.h.Transport(p.t, p.local.who.Name).Dial(p.local, p.script.who.Name)
	conn := p.conn
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn.Close(ctx)
	})
}

// get asks for a key by the Conn.
func (p *pair) get(key string) (peer.Answer, error) {
	return p.ask(&peer.Query{Group: "g", Key: key})
}

func (p *pair) ask(q *peer.Query) (peer.Answer, error) {
	p.script.sync()
	defer p.script.sync()
	return p.conn.Get(within(p.t), q)
}

// change sends a Change by the Conn.
func (p *pair) change(c *peer.Change) (peer.Changed, error) {
	p.script.sync()
	defer p.script.sync()
	return p.conn.Change(within(p.t), c)
}

// within returns a context that ends when a check gives up.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// way is one of those in which a Conn can be asked for a key.
type way struct {
	name string
	ask  func(q *peer.Query) (peer.Answer, error)
}

// ways returns all that the Conn has.
func (p *pair) ways() []way {
	all := []way{{"Get", p.ask}}
	s, ok := p.conn.(peer.Starter)
	if !ok {
		return all
	}
	return append(all,
		way{"Start of one key", func(q *peer.Query) (peer.Answer, error) { return p.start(s, q, 1) }},
		way{"Start of many keys", func(q *peer.Query) (peer.Answer, error) { return p.start(s, q, 3) }})
}

// start asks for the key of q as the last of so many.
func (p *pair) start(s peer.Starter, q *peer.Query, keys int) (peer.Answer, error) {
	p.script.sync()
	defer p.script.sync()
	w := newWaiter(keys)
	r := &peer.Request{Query: *q, Waiter: w}
	r.Key = ""
	for range keys - 1 {
		r.Keys = append(r.Keys, "beside")
	}
	r.Keys = append(r.Keys, q.Key)
	if keys > 1 {
		r.Digests, r.Digest = append(make([]string, keys-1), q.Digest), ""
	}
	if p.plain.Load() {
		return p.conn.Get(within(p.t), q)
	}
	switch n := startAll(p.t, s, r); {
	case n == 0: // it need not take any
		p.plain.Store(true)
		return p.conn.Get(within(p.t), q)
	case n < keys:
		p.t.Errorf("Start took %d keys of %d, and had no room for more", n, keys)
		return peer.Answer{}, errors.New("not asked")
	}
	for i := range keys - 1 {
		w.wait(p.t, i)
	}
	a, err := w.wait(p.t, keys-1)
	if err == peer.ErrLarge {
		return s.GetLarge(within(p.t), q)
	}
	return a, err
}

// startAll starts a request, as soon as it can be. It returns how many keys were taken: none, if
// the Starter takes none, as where it has connections for Get alone.
func startAll(t testing.TB, s peer.Starter, r *peer.Request) (n int) {
	n, _ = startSent(t, s, r)
	return n
}

func startSent(t testing.TB, s peer.Starter, r *peer.Request) (n int, sent peer.Sent) {
	ctx := within(t)
	for range 20 {
		s.Connect(ctx)
		if n, sent, _ = s.Start(r); n > 0 || !pause(ctx, 5*time.Millisecond) {
			break
		}
	}
	return n, sent
}

// waiter gets the answers to a Request.
type waiter struct {
	mu      sync.Mutex
	answers []peer.Answer // guarded by mu
	errs    []error       // guarded by mu
	times   []int         // guarded by mu; how many came for each
	came    []chan struct{}
}

func newWaiter(keys int) *waiter {
	w := &waiter{answers: make([]peer.Answer, keys), errs: make([]error, keys), times: make([]int, keys), came: make([]chan struct{}, keys)}
	for i := range w.came {
		w.came[i] = make(chan struct{})
	}
	return w
}

// Answer implements peer.Waiter.
func (w *waiter) Answer(i int, a peer.Answer, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times[i]++; w.times[i] == 1 {
		w.answers[i], w.errs[i] = a, err
		close(w.came[i])
	}
}

// wait returns the answer for the i-th key.
func (w *waiter) wait(t testing.TB, i int) (peer.Answer, error) {
	select {
	case <-w.came[i]:
	case <-time.After(patience):
		t.Errorf("no answer came for key %d of %d", i, len(w.came))
		return peer.Answer{}, errors.New("no answer came")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers[i], w.errs[i]
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for ctx := within(t); !cond(); {
		if !pause(ctx, 5*time.Millisecond) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
