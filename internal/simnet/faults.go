package simnet

import "slices"

// The faults below may come at any time. They act on the connections that exist
// and on those that are made later.

// Cut makes the link between two hosts silent in both directions: what is under
// way, and what is sent from now on, is held until Heal. No connection breaks
// and no dial fails: they hang.
func (n *Network) Cut(a, b string) {
	n.fault(WasCut, a, b, func() {
		for _, l := range n.pair(a, b) {
			l.cut = true
		}
	})
}

// CutOneWay does what Cut does, but only with what from sends to to.
// Acknowledgements, and so the window, and the answers to dials go that way,
// too.
func (n *Network) CutOneWay(from, to string) {
	n.fault(WasCut, from, to, func() { n.pair(from, to)[0].cut = true })
}

// CutAfter does what CutOneWay does, when from has sent size more bytes to to,
// on all connections together. These bytes still arrive, and the next does not.
func (n *Network) CutAfter(from, to string, size int64) { n.after(from, to, size, false) }

// ResetAfter breaks the connection on which from sends to to the last of size
// more bytes, on all connections together. These bytes still arrive, then both
// ends get ECONNRESET. It happens once.
func (n *Network) ResetAfter(from, to string, size int64) { n.after(from, to, size, true) }

// after arms the link. What has left no room for a byte trips when the next
// one is sent.
func (n *Network) after(from, to string, size int64, reset bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.pair(from, to)[0]
	l.limit, l.reset = max(size, 0), reset
}

// Heal ends what Cut, CutOneWay, CutAfter and Partition did between two hosts:
// what was held flows, in order, as TCP sends it again.
func (n *Network) Heal(a, b string) {
	n.fault(Healed, a, b, func() {
		for _, l := range n.pair(a, b) {
			l.heal()
		}
	})
}

// HealAll ends all cuts, partitions and isolations.
func (n *Network) HealAll() {
	n.fault(Healed, "", "", func() {
		for _, l := range n.links {
			l.heal()
		}
		for _, m := range n.machines {
			m.isolated = false
		}
	})
}

// Partition cuts every link between hosts of different groups. Links inside a
// group, and those of hosts that stand in none, stay as they are.
func (n *Network) Partition(groups ...[]string) {
	n.fault(WasCut, "", "", func() {
		for i, group := range groups {
			for _, a := range group {
				for _, b := range slices.Concat(groups[i+1:]...) {
					for _, l := range n.pair(a, b) {
						l.cut = true
					}
				}
			}
		}
	})
}

// Isolate cuts a host off from all others, also those that come later, as when
// its cable is pulled. Only Rejoin and HealAll end it.
func (n *Network) Isolate(host string) {
	n.fault(Isolated, host, "", func() { n.machine(host).isolated = true })
}

// Rejoin ends Isolate.
func (n *Network) Rejoin(host string) {
	n.fault(Rejoined, host, "", func() { n.machine(host).isolated = false })
}

// Freeze stops what a host's process sends and receives, as SIGSTOP does. Its
// operating system goes on: dials to it succeed, and what is sent to it is taken
// until the window is full. Its goroutines and timers run on, so that its own
// deadlines pass.
func (n *Network) Freeze(host string) {
	n.fault(Frozen, host, "", func() { n.machine(host).frozen = true })
}

// Thaw ends Freeze.
func (n *Network) Thaw(host string) { n.fault(Thawed, host, "", func() { n.thaw(n.machine(host)) }) }

func (n *Network) thaw(m *machine) {
	m.frozen = false
	if m.life != nil {
		for _, l := range m.life.listeners {
			l.bell.ring()
		}
	}
}

// fault changes the state of hosts and links, and lets everything see it.
func (n *Network) fault(kind Kind, a, b string, change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	n.emit(kind, a, b)
	n.settle()
}

// Reset breaks all connections between two hosts, at both ends at once: after
// what has arrived they read ECONNRESET. What is under way is lost.
func (n *Network) Reset(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for _, l := range n.pair(a, b) {
		for _, p := range l.pipes {
			p.breakAt(now, now)
		}
	}
	n.emit(WasReset, a, b)
}

// Crash ends the process of a host, as SIGKILL does. Its listeners and its ends
// of connections are gone; those at the other ends read what was under way and
// then ECONNRESET. Dials to it are refused. Its Host is dead: what the process's
// goroutines still try with it fails. Host(name) starts it again.
func (n *Network) Crash(host string) {
	n.fault(Crashed, host, "", func() {
		now := n.now()
		m := n.machine(host)
		n.thaw(m)
		for _, l := range n.links {
			l.settle(now) // what a frozen process had handed over gets out
		}
		n.kill(m, func(c *conn) { c.out.abort(now, now) })
	})
}

// PowerOff ends a host in silence: nobody hears of it, and dials to it hang.
// When Host(name) has started it again it answers what comes on its former
// connections with resets.
func (n *Network) PowerOff(host string) {
	n.fault(PoweredOff, host, "", func() {
		m := n.machine(host)
		m.frozen, m.off = false, true
		n.kill(m, func(*conn) {})
	})
}

// kill ends a machine's life, and its ends of connections after farewell.
func (n *Network) kill(m *machine, farewell func(*conn)) {
	if m.life != nil {
		m.life.end()
		m.life = nil
	}
	for _, l := range n.links {
		if l.from != m {
			continue
		}
		for _, p := range slices.Clone(l.pipes) { // shut drops some
			if !p.src.closed {
				farewell(p.src)
				p.src.shut()
			}
		}
	}
}
