package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/peertls"
)

// HTTPPool is a Pool over HTTP: it connects the groups of a process with those of its peers. It is
// an http.Handler, to be served at the address that the peers know. It is made by NewHTTPPool,
// never as a zero value. Most of its methods are those of Pool: Set, Join, Ready, Stats, Status, Events.
type HTTPPool struct {
	*Pool
	basePath  string
	transport *httppeer.Transport
	server    *httppeer.Server

	// onlyHere is true if nothing but the loopback address of the process keeps strangers out.
	onlyHere bool
	outside  sync.Once // the warning that one has come all the same

	tls       *peertls.Source    // see WithTLS; may be nil
	stopWatch context.CancelFunc // ends the watch for new certificates
}

// NewHTTPPool makes a pool for this process, whose base URL, as all its peers write it, is
// self: "http://10.0.0.1:8001", the address at which they reach it, not one that it only
// listens on, such as 0.0.0.0. There is one way to spell it, see Set. Until Set is called
// the process is its own only peer. Serve the pool at that address: as the handler of an
// HTTP server, or on a mux under BasePath. Give the server a ReadHeaderTimeout and a
// MaxHeaderBytes of 64 KiB, or of more than three times the longest key with
// WithGroupcacheCompat: the pool sees a request only after all its headers have come. It
// limits bodies and answers itself, see WithRequestMemory, WithAnswerMemory and
// WithRequestTimeout.
//
// Unless self is a loopback address, the pool needs an option that says whom it lets in: WithSecrets,
// WithTLS or WithAuthenticator, or WithInsecure, which lets in everybody.
func NewHTTPPool(self string, opts ...PoolOption) (*HTTPPool, error) {
	o, err := readPoolOptions(opts)
	if err != nil {
		return nil, err
	}
	p := &HTTPPool{basePath: o.basePath, tls: o.tls}
	cfg := o.httpConfig()
	cfg.Knows = func(name string) bool { return p.cluster.Knows(name) }
	cfg.LargestValue = func() int64 { return p.largestValue() }
	p.transport = httppeer.NewTransport(cfg, self)
	if p.Pool, err = newPool(self, p.transport, o); err != nil {
		return nil, err
	}
	if err := o.checkOpen(self); err != nil {
		return nil, fmt.Errorf("peercache: %w", err)
	}
	p.onlyHere = o.letsIn() == "" && !o.insecure
	p.server = httppeer.NewServer(cfg, p.Pool, self)
	p.close = p.server.Close
	ctx, stop := context.WithCancel(context.Background())
	p.stopWatch = stop
	if p.tls != nil {
		go p.tls.Watch(ctx, cfg.Log, func() {
			p.server.Recheck()
			p.transport.Renew(ctx)
		})
	}
	return p, nil
}

// Server returns an http.Server that serves the pool alone, with the timeouts that it needs, and
// with the certificates of a WithTLS: use ListenAndServe or Serve without that option, and
// ListenAndServeTLS or ServeTLS with it, whose files are "". Its errors go to the logger of
// WithPoolLogger, a few at a time. It bounds the connections of strangers (Limits) by its ConnContext
// and ConnState: who replaces these calls them. The caller may change it before it serves. Addr is
// empty.
func (p *HTTPPool) Server() *http.Server {
	return p.server.HTTPServer(p)
}

// BasePath returns the path under which the pool answers, for a mux:
//
//	mux.Handle(pool.BasePath(), pool)
func (p *HTTPPool) BasePath() string { return p.basePath }

// ServeHTTP answers the peers. Requests for paths outside BasePath get 404, and those that a
// browser may send for a page of somebody else get 403 (WithHosts). So do those that come from
// another machine, if the pool has a loopback address and no option that says whom it lets in.
func (p *HTTPPool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.onlyHere && fromOutside(r) {
		p.outside.Do(func() {
			p.log.Warn("a request from outside was refused: this process has a loopback address, and listens on others as well: "+
				"want WithSecrets, or another option that says whom it lets in, or a server that listens on that address alone", "address", r.RemoteAddr)
		})
		http.Error(w, "peercache: this process answers its own machine alone", http.StatusForbidden)
		return
	}
	p.server.ServeHTTP(w, r)
}

// fromOutside reports whether a request has come in at an address that other machines reach.
func fromOutside(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && !at.IP.IsLoopback()
}

// Set replaces the view, as that of a Pool does.
func (p *HTTPPool) Set(peers ...string) error {
	if p == nil {
		return errors.New("peercache: Set on a pool that NewHTTPPool did not make: want its error looked at")
	}
	return p.Pool.Set(peers...)
}

// Register implements PeerPicker. A pool has one group of a name.
func (p *HTTPPool) Register(g *Group) error {
	if p == nil {
		return errors.New("a pool that NewHTTPPool did not make")
	}
	return p.Pool.Register(g)
}

