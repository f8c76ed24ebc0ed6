package main

import (
	"fmt"
	"os"
	"syscall"
)

// loopback is a site on this machine: each node has a port of its own as long as the site
// lasts, also while no process listens on it.
type loopback struct {
	sockets []int // that hold the ports
	ports   []int
}

// newLoopback finds ports for n nodes.
func newLoopback(n int) (*loopback, error) {
	l := new(loopback)
	for range n {
		socket, port, err := holdPort()
		if err != nil {
			l.close()
			return nil, err
		}
		l.sockets, l.ports = append(l.sockets, socket), append(l.ports, port)
	}
	return l, nil
}

// holdPort binds a socket to a free port and does not listen. So nobody else is given the
// port, who listens on it by its number may, and who connects meanwhile is refused.
func holdPort() (socket, port int, err error) {
	syscall.ForkLock.RLock() // no child is to have it
	socket, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(socket)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, 0, os.NewSyscallError("socket", err)
	}
	if err = syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var at syscall.Sockaddr
	if err == nil {
		at, err = syscall.Getsockname(socket)
	}
	if err != nil {
		syscall.Close(socket)
		return 0, 0, os.NewSyscallError("bind", err)
	}
	return socket, at.(*syscall.SockaddrInet4).Port, nil
}

func (l *loopback) url(i int) string { return fmt.Sprintf("http://127.0.0.1:%d", l.ports[i]) }

func (l *loopback) by(int) []string { return nil }

func (l *loopback) close() {
	for _, socket := range l.sockets {
		syscall.Close(socket)
	}
}
