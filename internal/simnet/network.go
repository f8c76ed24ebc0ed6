package simnet

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// DefaultWindow is how many bytes a connection takes in one direction before
// the other end has read them.
const DefaultWindow = 256 << 10

// instant is a moment: the time since the Network was made.
type instant = time.Duration

const never instant = math.MaxInt64

// Network is a set of hosts and of the links between each two of them. Its
// methods may be called concurrently and at any time.
type Network struct {
	seed  uint64
	start time.Time

	// mu guards all that follows, and all fields of machines, links, pipes,
	// connections and listeners that are not constant. It is never held while
	// anything blocks.
	mu       sync.Mutex
	machines map[string]*machine
	links    []*link // in the order of their making, so that faults act in one order
	dials    []*dial // those in progress
	profile  Link    // of links that have none of their own
	window   int
	trace    func(Event)
	closed   bool
}

// machine is what a host name stands for, through all its lives.
type machine struct {
	name  string
	life  *Host // nil before the first and between two lives
	lived bool
	out   map[*machine]*link
	ports uint16 // the last ephemeral port that was given out, less firstPort

	isolated, frozen, off bool
}

// New makes a network whose random choices follow from seed. Links have neither
// latency nor a limit of bandwidth until SetLatency or SetLink is called.
func New(seed uint64) *Network {
	return &Network{
		seed:     seed,
		start:    time.Now(),
		machines: make(map[string]*machine),
		window:   DefaultWindow,
	}
}

// Close breaks all connections, listeners and dials: they return net.ErrClosed.
// The network and its hosts are of no use afterwards.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.closed = true
	for _, l := range n.links {
		for _, p := range slices.Clone(l.pipes) { // shut drops some
			p.src.shut()
		}
	}
	for _, m := range n.machines {
		if m.life != nil {
			m.life.end()
		}
	}
	n.ringDials()
}

// Host returns the host of a name, such as "10.0.0.1". The first call starts it.
// So does the first call after Crash or PowerOff: it returns a new Host, which
// has nothing in common with the former but its name and its links.
func (n *Network) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.machine(name)
	if m.life == nil {
		m.life = &Host{net: n, m: m, dead: n.closed, listeners: make(map[string]*listener)}
		m.lived = true
		m.off = false
		n.emit(Started, name, "")
		n.settle()
	}
	return m.life
}

// SetTrace makes the network call fn with every event, in order. It is called
// with a lock held: fn must not block, nor use the network.
func (n *Network) SetTrace(fn func(Event)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trace = fn
}

// SetWindow sets the window of connections that are made from now on, in bytes.
func (n *Network) SetWindow(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.window = max(bytes, 1)
}

// now returns the present instant.
func (n *Network) now() instant { return time.Since(n.start) }

// machine returns the machine of a name. n.mu is held.
func (n *Network) machine(name string) *machine {
	m := n.machines[name]
	if m == nil {
		m = &machine{name: name, out: make(map[*machine]*link)}
		n.machines[name] = m
	}
	return m
}

// link returns the link that carries what from sends to to. n.mu is held.
func (n *Network) link(from, to *machine) *link {
	l := from.out[to]
	if l == nil {
		l = &link{net: n, from: from, to: to, limit: noLimit, hash: hashNames(from.name, to.name)}
		l.rng = n.random(l.hash, 0)
		l.wasBlocked, l.wasMoving = l.blocked(), l.moving()
		from.out[to] = l
		n.links = append(n.links, l)
	}
	return l
}

// pair returns the links of two names in both directions. n.mu is held.
func (n *Network) pair(a, b string) [2]*link {
	x, y := n.machine(a), n.machine(b)
	return [2]*link{n.link(x, y), n.link(y, x)}
}

// random returns the source of the random choices that belong to what.
func (n *Network) random(what, which uint64) *rand.PCG {
	return rand.NewPCG(n.seed^what, which)
}

func hashNames(from, to string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(from))
	h.Write([]byte{0})
	h.Write([]byte(to))
	return h.Sum64()
}

// settle lets all links and dials see what has changed. n.mu is held.
func (n *Network) settle() {
	now := n.now()
	for _, l := range n.links {
		l.settle(now)
	}
	n.ringDials()
}

func (n *Network) ringDials() {
	for _, d := range n.dials {
		d.bell.ring()
	}
}

func (n *Network) dropDial(d *dial) {
	if i := slices.Index(n.dials, d); i >= 0 {
		n.dials = slices.Delete(n.dials, i, i+1)
	}
}