// Shutdown ends the pool's part in the cluster, as that of a Pool does, and closes its idle
// connections.
func (p *HTTPPool) Shutdown(ctx context.Context) error {
	err := p.Pool.Shutdown(ctx)
	if err == nil {
		p.stopWatch()
		p.transport.CloseIdle()
	}
	return err
}

// openWarning is what the log has of a pool that lets in everybody.
const openWarning = "whoever reaches this process can read, change and clear what is cached, because of WithInsecure"

// checkOpen returns an error if strangers can reach the pool at self, and nothing keeps them out,
// unless WithInsecure says that it is meant so. That is one warning.
func (o *poolOptions) checkOpen(self string) error {
	switch {
	case o.letsIn() != "" || peerurl.ReachOf(self) == peerurl.OneMachine:
		return nil
	case o.insecure:
		o.cluster.Log.Warn(openWarning, "self", self)
		return nil
	case o.compat:
		return fmt.Errorf("%s is no loopback address, so that whoever reaches it could read, change and clear what is cached, and golang/groupcache cannot prove who it is by WithSecrets or WithTLS: "+
			"want WithInsecure() beside WithGroupcacheCompat, in a network that lets in nobody else, or WithAuthenticator, behind a proxy that verifies the peers", self)
	}
	return fmt.Errorf("%s is no loopback address, so that whoever reaches it could read, change and clear what is cached: "+
		"want WithSecrets(secret) with one secret in all processes (openssl rand -base64 32), or WithTLS with a certificate for each, or WithAuthenticator behind a proxy that verifies the peers; "+
		"or WithInsecure(), in a network that lets in nobody else", self)
}

// httpConfig returns how the transport behaves.
func (o *poolOptions) httpConfig() httppeer.Config {
	cfg := httppeer.Config{
		BasePath: o.basePath, TLS: o.tls, Secrets: o.secrets, Authenticator: o.authenticator, Groupcache: o.compat, Log: o.cluster.Log, Audit: o.audit(), Detection: o.detection(),
		RoundTripper: o.roundTripper, PeerTimeout: o.peerTimeout, LargeRequests: o.largeRequests, Pace: o.cluster.Pace,
		Streams: o.streams, Stream: o.stream,
		Limits: o.limits.WithDefaults(), Connections: o.connections.WithDefaults(), Hosts: o.hosts, RequestBytes: o.requestBytes, AnswerBytes: o.answerBytes, RequestTimeout: o.requestTimeout,
	}
	cfg.Limits.Apply(&cfg.Stream)
	return cfg
}

// WithLimits bounds what connections and changes cost this process.
func WithLimits(l Limits) PoolOption {
	return func(o *poolOptions) error {
		c := httppeer.Connections{Unproven: l.Unproven, UnprovenTime: l.UnprovenTime, IdlePerPeer: l.IdlePerPeer, PlainRequests: l.PlainRequests}
		if err := c.WithDefaults().Check(); err != nil {
			return fmt.Errorf("WithLimits: %w", err)
		}
		if l.ChangesPerSecond < 0 {
			return fmt.Errorf("WithLimits: ChangesPerSecond: %d: want at least 1", l.ChangesPerSecond)
		}
		o.connections, o.cluster.ChangeRate = c, cmp.Or(l.ChangesPerSecond, defaultChangesPerSecond)
		return nil
	}
}

// Limits bound what connections and changes cost this process. A field that is zero has its default,
// which no fleet of up to 1,000 peers reaches. What streams cost is bounded by StreamLimits, bodies by
// WithRequestMemory, WithAnswerMemory and WithRequestTimeout.
type Limits struct {
	// Unproven bounds the connections on which nobody has proven to be a peer: 1,024. Beyond it, the
	// one of them is closed that has been there the longest: a peer proves itself at once. Without
	// WithSecrets, WithTLS and WithAuthenticator, whoever has the name of a peer counts as that peer.
	Unproven int
	// UnprovenTime is after how long such a connection is closed, 10 s. Requests on it that are being
	// answered are answered before.
	UnprovenTime time.Duration
	// IdlePerPeer bounds the idle connections of one peer, beside its streams: 256. One beyond it is
	// closed. These three concern the server that HTTPPool.Server returns; on other servers, Unproven
	// bounds requests for streams alone.
	IdlePerPeer int
	// PlainRequests bounds the requests by the plain way that are in progress: 8,192 for keys, and as
	// many with changes. One beyond it is refused with HTTP status 429, and a peer tries again a
	// little later.
	PlainRequests int
	// ChangesPerSecond bounds the changes that one peer sends for its Removes, Sets and Clears: 50,000.
	// Each 64 keys of one count as one more. Beyond it they wait, up to a second. Then they are
	// refused: the peer's Remove returns an error that says so, and this process logs it. Senders that
	// are not in the view share one such number, and do not wait.
	ChangesPerSecond int
}
