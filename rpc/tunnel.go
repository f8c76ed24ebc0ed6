package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
	peerspb "github.com/peercache/peercache/rpc/proto/peercache/peers/v1"
)

// Tunnel connects a pool with its peers by gRPC: each connection is one call, which lasts as long as
// the connection. What goes through it is the protocol of an HTTPPool, unchanged, so that all its
// promises, options and limits hold. The zero Tunnel is ready for use, by Transport. The peers serve
// their pools by Listen.
//
//	pool, err := peercache.NewHTTPPool(self, peercache.WithTransport(new(rpc.Tunnel).Transport()), peercache.WithSecrets(secret))
//	go pool.Server().Serve(rpc.Listen(listener))
//
// Each connection has an HTTP/2 connection of its own, to the host and port of the peer's base URL.
// A proxy on the way may put many of them together.
//
// Peers prove who they are inside the tunnel, by WithSecrets or WithTLS, so that a proxy on the way
// need not be trusted. With WithTLS, serve the pool by ServeTLS.
type Tunnel struct {
	// Dial connects with the address of a peer, or with the proxy that leads to it. If it is nil,
	// that is TCP, for at most two seconds.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS, if not nil, is the configuration for TLS below gRPC, such as with a proxy. It has nothing
	// to do with WithTLS.
	TLS *tls.Config
	// Options are further ones of grpc-go, such as credentials for each call.
	Options []grpc.DialOption
}

// Transport returns what WithTransport needs: peercache.DefaultTransport with the DialContext of t.
func (t *Tunnel) Transport() *http.Transport {
	transport := peercache.DefaultTransport()
	transport.DialContext = t.DialContext
	return transport
}

const (
	// dialTimeout is how long a TCP connection may take, and openTimeout all until the peer has
	// taken the call.
	dialTimeout, openTimeout = 2 * time.Second, 5 * time.Second
	// closeTimeout is how long a peer may take to end a call that this process has ended.
	closeTimeout = time.Second
	// askerWindow is how many bytes may be on their way to the side that asks, on each connection,
	// and ownerWindow to the side that answers, which may be asked by strangers.
	askerWindow, ownerWindow = 256 << 10, 128 << 10
	// mostMessage bounds a message that is received.
	mostMessage = 1 << 20
)

// DialContext makes a connection to a peer. ctx bounds that, and not the connection.
func (t *Tunnel) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	d := &dialing{tunnel: t, network: network}
	cc, err := grpc.NewClient("passthrough:///"+addr, append(d.options(), t.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("peercache: rpc: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	stream, err := peerspb.NewPeersClient(cc).Connect(life)
	if err == nil {
		var header map[string][]string
		if header, err = stream.Header(); err == nil && header == nil { // the call is over
			if _, err = stream.Recv(); err == nil {
				err = errors.New("the peer has not taken the call")
			}
		}
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		end()
		cc.Close()
		return nil, d.why(ctx, err)
	}
	var conn *callConn
	conn = newCallConn(stream, d.local(), d.remote(), func(writing bool) {
		if writing {
			end()
			cc.Close()
			return
		}
		stream.CloseSend()
		go func() {
			select {
			case <-conn.over:
			case <-time.After(closeTimeout):
			}
			end()
			cc.Close()
		}()
	})
	return conn, nil
}

// dialing is one attempt to connect. grpc-go makes texts of errors: this keeps them.
type dialing struct {
	tunnel  *Tunnel
	network string
	begun   atomic.Bool

	mu   sync.Mutex
	conn net.Conn // guarded by mu; nil: there is none yet
	err  error    // guarded by mu; why there is none, or no TLS
}

func (d *dialing) options() []grpc.DialOption {
	creds := insecure.NewCredentials()
	if d.tunnel.TLS != nil {
		creds = credentials.NewTLS(d.tunnel.TLS)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(&keepsError{creds, d}), grpc.WithContextDialer(d.dial),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0), grpc.WithSharedWriteBuffer(true),
		grpc.WithInitialWindowSize(askerWindow), grpc.WithInitialConnWindowSize(askerWindow),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostMessage)),
	}
}

// dial connects once. When that connection has ended, so has the call.
func (d *dialing) dial(ctx context.Context, addr string) (net.Conn, error) {
	if d.begun.Swap(true) {
		return nil, net.ErrClosed
	}
	dial := d.tunnel.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	c, err := dial(ctx, d.network, addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn, d.err = c, err
	return c, err
}

// why returns why there is no connection. err is what grpc-go says, ctx that of the caller.
func (d *dialing) why(ctx context.Context, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.err != nil:
		return d.err
	case ctx.Err() != nil:
		return ctx.Err()
	case status.Code(err) == codes.Unimplemented:
		return fmt.Errorf("%w: it speaks gRPC, but carries no peers: want its pool served by rpc.Listen: %w", peer.ErrNotAPeer, err)
	}
	return err
}

func (d *dialing) local() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conn.LocalAddr()
}

func (d *dialing) remote() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conn.RemoteAddr()
}

// keepsError are credentials that keep the error of a handshake.
type keepsError struct {
	credentials.TransportCredentials
	of *dialing
}

// ClientHandshake implements credentials.TransportCredentials.
func (k *keepsError) ClientHandshake(ctx context.Context, authority string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := k.TransportCredentials.ClientHandshake(ctx, authority, c)
	if err != nil {
		k.of.mu.Lock()
		defer k.of.mu.Unlock()
		k.of.err = err
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (k *keepsError) Clone() credentials.TransportCredentials {
	return &keepsError{k.TransportCredentials.Clone(), k.of}
}
