package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
)

// node is what a process of a service holds of the cache: the pool, which is
// its way to the peers, and a group.
type node struct {
	self  string
	tls   bool // between the peers
	pool  *peercache.HTTPPool
	group *peercache.Group
	log   *slog.Logger
}

// newNode is all that it takes to embed the cache. What remains is to serve the
// pool at self, and to tell it who the peers are: pool.Join, or without a
// discovery pool.Set.
func newNode(c config, name string, getter peercache.Getter, log *slog.Logger) (*node, error) {
	opts, err := c.letsIn()
	if err != nil {
		return nil, err
	}
	opts = append(opts, peercache.WithDetectionTime(c.detection), peercache.WithPoolLogger(log))
	if c.ownNothing {
		opts = append(opts, peercache.WithoutOwnership())
	}
	if c.discovery != nil {
		opts = append(opts, peercache.WithDiscovery(c.discovery))
	}
	pool, err := peercache.NewHTTPPool(c.self, opts...)
	if err != nil {
		return nil, err
	}
	groupOpts := []peercache.GroupOption{peercache.WithPeers(pool), peercache.WithLogger(log)}
	if c.consistent {
		groupOpts = append(groupOpts, peercache.WithConsistency())
	}
	group, err := peercache.NewGroup(name, c.cacheBytes, getter, groupOpts...)
	if err != nil {
		return nil, err
	}
	return &node{c.self, c.tls.on(), pool, group, log}, nil
}

// view returns the base URLs of all peers that this process knows, its own among
// them, in order.
func (n *node) view() []string {
	urls := []string{n.self}
	for _, peer := range n.pool.Peers() {
		urls = append(urls, peer.Name())
	}
	slices.Sort(urls)
	return urls
}

// shutdownTimeout is how long requests in progress may take when the process
// is to stop. It is more than a load may take (peercache.DefaultLoadTimeout).
const shutdownTimeout = 15 * time.Second

// joinTimeout is how long a process waits until it is among its peers. Then it
// gives up, to be started again by whoever starts it.
const joinTimeout = time.Minute

// join makes the process one of its peers. To be stopped meanwhile is no error.
func (n *node) join(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := n.pool.Join(waiting); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// warm waits until the process has been handed over what it owns, so that its first users
// do not wait for the origin.
func (n *node) warm(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := n.pool.Ready(waiting); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// serve answers the peers, and the users when the process has joined and is warm, until ctx
// ends.
// It closes the listeners. api is nil if there is nothing for users.
func (n *node) serve(ctx context.Context, join func(context.Context) error, peers, api net.Listener) error {
	peerServer, apiServer := n.pool.Server(), n.newServer(newAPI(n.group, n.view, n.log))
	servePeers := peerServer.Serve
	if n.tls {
		servePeers = func(l net.Listener) error { return peerServer.ServeTLS(l, "", "") } // with the pool's certificates
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return closed(servePeers(peers)) })
	g.Go(func() error {
		if err := join(ctx); err != nil || api == nil {
			return err
		}
		if err := n.warm(ctx); err != nil {
			return err
		}
		return closed(apiServer.Serve(api))
	})
	g.Go(func() error {
		<-ctx.Done()
		n.log.Info("stopping")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		// In this order: the users' requests need the pool to be answered, and
		// the peers' requests that the pool waits for need their server.
		return errors.Join(apiServer.Shutdown(ctx), n.pool.Shutdown(ctx), peerServer.Shutdown(ctx))
	})
	return g.Wait()
}

// newServer makes a server whose clients cannot hold on to it without end. An
// answer may take as long as a load and the transfer of the value.
func (n *node) newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    256 << 10, // the longest key, with each byte as %XX, and some
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelWarn),
	}
}

// closed returns the error of a server that has ended. To be shut down is none.
func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// The names of what a process prints about itself, a line each.
const (
	peerLine = "peer" // its base URL, for its peers
	apiLine  = "api"  // the URL of its API
)

// runNode is one process: it listens, prints where, learns who its peers are,
// and serves until ctx ends.
func runNode(ctx context.Context, c config, stdin io.Reader, stdout io.Writer, log *slog.Logger) error {
	peers, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("-port: %w", err)
	}
	defer peers.Close() // of no effect once it is served
	if c.self == "" {
		c.self = c.tls.scheme() + peers.Addr().String()
	}
	log = log.With("node", c.self)

	name, getter, closeOrigin, err := openOrigin(c)
	if err != nil {
		return err
	}
	defer closeOrigin()
	n, err := newNode(c, name, getter, log)
	if err != nil {
		return err
	}

	var api net.Listener
	if c.api != "" {
		if api, err = net.Listen("tcp", c.api); err != nil {
			return fmt.Errorf("-api: %w", err)
		}
		defer api.Close()
	}

	// From here on the listeners take connections, to be served when the peers
	// are known. Whoever reads these lines may use the addresses at once.
	fmt.Fprintln(stdout, peerLine, c.self)
	if api != nil {
		fmt.Fprintln(stdout, apiLine, apiURL(api.Addr()))
	}

	join := func(context.Context) error { return n.pool.Set(n.self) } // alone
	switch {
	case c.followPeers:
		if ctx, err = followPeers(ctx, stdin, n.pool.Set, log); err != nil {
			return err
		}
		join = func(context.Context) error { return nil }
	case c.discovery != nil:
		join = n.join
	}
	return n.serve(ctx, join, peers, api)
}

// followPeers reads a list of peers a line, and calls set with each. It returns
// when the first is set. The context it returns ends with ctx, and when r ends.
func followPeers(ctx context.Context, r io.Reader, set func(peers ...string) error, log *slog.Logger) (context.Context, error) {
	following, stop := context.WithCancel(ctx)
	first := make(chan error, 1)
	go func() {
		defer close(first)
		defer stop()
		lines := bufio.NewScanner(r)
		for n := 1; lines.Scan(); n++ {
			err := set(discovery.SplitList(lines.Text())...)
			if n == 1 {
				first <- err
			} else if err != nil {
				log.Warn("the peers stay what they were", "line", n, "err", err)
			}
		}
	}()
	select {
	case err := <-first:
		return following, err
	case <-ctx.Done():
		return following, nil // stopped before it began
	}
}

// apiURL returns the URL of the API that is served at addr, for use on the same
// machine.
func apiURL(addr net.Addr) string {
	host := addr.String()
	if a, ok := addr.(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		host = fmt.Sprintf("localhost:%d", a.Port)
	}
	return "http://" + host + "/api"
}
