package peertest

import (
	"cmp"
	"context"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/peercache/peercache/peer"
)

// Network connects the processes of a cluster that all run in this one. It is a transport in
// memory, and has faults: latency, links that are cut, answers that are lost, processes that hang
// or end. What is drawn is the same for the same seed: the n-th message from one process to
// another takes the same time. A Network may be used in a bubble of testing/synctest, if it was
// made there.
//
// The zero value is not usable: see New.
type Network struct {
	seed      uint64
	detection time.Duration
	large     int

	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup // the requests that are carried

	mu        sync.Mutex
	processes map[string]*process    // guarded by mu; by the names under which they are served
	hanging   map[string]bool        // guarded by mu
	ended     map[peer.Identity]bool // guarded by mu; processes that send nothing any more
	links     map[route]*link        // guarded by mu
	latency   span                   // guarded by mu; of the links that have none of their own
	loss      float64                // guarded by mu
	changed   chan struct{}          // guarded by mu; closed when a fault begins or ends, and replaced
	closed    bool                   // guarded by mu
}

// An Option changes what New makes.
type Option func(*Network)

// WithDetection sets for how long nothing may come from a process until a request to it fails with
// peer.ErrSilent. The default is 500 ms, as that of peercache.WithDetectionTime.
func WithDetection(d time.Duration) Option { return func(n *Network) { n.detection = d } }

// WithLarge sets from which size on, in bytes, a value does not come in answer to peer.Starter's
// Start, but to GetLarge. The default is 256 KiB.
func WithLarge(bytes int) Option { return func(n *Network) { n.large = bytes } }

// New makes a network without processes, latency and faults.
func New(seed uint64, opts ...Option) *Network {
	n := &Network{
		seed: seed, detection: 500 * time.Millisecond, large: 256 << 10,
		processes: make(map[string]*process), hanging: make(map[string]bool), ended: make(map[peer.Identity]bool),
		links: make(map[route]*link), changed: make(chan struct{}),
	}
	n.life, n.end = context.WithCancel(context.Background())
	for _, opt := range opts {
		opt(n)
	}
	return n
}

// process is one that is served under a name.
type process struct {
	peer.Process
	who  peer.Identity
	off  bool            // guarded by Network.mu; see PowerOff
	life context.Context // ends when the process does
	end  context.CancelFunc
}

// route is the way of messages from one process to another.
type route struct{ from, to string }

// link is what a route has of its own.
type link struct {
	random      *rand.Rand
	latency     *span // nil: the network's
	cut, refuse bool
	lose        int // of the answers to come
	limit       int // how many more messages are sent before it is cut; 0: no limit
	resets      int // how many there were
}

// span is how long something may take.
type span struct{ least, most time.Duration }

// Serve has p answer what is asked of the process of that name, until stop is called, or Stop. If
// there is one of that name, p replaces it, as the next process does at an address: what the former
// has not answered fails, and its own stop does nothing.
func (n *Network) Serve(name string, p peer.Process) (stop func()) {
	one := &process{Process: p, who: p.Identity()}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stop(name)
	delete(n.ended, one.who)
	one.life, one.end = context.WithCancel(n.life)
	n.processes[name] = one
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.processes[name] == one {
			n.stop(name)
		}
	}
}

// Stop ends the process of that name, as a kill does: what it has not answered fails, further
// connections are refused (peer.ErrRefused), and it sends nothing any more.
func (n *Network) Stop(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stop(name)
}

// stop does what Stop does. The caller holds n.mu.
func (n *Network) stop(name string) {
	if old := n.processes[name]; old != nil {
		old.end()
		n.ended[old.who] = true
		delete(n.processes, name)
	}
	delete(n.hanging, name)
	n.change()
}

// PowerOff ends the process of that name, as the end of its machine does: it sends nothing any more,
// and nobody is told. What is asked of it waits, until another process is served under the name.
func (n *Network) PowerOff(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.processes[name]; p != nil {
		p.off = true
		n.ended[p.who] = true
		n.change()
	}
}

// Close stops all processes, and waits until nothing is carried any more.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	for name := range n.processes {
		n.stop(name)
	}
	n.mu.Unlock()
	n.end()
	n.running.Wait()
}

// SetLatency sets how long each message takes that has no link with a latency of its own: a
// request, and again its answer. A latency of more than the detection time looks like silence.
func (n *Network) SetLatency(least, most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = span{least, most}
}

// SetLinkLatency sets how long messages take from one process to another.
func (n *Network) SetLinkLatency(from, to string, least, most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.link(from, to).latency = &span{least, most}
}

// Cut lets no message from one process reach another, until Heal: neither requests, nor the
// answers to requests that come the other way. What is asked meanwhile waits, for the detection
// time (peer.ErrSilent) or until its context ends.
func (n *Network) Cut(from, to string) { n.setLink(from, to, func(l *link) { l.cut = true }) }

// CutAfter does what Cut does when one process has sent so many more messages to another: requests,
// and answers to requests that come the other way. The last of them does not arrive.
func (n *Network) CutAfter(from, to string, messages int) {
	n.setLink(from, to, func(l *link) { l.limit, l.cut = messages, l.cut || messages <= 0 })
}

// CutBoth cuts the links between two processes, both ways.
func (n *Network) CutBoth(a, b string) {
	n.Cut(a, b)
	n.Cut(b, a)
}

