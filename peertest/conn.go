package peertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache/peer"
)

var (
	errNoName   = errors.New("peertest: a peer without a name: want one")
	errNoAnswer = errors.New("the process has given no answer")
	errReset    = errors.New("the connection was reset")
	errClosed   = errors.New("the connection was closed")
)

// conn is the way from one process to another.
type conn struct {
	network *Network
	local   peer.Local
	from    string // see From; may be empty
	name    string

	life context.Context // of the requests that began before Close; ends when Close gives them up
	end  context.CancelFunc

	mu     sync.Mutex
	closed bool           // guarded by mu
	open   sync.WaitGroup // the requests that began before Close
}

// Get implements peer.Conn.
func (c *conn) Get(ctx context.Context, q *peer.Query) (a peer.Answer, err error) {
	answer := peer.Received(c.name, errNoAnswer)
	err = c.exchange(ctx, serveGet(q, c.name, func(got peer.Answer, e error) { a, answer = got, e }))
	if err != nil {
		return peer.Answer{}, err
	}
	return a, answer
}

// serveGet returns what has a Handler of the process of that name answer a query.
func serveGet(q *peer.Query, name string, got func(peer.Answer, error)) serving {
	asked := carried(q)
	return func(ctx context.Context, h peer.Handler, reply func(func())) {
		ask := asked // the handler may change it
		a, err := h.Hit(&ask)
		if err == peer.ErrNotCached {
			ask = asked
			a, err = h.Load(ctx, &ask)
		}
		a, err = received(name, a, err, most(q))
		reply(func() { got(a, err) })
	}
}

// carried returns a copy of what is sent of a query.
func carried(q *peer.Query) peer.Query {
	return peer.Query{
		Group: strings.Clone(q.Group), Key: strings.Clone(q.Key), Lease: q.Lease, Digest: strings.Clone(q.Digest),
		CachedOnly: q.CachedOnly, Nested: q.Nested, Context: strings.Clone(q.Context), Trace: strings.Clone(q.Trace),
	}
}

// received returns a copy of an answer of the process of that name, as the one who asks gets it.
func received(name string, a peer.Answer, err error, most int) (peer.Answer, error) {
	if err == nil && len(a.Value) > most {
		err = fmt.Errorf("%w: %d bytes, want at most %d", peer.ErrValueSize, len(a.Value), most)
	}
	if err != nil {
		a.Value = nil
		return a, peer.Received(name, err)
	}
	a.Value = bytes.Clone(a.Value)
	return a, nil
}

// Change implements peer.Conn. It carries what the wire would, so that the limits of package peer
// hold here as well.
func (c *conn) Change(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	request, err := peer.EncodeChange(ch)
	if err != nil {
		return peer.Changed{}, err
	}
	var response []byte
	err = c.exchange(ctx, func(ctx context.Context, h peer.Handler, reply func(func())) {
		var changed peer.Changed
		ch, answer := peer.DecodeChange(request)
		if answer != nil {
			answer = peer.RefuseInvalid(answer.Error())
		} else {
			changed, answer = h.Change(ctx, ch)
		}
		encoded, err := peer.EncodeChanged(&changed, answer)
		if err != nil {
			encoded, _ = peer.EncodeChanged(&peer.Changed{}, err)
		}
		reply(func() { response = encoded })
	})
	if err != nil {
		return peer.Changed{}, err
	}
	if response == nil {
		return peer.Changed{}, peer.Received(c.name, errNoAnswer)
	}
	changed, answer, err := peer.DecodeChanged(response, c.name)
	if err != nil {
		return peer.Changed{}, c.failed(err)
	}
	return changed, answer
}

// Ping implements peer.Conn.
func (c *conn) Ping(ctx context.Context) (who peer.Identity, err error) {
	x := c.newExchange(func(context.Context, peer.Handler, func(func())) {})
	x.ping = func(by peer.Identity) { who = by }
	err = x.run(ctx)
	return who, err
}

// Wake implements peer.Conn. This one does not hold back.
func (c *conn) Wake() {}

// Replaced implements peer.Conn. Each request comes to the process that is served now.
func (c *conn) Replaced(uint32) {}

// Close implements peer.Conn.
func (c *conn) Close(ctx context.Context) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	over := context.AfterFunc(ctx, c.end)
	c.open.Wait()
	over()
	c.end()
}

// enter counts a request, until the returned func is called, and returns the life of the
// connection that it is sent on: after Close, one of its own.
func (c *conn) enter() (life context.Context, leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.network.life, func() {}
	}
	c.open.Add(1)
	return c.life, c.open.Done
}

// links returns the name whose links carry what is asked.
func (c *conn) links() string { return cmp.Or(c.from, c.local.Identity().Name) }

// state returns how it stands between the processes.
func (c *conn) state() state { return c.network.state(c.local.Identity(), c.links(), c.name) }

// failed says that the process could not be reached.
func (c *conn) failed(err error) error { return &peer.PeerError{Peer: c.name, Err: err} }

// exchange sends a request, and delivers its answers. See exchange.run.
func (c *conn) exchange(ctx context.Context, s serving) error { return c.newExchange(s).run(ctx) }

// serving has a Handler answer a request. It calls reply for each answer, with what delivers it to
// the one who asked; also concurrently, but not after it has returned.
type serving func(ctx context.Context, h peer.Handler, reply func(deliver func()))

