// Command interop is one process of a fleet in which golang/groupcache and
// peercache work together. It runs the real module of either:
//
//	go run ./interop -kind groupcache -self http://127.0.0.1:8001 -peers http://127.0.0.1:8001,http://127.0.0.1:8002 &
//	go run ./interop -kind peercache  -self http://127.0.0.1:8002 -peers http://127.0.0.1:8001,http://127.0.0.1:8002 &
//	curl 'http://127.0.0.1:8001/node/get?key=Tom'
//
// Its tests run fleets of such processes. See also docs/groupcache.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"
)

const (
	groupName  = "interop"
	cacheBytes = 64 << 20
	// basePath is where both kinds answer their peers.
	basePath = "/_groupcache/"
)

// A node is a process's part in the fleet, of either kind.
type node interface {
	// peers answers the peers' requests.
	peers() http.Handler
	// get asks the group, as the program around it would.
	get(ctx context.Context, key string) ([]byte, error)
	// remove drops a key everywhere.
	remove(ctx context.Context, key string) error
	// owner returns the URL of the peer that this process takes for the owner.
	owner(key string) string
	// shutdown leaves the fleet.
	shutdown(ctx context.Context) error
}

// A config is what the command line says.
type config struct {
	kind   string
	self   string
	peers  []string
	mux    bool // the pool is mounted on an http.ServeMux
	fd     int  // of an open listener, or -1
	leaves bool // when standard input ends
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.leaves {
		var leave context.CancelFunc
		ctx, leave = context.WithCancel(ctx)
		go func() {
			io.Copy(io.Discard, os.Stdin)
			leave()
		}()
	}
	o := new(origin)
	var n node
	switch c.kind {
	case "peercache":
		n, err = newPeercache(c, o)
	case "groupcache":
		n, err = newGroupcache(c, o)
	default:
		err = fmt.Errorf("-kind %q: want peercache or groupcache", c.kind)
	}
	if err != nil {
		return err
	}
	return serve(ctx, c, n, o)
}

func parse(args []string) (config, error) {
	var c config
	var peers string
	flags := flag.NewFlagSet("interop", flag.ContinueOnError)
	flags.StringVar(&c.kind, "kind", "peercache", "peercache or groupcache")
	flags.StringVar(&c.self, "self", "http://127.0.0.1:8001", "base `URL` of this process")
	flags.StringVar(&peers, "peers", "", "base `URLs` of all processes, with commas between (default: self alone)")
	flags.BoolVar(&c.mux, "mux", true, "mount the pool on an http.ServeMux, as groupcache.NewHTTPPool does")
	flags.IntVar(&c.fd, "fd", -1, "`number` of an inherited file that listens, instead of a listener at self")
	flags.BoolVar(&c.leaves, "until-eof", false, "end when standard input does")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if c.peers = strings.Split(peers, ","); peers == "" {
		c.peers = []string{c.self}
	}
	return c, nil
}

// listen returns what the peers reach this process at.
func (c config) listen() (net.Listener, error) {
	if c.fd >= 0 {
		f := os.NewFile(uintptr(c.fd), "listener")
		defer f.Close()
		return net.FileListener(f)
	}
	u, err := url.Parse(c.self)
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", u.Host)
}

// serve answers until ctx ends.
func serve(ctx context.Context, c config, n node, o *origin) error {
	listener, err := c.listen()
	if err != nil {
		return err
	}
	questions, peers := questionsOf(n, o), n.peers()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, questionPath) {
			questions.ServeHTTP(w, r)
			return
		}
		peers.ServeHTTP(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(n.shutdown(ctx), server.Close())
}
