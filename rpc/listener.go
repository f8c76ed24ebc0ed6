package rpc

import (
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	peerspb "github.com/peercache/peercache/rpc/proto/peercache/peers/v1"
)

// Listener is a net.Listener whose connections are calls of the Tunnels of peers. It is made by
// Listen.
type Listener struct {
	peerspb.UnimplementedPeersServer
	listener net.Listener
	grpc     *grpc.Server

	conns  chan *callConn // from Connect to Accept
	closed chan struct{}
	end    sync.Once // closes closed
}

// unusedFor is how long a connection may have no call.
const unusedFor = 10 * time.Second

// Listen returns a listener of the calls of Tunnels that come by l, for the server of a pool:
//
//	pool.Server().Serve(rpc.Listen(l))
//
// The options are further ones of grpc-go, such as credentials for TLS below gRPC. Close closes l, and
// leaves the connections that are open as they are, as that of a TCP listener does.
func Listen(l net.Listener, opts ...grpc.ServerOption) *Listener {
	t := &Listener{listener: l, conns: make(chan *callConn), closed: make(chan struct{})}
	t.grpc = grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(mostMessage), grpc.MaxHeaderListSize(mostHeaders), grpc.ConnectionTimeout(handshakeTimeout),
		grpc.InitialWindowSize(ownerWindow), grpc.InitialConnWindowSize(ownerWindow), grpc.SharedWriteBuffer(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: unusedFor, Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true}),
	}, opts...)...)
	peerspb.RegisterPeersServer(t.grpc, t)
	go func() {
		t.grpc.Serve(l) // it ends by Close, or when l cannot be used
		t.Close()
	}()
	return t
}

// Connect implements peerspb.PeersServer.
func (l *Listener) Connect(stream grpc.BidiStreamingServer[peerspb.Bytes, peerspb.Bytes]) error {
	ctx := stream.Context()
	p, ok := peer.FromContext(ctx)
	if !ok {
		return status.Error(codes.Internal, "a call from nowhere")
	}
	local := p.LocalAddr
	if local == nil {
		local = l.listener.Addr()
	}
	over := make(chan struct{})
	conn := newCallConn(stream, local, p.Addr, func(bool) { close(over) })
	defer conn.Close()
	select {
	case l.conns <- conn:
	case <-l.closed:
		return status.Error(codes.Unavailable, "the process takes no more connections")
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	stream.SendHeader(metadata.MD{}) // unless a Write has sent them meanwhile
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.listener.Addr() }

// Close implements net.Listener.
func (l *Listener) Close() error {
	var err error
	l.end.Do(func() {
		close(l.closed)
		err = l.listener.Close()
		go l.grpc.GracefulStop() // it ends when the last connection has
	})
	return err
}