// exchange is a request on its way, and its answers.
type exchange struct {
	*conn
	serve serving
	ping  func(peer.Identity) // nil, or it is a Ping

	sent  peer.Instant
	moved chan struct{} // has one when what follows has changed

	mu       sync.Mutex
	process  *process         // guarded by mu; nil until the request has come to one
	accepted bool             // guarded by mu; the process gives signs of life
	lost     bool             // guarded by mu; an answer was
	answers  []answerOnItsWay // guarded by mu; in the order in which they come
	over     bool             // guarded by mu; there are no more
	err      error            // guarded by mu; why not, if it is no answer
}

type answerOnItsWay struct {
	comes   time.Time
	deliver func()
}

func (c *conn) newExchange(s serving) *exchange {
	return &exchange{conn: c, serve: s, moved: make(chan struct{}, 1)}
}

// move calls f, and has run look again.
func (x *exchange) move(f func()) {
	x.mu.Lock()
	f()
	x.mu.Unlock()
	select {
	case x.moved <- struct{}{}:
	default:
	}
}

// run sends the request, and delivers the answers on this goroutine. Its error is ctx's, or a
// *peer.PeerError.
func (x *exchange) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !x.network.begin() {
		return x.failed(peer.ErrRefused)
	}
	life, leave := x.enter()
	defer leave()
	x.sent = peer.Now()
	carrying, end := context.WithCancel(x.network.life)
	defer end() // who does not wait any longer has the handler know
	go func() {
		defer x.network.running.Done()
		x.carry(carrying)
	}()
	told, resets := false, x.state().resets
	var silence, next alarm
	defer silence.stop()
	defer next.stop()
	for {
		now := x.state()
		if now.gone || now.resets != resets {
			return x.failed(errReset)
		}
		x.mu.Lock()
		process, silent := x.process, !x.accepted || x.lost || !now.there || !now.back
		var ended <-chan struct{}
		if process != nil {
			ended = process.life.Done()
		}
		var deliver func()
		switch {
		case x.over && len(x.answers) == 0 && !x.lost:
			err := x.err
			x.mu.Unlock()
			if err == nil && !told {
				err = x.answeredBy(process)
			}
			return err
		case len(x.answers) == 0 || silent:
			next.stop()
		case time.Now().Before(x.answers[0].comes):
			next.set(time.Until(x.answers[0].comes))
		default:
			deliver = x.answers[0].deliver
			x.answers = x.answers[1:]
		}
		x.mu.Unlock()
		if deliver != nil {
			if !told {
				if err := x.answeredBy(process); err != nil {
					return err
				}
				told = true
			}
			deliver()
			continue
		}
		if !silent {
			silence.stop()
		} else if silence.timer == nil {
			silence.set(x.network.detection)
		}
		select {
		case <-x.moved:
		case <-now.changing:
		case <-next.C():
			next.stop()
		case <-ended:
			return x.failed(errReset)
		case <-silence.C():
			return x.failed(fmt.Errorf("%w: nothing came for %v", peer.ErrSilent, x.network.detection))
		case <-life.Done():
			return x.failed(errClosed)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answeredBy tells who has answered.
func (x *exchange) answeredBy(p *process) error {
	who := p.Identity()
	if x.ping != nil {
		x.ping(who)
		return nil
	}
	if err := x.local.Answered(who, x.sent); err != nil {
		return x.failed(err)
	}
	return nil
}

// carry brings the request to the process, and its answers back, unless ctx has ended.
func (x *exchange) carry(ctx context.Context) {
	err := x.failed(errReset) // nobody waits any longer, or the network is closed
	defer func() { x.move(func() { x.over, x.err = true, err }) }()
	self := x.local.Identity()
	takes, _ := x.network.send(x.links(), x.name, false)
	if !pause(ctx, takes) {
		return
	}
	now := x.state()
	for !now.there && !now.refuses {
		select {
		case <-now.changing:
		case <-ctx.Done():
			return
		}
		now = x.state()
	}
	p := now.process
	if now.refuses || p == nil {
		err = x.failed(peer.ErrRefused)
		return
	}
	x.move(func() { x.process = p })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	h, refused := p.Accept(self, x.name)
	x.move(func() { x.accepted = true })
	if refused != nil && x.ping == nil {
		// Who answers is told first: that may say more.
		if err = x.answeredBy(p); err == nil {
			err = x.failed(refused)
		}
		return
	}
	err = nil // also when the handler calls runtime.Goexit
	if x.ping != nil {
		x.reply(func() {})
	} else {
		x.serve(ctx, h, x.reply)
	}
}

// reply sends an answer.
func (x *exchange) reply(deliver func()) {
	takes, lost := x.network.send(x.name, x.links(), true)
	comes := time.Now().Add(takes)
	x.move(func() {
		if x.lost = x.lost || lost; x.lost {
			return
		}
		if n := len(x.answers); n > 0 && x.answers[n-1].comes.After(comes) {
			comes = x.answers[n-1].comes // none overtakes another
		}
		x.answers = append(x.answers, answerOnItsWay{comes, deliver})
	})
}

// pause waits for d, and reports whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// alarm is a timer that may be unset. The zero value is.
type alarm struct{ timer *time.Timer }

func (a *alarm) set(d time.Duration) {
	a.stop()
	a.timer = time.NewTimer(d)
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// C returns the channel of the timer; nil, if it is unset.
func (a *alarm) C() <-chan time.Time {
	if a.timer == nil {
		return nil
	}
	return a.timer.C
}