// Refuse has new requests from one process to another fail at once, as where nothing listens, until
// Heal.
func (n *Network) Refuse(from, to string) { n.setLink(from, to, func(l *link) { l.refuse = true }) }

// LoseAnswers loses the next answers of the process to that go to from. What was asked is done, and
// the one who asked finds the other silent.
func (n *Network) LoseAnswers(from, to string, answers int) {
	n.setLink(to, from, func(l *link) { l.lose += answers })
}

// SetLoss loses a share of all answers, 0 to 1.
func (n *Network) SetLoss(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// Reset has all requests fail that are under way between two processes, either way, as where the
// connections are reset.
func (n *Network) Reset(a, b string) { n.setLink(a, b, func(l *link) { l.resets++ }) }

// Heal ends what Cut, CutAfter, Refuse and LoseAnswers have begun between two processes, both ways.
func (n *Network) Heal(a, b string) {
	for _, r := range []route{{a, b}, {b, a}} {
		n.setLink(r.from, r.to, (*link).heal)
	}
}

func (l *link) heal() { l.cut, l.refuse, l.lose, l.limit = false, false, 0, 0 }

// HealAll ends all faults of links. Latency stays, and so does who hangs.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.heal()
	}
	n.loss = 0
	n.change()
}

// Hang has the process of that name answer nothing until Resume, or until another one replaces it.
func (n *Network) Hang(name string) { n.setHanging(name, true) }

// Resume ends what Hang has begun.
func (n *Network) Resume(name string) { n.setHanging(name, false) }

func (n *Network) setHanging(name string, hangs bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hanging[name] = hangs
	n.change()
}

func (n *Network) setLink(from, to string, set func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	set(n.link(from, to))
	n.change()
}

// change tells those who wait that faults have changed. The caller holds n.mu.
func (n *Network) change() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// link returns the link of a route. The caller holds n.mu.
func (n *Network) link(from, to string) *link {
	r := route{from, to}
	l := n.links[r]
	if l == nil {
		h := fnv.New64a()
		h.Write([]byte(from + "\x00" + to))
		l = &link{random: rand.New(rand.NewPCG(n.seed, h.Sum64()))}
		n.links[r] = l
	}
	return l
}

// send draws how long the next message takes from one process to another, and whether it is lost:
// only answers are.
func (n *Network) send(from, to string, answer bool) (takes time.Duration, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.link(from, to)
	s := n.latency
	if l.latency != nil {
		s = *l.latency
	}
	takes = s.least
	if s.most > s.least {
		takes += time.Duration(l.random.Int64N(int64(s.most - s.least + 1)))
	}
	if l.limit > 0 {
		if l.limit--; l.limit == 0 {
			l.cut = true
			n.change()
		}
	}
	if !answer {
		return takes, false
	}
	if lost = n.loss > 0 && l.random.Float64() < n.loss; l.lose > 0 {
		l.lose--
		lost = true
	}
	return takes, lost
}

// state is how it stands between two processes.
type state struct {
	gone     bool            // the one who asks has ended
	refuses  bool            // a connection
	there    bool            // a request comes to the process
	back     bool            // an answer comes back
	resets   int             // how many there were
	process  *process        // nil: nobody is served under the name
	changing <-chan struct{} // closed when it is not as it was
}

// state returns how it stands between who, whose links are those of the name from, and the process
// of the name to.
func (n *Network) state(who peer.Identity, from, to string) state {
	n.mu.Lock()
	defer n.mu.Unlock()
	there, back, p := n.link(from, to), n.link(to, from), n.processes[to]
	silent := n.hanging[to] || p != nil && p.off
	return state{
		gone: n.ended[who], refuses: there.refuse, there: !there.cut && !silent, back: !back.cut && !silent,
		resets: there.resets + back.resets, process: p, changing: n.changed,
	}
}

// begin counts a request that is carried, until running.Done. It reports whether the network is
// open.
func (n *Network) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.running.Add(1)
	return true
}

// A TransportOption changes what Network.Transport makes.
type TransportOption func(*transport)

// WithoutStarter makes Conns that are no peer.Starter: each key is asked for by a request of its
// own.
func WithoutStarter() TransportOption { return func(t *transport) { t.plain = true } }

// From has the links of that name carry what is asked, whoever the process says that it is: as
// where a stranger asks in the name of a peer.
func From(name string) TransportOption { return func(t *transport) { t.from = name } }

// Transport returns the transport of all processes of the network, or of those that are given it.
func (n *Network) Transport(opts ...TransportOption) peer.Transport {
	t := &transport{network: n}
	for _, opt := range opts {
		opt(t)
	}
	return t
}

type transport struct {
	network *Network
	plain   bool
	from    string // whose links carry what is asked; empty: those of the process that asks
}

// Check implements peer.Transport: any text is a name.
func (t *transport) Check(name string) error {
	if name == "" {
		return errNoName
	}
	return nil
}

// Dial implements peer.Transport.
func (t *transport) Dial(l peer.Local, name string) peer.Conn {
	c := &conn{network: t.network, local: l, from: t.from, name: name}
	c.life, c.end = context.WithCancel(t.network.life)
	if t.plain {
		return c
	}
	return &starter{conn: c}
}

// most is how many bytes a value may have in answer to q.
func most(q *peer.Query) int { return cmp.Or(q.MaxBytes, peer.MaxValueBytes) }
