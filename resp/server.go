package resp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
)

// Server serves groups to Redis clients. Make one by New.
type Server struct {
	opts     options
	limits   *Limits // of opts
	log      *slog.Logger
	audits   *audit.Log // of what strangers can cause
	table    table
	fallback table
	names    table // of table, and what only fallback has
	plainGet bool  // the command GET is that of this package
	keys     routes
	users    users
	tracking *tracker
	started  time.Time
	now      atomic.Int64 // nanoseconds since started, as of the last sweep: cheap, and at most a tenth of a second old
	memory   atomic.Int64 // of Limits.ClientBytes
	counts   counts

	mu        sync.RWMutex
	conns     map[uint64]*Conn
	lastID    uint64
	listeners map[net.Listener]struct{}
	sweeping  bool // sweep runs

	draining atomic.Bool   // Shutdown was called; written with mu held
	ended    chan struct{} // closed when that has ended
	running  sync.WaitGroup
}

// counts are the figures of a Server since it was made.
type counts struct{ commands, connections, refused, pushes, unread atomic.Int64 }

// Stats are figures of a Server.
type Stats struct {
	Clients         int64 // connected now
	TrackingClients int64 // of those, the ones that are told of changes
	TrackedKeys     int64 // followed for them
	Commands        int64 // processed
	Connections     int64 // accepted
	Refused         int64 // connections over Limits.Clients
	Invalidations   int64 // messages to clients that keys have changed
	Unread          int64 // clients disconnected because they did not read
}

// New returns a server of caches. It listens nowhere yet: call Serve.
func New(caches []door.Cache, opts ...Option) (*Server, error) {
	s := &Server{
		started: time.Now(), conns: make(map[uint64]*Conn), listeners: make(map[net.Listener]struct{}),
		ended: make(chan struct{}),
	}
	s.now.Store(1) // zero says that something is not going on
	for _, opt := range opts {
		if err := opt(&s.opts); err != nil {
			return nil, fmt.Errorf("resp: %w", err)
		}
	}
	err := s.opts.check(caches)
	if err == nil {
		s.keys, err = newRoutes(caches, &s.opts)
	}
	if err == nil {
		s.table, err = newTable(builtin, s.opts.commands)
	}
	s.names = s.table
	if err == nil && s.opts.fallback != nil {
		s.fallback, err = newTable(s.opts.fallback.Commands)
		s.join()
	}
	if err != nil {
		return nil, fmt.Errorf("resp: %w", err)
	}
	s.limits = &s.opts.limits
	s.plainGet = !slices.ContainsFunc(s.opts.commands, func(cmd Command) bool { return cmd.Name == "get" })
	s.users = newUsers(s.opts.users)
	if s.log = s.opts.log; s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.audits = audit.New(s.log)
	s.tracking = newTracker(s)
	return s, nil
}

// join fills names.
func (s *Server) join() {
	s.names = maps.Clone(s.table)
	for name, cmd := range s.fallback {
		cmd.setOther()
		if own := s.table[name]; own != nil {
			own.twin = cmd
		} else {
			s.names[name] = cmd
		}
	}
}

// Serve accepts clients from l, and closes it in the end. It returns nil after Shutdown. Several
// listeners may be served at a time. TLS is that of the listener (tls.NewListener).
//
// It refuses a listener that others than this machine may reach, unless there is a password
// (WithPassword, WithUsers), or WithInsecure.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if err := s.checkOpen(l.Addr()); err != nil {
		return err
	}
	if !s.listen(l) {
		return nil
	}
	defer s.running.Done()
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.welcome(nc)
		case s.draining.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			s.forget(l)
			return fmt.Errorf("resp: %w", err)
		default: // too many open files, as a rule
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("a client could not be accepted", "address", l.Addr().String(), "error", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-s.ended:
			}
		}
	}
}

// checkOpen returns an error if strangers can reach the server, and nothing keeps them out.
func (s *Server) checkOpen(addr net.Addr) error {
	if len(s.users.all) > 0 || door.IsLocal(addr) {
		return nil
	}
	if s.opts.insecure {
		s.log.Warn("whoever reaches this address can read, change and clear what is cached, because of WithInsecure", "address", addr.String())
		return nil
	}
	return fmt.Errorf("resp: %s is no loopback address, so that whoever reaches it could read, change and clear what is cached: "+
		"want WithPassword or WithUsers; or WithInsecure(), in a network that lets in nobody else", addr)
}

// listen records l, unless the server is shut down.
func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners[l] = struct{}{}
	s.running.Add(1)
	if !s.sweeping {
		s.sweeping = true
		s.running.Go(s.sweep)
	}
	return true
}

func (s *Server) forget(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// welcome serves a client, if there is room for it.
func (s *Server) welcome(nc net.Conn) {
	s.mu.Lock()
	full := len(s.conns) >= s.limits.Clients
	if full || s.draining.Load() {
		s.mu.Unlock()
		if full {
			s.counts.refused.Add(1)
			refuseClient(nc)
		}
		nc.Close()
		return
	}
	s.lastID++
	c := newConn(s, nc, s.lastID)
	s.conns[c.id] = c
	s.running.Add(1)
	s.mu.Unlock()
	s.counts.connections.Add(1)
	go c.serve()
}

// refuseClient tells a client that there is no room. It is not worth a handshake, nor a wait: what
// has just been connected takes a line at once.
func refuseClient(nc net.Conn) {
	if _, ok := nc.(*net.TCPConn); ok {
		nc.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		nc.Write([]byte("-ERR max number of clients reached\r\n"))
	}
}

// Shutdown ends the server. It accepts no more clients, has those commands answered that have come,
// and disconnects the clients. When ctx ends, it does that without waiting any more, and returns the
// error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.draining.Swap(true) {
		close(s.ended)
	}
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	for _, c := range s.clients() {
		c.wake()
		c.unblock(ErrShutdown)
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("resp: shutdown: %w", ctx.Err())
		for _, c := range s.clients() {
			c.kill()
		}
		<-done
	}
	s.tracking.stop()
	return err
}

// clients returns those that are connected.
func (s *Server) clients() []*Conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	return all
}

// client returns the client of that number, or nil.
func (s *Server) client(id uint64) *Conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.conns[id]; c != nil && !c.quitting.Load() {
		return c
	}
	return nil
}

// Stats returns the figures of the server.
func (s *Server) Stats() Stats {
	s.mu.RLock()
	clients := len(s.conns)
	s.mu.RUnlock()
	tracking, keys := s.tracking.figures()
	return Stats{
		Clients: int64(clients), TrackingClients: int64(tracking), TrackedKeys: int64(keys),
		Commands: s.counts.commands.Load(), Connections: s.counts.connections.Load(), Refused: s.counts.refused.Load(),
		Invalidations: s.counts.pushes.Load(), Unread: s.counts.unread.Load(),
	}
}

// reserve takes memory out of Limits.ClientBytes, or gives it back.
func (s *Server) reserve(bytes int) bool {
	if s.memory.Add(int64(bytes)) > s.limits.ClientBytes && bytes > 0 {
		s.memory.Add(-int64(bytes))
		return false
	}
	return true
}
