package gossip

import (
	"context"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// longestDial bounds an attempt to connect to a member. memberlist would wait
// ten seconds, in which the next address could long have answered.
const longestDial = 2 * time.Second

// transport is memberlist's own, but its connections to others end with a
// context. So Run returns soon, also while a member that it talks to is silent.
type transport struct {
	*memberlist.NetTransport
	ctx context.Context
}

// binds is how often a free port is looked for: one that is free for TCP may be
// taken for UDP.
const binds = 10

// newTransport listens on bind.
func newTransport(ctx context.Context, bind netip.AddrPort, l *log.Logger) (*transport, error) {
	c := &memberlist.NetTransportConfig{
		BindAddrs: []string{bind.Addr().String()},
		BindPort:  int(bind.Port()),
		Logger:    l,
	}
	t, err := memberlist.NewNetTransport(c)
	for n := 1; err != nil && c.BindPort == 0 && n < binds; n++ {
		t, err = memberlist.NewNetTransport(c)
	}
	if err != nil {
		return nil, err
	}
	return &transport{t, ctx}, nil
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: min(timeout, longestDial)}
	c, err := dialer.DialContext(t.ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, context.AfterFunc(t.ctx, func() { c.Close() })}, nil
}

// conn is a connection that something else may close too.
type conn struct {
	net.Conn
	forget func() bool // ends the wait for the context
}

// Close closes the connection.
func (c *conn) Close() error {
	c.forget()
	return c.Conn.Close()
}
