package rpc

import (
	"net"
	"sync"
	"sync/atomic"
)

// limited is a listener of which so many connections are open at a time. One more is closed at
// once: its client learns that, where in a queue it would wait.
type limited struct {
	net.Listener
	most    int64
	open    atomic.Int64
	refused func(net.Addr)
}

func newLimited(l net.Listener, most int, refused func(net.Addr)) *limited {
	return &limited{Listener: l, most: int64(most), refused: refused}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return &counted{Conn: c, leave: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		c.Close()
		l.refused(c.RemoteAddr())
	}
}

// counted is a connection of a limited listener.
type counted struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
