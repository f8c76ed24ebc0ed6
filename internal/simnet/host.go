package simnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"
)

const (
	backlog   = 4096 // connections that wait to be accepted, as Linux has it
	firstPort = 49152
	lastPort  = 65535
)

// errHostDown is what a host that was crashed or powered off gets to hear.
var errHostDown = errors.New("simnet: the host is down")

// Host is one life of a host: until Crash or PowerOff.
type Host struct {
	net       *Network
	m         *machine
	dead      bool
	listeners map[string]*listener // by port
}

// Name returns the host's name.
func (h *Host) Name() string { return h.m.name }

// Listen listens at an address: the host's name, or nothing, and a port, where 0
// stands for a free one.
func (h *Host) Listen(address string) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	l, err := h.listen(address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: addr(address), Err: err}
	}
	return l, nil
}

func (h *Host) listen(address string) (*listener, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	switch {
	case h.net.closed:
		return nil, net.ErrClosed
	case h.dead:
		return nil, errHostDown
	case name != "" && name != h.m.name:
		return nil, fmt.Errorf("%w: the host's name is %s", errno("bind", syscall.EADDRNOTAVAIL), h.m.name)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("bad port: %w", err)
	} else if n == 0 {
		port = h.freePort()
	}
	if h.listeners[port] != nil {
		return nil, errno("bind", syscall.EADDRINUSE)
	}
	l := &listener{host: h, port: port, addr: addr(net.JoinHostPort(h.m.name, port)), bell: newBell()}
	h.listeners[port] = l
	return l, nil
}

// freePort returns a port that nobody listens at.
func (h *Host) freePort() string {
	for {
		port := strconv.Itoa(firstPort + int(h.m.ports))
		h.m.ports = (h.m.ports + 1) % (lastPort - firstPort + 1)
		if h.listeners[port] == nil {
			return port
		}
	}
}

// end closes the listeners. The host's connections are its network's to close.
func (h *Host) end() {
	h.dead = true
	for _, l := range h.listeners {
		l.bell.ring()
	}
	clear(h.listeners)
}

// dial is a connection in the making.
type dial struct {
	from *Host
	to   *machine
	port string
	bell bell
	done instant // when the handshake is over: never, while it is held up
}

// DialContext connects to an address. Where a link is cut it hangs until ctx
// ends, as with packets that are dropped. It fits http.Transport.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.dial(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, network, address string) (*conn, error) {
	if network != "tcp" {
		return nil, net.UnknownNetworkError(network)
	}
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	d := &dial{from: h, to: n.machine(name), port: port, bell: newBell(), done: never}
	n.link(h.m, d.to).stats.Dials++
	n.emit(Dialled, h.m.name, address)
	n.dials = append(n.dials, d)
	defer n.dropDial(d)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now := n.now()
		if c, err := d.step(now); c != nil || err != nil {
			return c, err
		}
		d.bell.sleep(n, now, d.done, ctx.Done())
	}
}

// step brings the dial on. It returns neither connection nor error as long as it
// has to wait.
func (d *dial) step(now instant) (*conn, error) {
	n := d.from.net
	link, back := n.link(d.from.m, d.to), n.link(d.to, d.from.m)
	switch {
	case n.closed:
		return nil, net.ErrClosed
	case d.from.dead:
		return nil, errHostDown
	case !d.to.lived:
		return nil, errno("connect", syscall.EHOSTUNREACH)
	case !link.moving() || back.blocked() || back.stopped:
		d.done = never // begins anew when the packets get through
		return nil, nil
	case d.done == never:
		d.done = now + link.settings().delay(link.rng) + back.settings().delay(link.rng)
	}
	if d.done > now {
		return nil, nil
	}
	var l *listener
	if d.to.life != nil {
		l = d.to.life.listeners[d.port]
	}
	if l == nil {
		link.stats.Refused++
		n.emit(Refused, d.from.m.name, net.JoinHostPort(d.to.name, d.port))
		return nil, errno("connect", syscall.ECONNREFUSED)
	}
	if len(l.backlog) >= backlog {
		d.done = never // Accept rings
		return nil, nil
	}
	return d.connect(l, link, back), nil
}

// connect makes the two ends of the connection and gives the far one to l.
func (d *dial) connect(l *listener, link, back *link) *conn {
	n := d.from.net
	here := addr(net.JoinHostPort(d.from.m.name, d.from.freePort()))
	near := &conn{net: n, m: d.from.m, local: here, remote: l.addr}
	far := &conn{net: n, m: d.to, local: l.addr, remote: here}
	link.opened++
	out := &pipe{link: link, src: near, dst: far, window: n.window, rng: n.random(link.hash, 2*link.opened)}
	in := &pipe{link: back, src: far, dst: near, window: n.window, rng: n.random(link.hash, 2*link.opened+1)}
	for _, c := range []*conn{near, far} {
		c.rd, c.wr = newBell(), newBell()
		c.rdLimit, c.wrLimit = never, never
	}
	near.in, near.out, far.in, far.out = in, out, out, in
	link.pipes = append(link.pipes, out) // the two links are one if the hosts are
	back.pipes = append(back.pipes, in)
	link.stats.Open++
	back.stats.Open++
	n.emit(Opened, string(here), string(l.addr))
	l.backlog = append(l.backlog, far)
	l.bell.ring()
	return near
}

// listener is a port of a host.
type listener struct {
	host    *Host
	port    string
	addr    addr
	bell    bell
	backlog []*conn
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) closed() bool { return l.host.listeners[l.port] != l }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.bell.enter()
	defer l.bell.leave()
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		if l.closed() {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
		}
		if len(l.backlog) > 0 && !l.host.m.frozen {
			if len(l.backlog) == backlog {
				n.ringDials()
			}
			c := l.backlog[0]
			l.backlog = slices.Delete(l.backlog, 0, 1)
			return c, nil
		}
		l.bell.sleep(n, n.now(), never, nil)
	}
}

// Close implements net.Listener. Connections that nobody has accepted are reset.
func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.closed() {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	delete(l.host.listeners, l.port)
	now := n.now()
	for _, c := range l.backlog {
		c.out.abort(now, now)
		c.shut()
	}
	l.backlog = nil
	l.bell.ring()
	return nil
}
