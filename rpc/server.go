package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
	datapb "github.com/peercache/peercache/rpc/proto/peercache/data/v1"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// Server is the gRPC door of a node. It is made by New.
type Server struct {
	caches map[string]door.Cache // by name; not changed after New
	opts   *options
	grpc   *grpc.Server
	audits *audit.Log
	flow   *flow

	closing  chan struct{} // closed by Shutdown
	close    sync.Once     // closes closing
	calls    atomic.Int64  // in progress, without Watch and those of health
	watchers atomic.Int64  // Watches in progress
}

// New returns a server that serves caches, each under its name. A *peercache.Group is a door.Cache. With
// WithData there may be none.
func New(caches []door.Cache, opts ...Option) (*Server, error) {
	s := &Server{closing: make(chan struct{})}
	if err := s.init(caches, opts); err != nil {
		return nil, fmt.Errorf("peercache: rpc.New: %w", err)
	}
	s.audits = audit.New(s.opts.log)
	s.flow = newFlow(s.opts.limits.RequestBytes, func(from net.Addr) {
		s.audits.Record(audit.Connection, slog.LevelWarn, hostOf(from)+" bytes", "a connection was closed: the requests in progress take as much as Limits.RequestBytes allows", slog.String("client", hostOf(from)))
	})
	s.grpc = grpc.NewServer(s.serverOptions()...)
	cachepb.RegisterCacheServer(s.grpc, &service{server: s})
	if s.opts.data != nil {
		datapb.RegisterDataServer(s.grpc, s.opts.data)
	}
	healthpb.RegisterHealthServer(s.grpc, &health{server: s})
	reflection.Register(s.grpc)
	return s, nil
}

// init reads the options, and checks what is to be served.
func (s *Server) init(caches []door.Cache, opts []Option) (err error) {
	if s.opts, err = readOptions(opts); err != nil {
		return err
	}
	also := []string{}
	if d := s.opts.data; d != nil {
		d.server = s
		also = append(also, d.name)
	}
	if len(caches) > 0 || s.opts.data == nil {
		if s.caches, err = door.ByName(caches); err != nil {
			return err
		}
	}
	if err := s.opts.data.checkName(s.caches); err != nil {
		return err
	}
	return s.opts.tokens.CheckGroups(s.caches, also...)
}

const (
	// handshakeTimeout bounds what comes before the first call of a connection.
	handshakeTimeout = 5 * time.Second
	// mostHeaders bounds the metadata of a call, in bytes.
	mostHeaders = 16 << 10
	// pingAfter is how long nothing comes on a connection until it is asked whether it lives, and
	// pingTimeout how long that may take. leastPing is how often a client may ask that.
	pingAfter, pingTimeout = 20 * time.Second, 10 * time.Second
	leastPing              = 5 * time.Second
)

func (s *Server) serverOptions() []grpc.ServerOption {
	l := &s.opts.limits
	all := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(l.MessageBytes), grpc.MaxConcurrentStreams(uint32(l.Streams)), grpc.MaxHeaderListSize(mostHeaders),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream),
	}
	creds := insecure.NewCredentials()
	if s.opts.tls != nil {
		creds = credentials.NewTLS(s.opts.tls)
	}
	all = append(all, grpc.Creds(&flowCreds{creds, s.flow}), grpc.InTapHandle(s.admit))
	return append(all, s.opts.grpc...)
}

// Serve answers what comes by l, until Shutdown. It returns nil after that, otherwise why it ended.
// It closes l. It may be called more than once.
//
// It refuses a listener that others than this machine may reach, unless there is a WithTokens, a
// WithAuthorizer, a WithTLS that asks for certificates, or WithInsecure.
func (s *Server) Serve(l net.Listener) error {
	if err := s.checkOpen(l.Addr()); err != nil {
		l.Close()
		return err
	}
	if err := s.grpc.Serve(newLimited(l, s.opts.limits.Connections, s.refusedConnection)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("peercache: rpc: %w", err)
	}
	return nil
}

// checkOpen returns an error if strangers can reach the server, and nothing keeps them out.
func (s *Server) checkOpen(a net.Addr) error {
	o := s.opts
	byTLS := o.tls != nil && (o.tls.ClientAuth >= tls.RequireAnyClientCert || o.tls.GetConfigForClient != nil || o.tls.VerifyConnection != nil)
	switch {
	case o.tokens.Needed() || o.authorize != nil || byTLS || door.IsLocal(a):
		return nil
	case o.insecure:
		o.log.Warn("whoever reaches this address can read, change and clear what is cached, because of WithInsecure", "address", a.String())
		return nil
	}
	return fmt.Errorf("peercache: rpc: %s is no loopback address, so that whoever reaches it could read, change and clear what is cached: "+
		"want WithTokens, WithAuthorizer, or WithTLS with ClientAuth; or WithInsecure(), in a network that lets in nobody else", a)
}

// watchersEnd is how long watchers may take to end, after all other calls are answered. One that
// reads nothing would never do so.
const watchersEnd = time.Second

// Shutdown takes no more calls, ends Watches, and waits until all other calls are answered. When ctx
// ends first, it ends them, and returns ctx.Err. Health checks say that nothing is served from then
// on, as long as connections are open.
func (s *Server) Shutdown(ctx context.Context) error {
	s.close.Do(func() { close(s.closing) })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for idle := time.Duration(0); ; {
		select {
		case <-stopped:
			return nil
		case <-ctx.Done():
			s.grpc.Stop()
			<-stopped
			return ctx.Err()
		case <-tick.C:
		}
		if s.calls.Load() > 0 {
			idle = 0
		} else if idle += 20 * time.Millisecond; idle >= watchersEnd {
			s.grpc.Stop()
			<-stopped
			return nil
		}
	}
}

// unary counts a call, and makes a panic an error.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
	s.calls.Add(1)
	defer s.calls.Add(-1)
	defer s.recovered(info.FullMethod, &err)
	return handle(ctx, req)
}

// stream does what unary does.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	if info.FullMethod == cachepb.Cache_BatchGet_FullMethodName {
		s.calls.Add(1)
		defer s.calls.Add(-1)
	}
	defer s.recovered(info.FullMethod, &err)
	return handle(srv, ss)
}

// recovered makes a panic an error. It is called deferred.
func (s *Server) recovered(method string, err *error) {
	if p := recover(); p != nil {
		s.opts.log.Error("a panic while a call was answered", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the node has failed")
	}
}

// refused logs that a client was refused.
func (s *Server) refused(ctx context.Context, message string, attrs ...slog.Attr) {
	address := "unknown"
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		address = hostOf(p.Addr)
	}
	s.audits.Record(audit.Unauthorized, slog.LevelWarn, address, message, append(attrs, slog.String("client", address))...)
}

func (s *Server) refusedConnection(from net.Addr) {
	s.audits.Record(audit.Connection, slog.LevelWarn, hostOf(from), "a connection was closed: as many are open as Limits.Connections allows", slog.String("client", hostOf(from)))
}

func hostOf(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}
