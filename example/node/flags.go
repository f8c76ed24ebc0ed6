package node

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
)

// config is what the flags say.
type config struct {
	oneNode bool  // be one process, rather than start several
	ports   []int // of the processes to start

	listen      string   // where this process answers its peers
	self        string   // its base URL; "": http:// or https://, and where it listens
	peers       []string // the base URLs of all processes; nil: this one alone
	followPeers bool     // lists of peers come from standard input

	// open makes the discovery of a Source; nil if that is not asked for.
	open      func(*slog.Logger) (discovery.Discovery, error)
	discovery discovery.Discovery // nil without peers, and with followPeers

	api         string // where the API is served; "": nowhere
	dir         string // "": the scores
	originDelay time.Duration
	detection   time.Duration
	cacheBytes  int64
	consistent  bool   // see peercache.WithConsistency
	ownNothing  bool   // see peercache.WithoutOwnership
	secret      string // what all processes have in common; "": nothing
	tls         tlsFiles
	logLevel    slog.Level
}

const usage = `A service that embeds peercache.

  example                                             three processes and the API
  example -port 8001 -peers URL,URL,URL [-api :9999]  one process
  example -port 8001 -discovery file -peers-file PATH [-self URL] [-api :9999]
  example -tls-cert FILE -tls-key FILE -tls-ca FILE … any of them, with TLS both ways between the processes

Flags:
`

// defaultAPI is where the front end of the three processes is served.
const defaultAPI = "127.0.0.1:9999"

// secretVariable names where the secret of the cluster comes from: everybody on the machine can read
// what the flags of a process are.
const secretVariable = "PEERCACHE_SECRET"

// parseFlags returns what args say, or an error that says what is wrong with
// them. If they ask for help it writes that to out and returns flag.ErrHelp.
func parseFlags(args []string, out io.Writer, sources []Source) (config, error) {
	var c config
	var peers, ports, kind string
	var port int
	f := flag.NewFlagSet("example", flag.ContinueOnError)
	f.IntVar(&port, "port", 0, "be one process, and answer its peers on this `port`; 0 picks a free one")
	f.StringVar(&peers, "peers", "", "base `URLs` of all processes, this one among them, with commas between;\n"+
		"or - to read such lists from standard input, a line each, and stop when it ends")
	f.StringVar(&kind, "discovery", static, "`how` to find the peers: "+strings.Join(sourceNames(sources), ", "))
	f.StringVar(&c.self, "self", "", "base `URL` of this process, as its peers write it (default http://127.0.0.1:PORT);\n"+
		"if it is given, this process listens for other machines, so it takes certificates, or a secret\n"+
		"that all processes have, from "+secretVariable+" in the environment")
	f.StringVar(&c.api, "api", "", "`address` of the API, such as :9999 (default "+defaultAPI+" without -port, else none)")
	f.StringVar(&ports, "nodes", "8001,8002,8003", "without -port: the `ports` of the processes to start; 0 picks a free one")
	f.StringVar(&c.dir, "dir", "", "serve the files of this `directory`, not the scores; a key is a relative path,\n"+
		"and what changes in a file that is cached is seen after DELETE /api?key=PATH")
	f.DurationVar(&c.originDelay, "origin-delay", 0, "make every load take so much longer, such as 300ms")
	f.DurationVar(&c.detection, "detection-time", 500*time.Millisecond, "for how long a peer may be silent until it is taken for dead")
	f.Int64Var(&c.cacheBytes, "cache-bytes", 64<<20, "the most `bytes` that the cache of one process takes")
	f.BoolVar(&c.consistent, "consistent", false, "-discovery: while this process may have been replaced, answer from the origin, past the cache")
	f.BoolVar(&c.ownNothing, "own-nothing", false, "be a process that asks and owns no keys; -peers have it as URL#owns=nothing, in all processes")
	f.TextVar(&c.logLevel, "log-level", slog.LevelDebug, "`level` of the log: DEBUG shows where each answer comes from; INFO, WARN, ERROR")
	c.tls.define(f)
	defined := defineFlags(f, sources)

	f.SetOutput(io.Discard) // an error is the caller's to print
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			io.WriteString(out, usage)
			f.SetOutput(out)
			f.PrintDefaults()
		}
		return c, err
	}
	c.secret = os.Getenv(secretVariable)
	given := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	c.oneNode = given["port"]

	if f.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q: want only flags", f.Arg(0))
	}
	err := cmp.Or(c.checkMode(given), c.checkOrigin(), c.tls.check())
	if err != nil {
		return c, err
	}
	if c.open, err = choose(kind, defined, given); err != nil {
		return c, err
	}
	if c.consistent && c.open == nil {
		return c, errors.New("-consistent is for a -discovery that notices when this process may have been replaced: want one, not " + static)
	}
	if c.api == "" && !c.oneNode {
		c.api = defaultAPI
	}
	if err := checkAddress(c.api); err != nil {
		return c, err
	}
	if c.oneNode {
		return c, c.setPeers(port, peers)
	}
	return c, c.setPorts(ports)
}

// checkMode returns an error if flags for one process are given together with
// those for several.
func (c *config) checkMode(given map[string]bool) error {
	switch {
	case c.oneNode && given["nodes"]:
		return errors.New("-nodes starts processes, and -port is one: want one of the two")
	case !c.oneNode && (given["peers"] || given["self"] || given["discovery"] || given["own-nothing"]):
		return errors.New("-peers, -self, -discovery and -own-nothing are for one process: want -port as well, or none of them to start three")
	}
	return nil
}

// openDiscovery makes the discovery that the flags ask for.
func (c *config) openDiscovery(log *slog.Logger) (err error) {
	switch {
	case c.open != nil:
		c.discovery, err = c.open(log)
	case c.peers != nil:
		c.discovery, err = discovery.Static(c.peers...)
	}
	return err
}

func (c *config) checkOrigin() error {
	if c.originDelay < 0 {
		return fmt.Errorf("-origin-delay %v: want 0 or more", c.originDelay)
	}
	if c.cacheBytes <= 0 {
		return fmt.Errorf("-cache-bytes %d: want more than 0", c.cacheBytes)
	}
	if c.dir == "" {
		return nil
	}
	info, err := os.Stat(c.dir)
	if err == nil && !info.IsDir() {
		err = errors.New("want a directory")
	}
	if err != nil {
		return fmt.Errorf("-dir %s: %w", c.dir, err)
	}
	return nil
}

// checkAddress returns an error if the API cannot be at addr.
func checkAddress(addr string) error {
	if addr == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("-api %q: %w: want host:port, or :port for all interfaces, such as :9999", addr, err)
	}
	return nil
}

// setPorts reads the ports of the processes to start.
func (c *config) setPorts(list string) error {
	seen := make(map[int]bool)
	for s := range strings.SplitSeq(list, ",") {
		port, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
		if err != nil {
			return fmt.Errorf("-nodes %q: want ports with commas between, each 0 to 65535", list)
		}
		if port != 0 && seen[int(port)] {
			return fmt.Errorf("-nodes %q: port %d stands there twice", list, port)
		}
		seen[int(port)] = true
		c.ports = append(c.ports, int(port))
	}
	return nil
}

// setPeers works out where one process listens and who its peers are.
func (c *config) setPeers(port int, list string) error {
	if port < 0 || port > 65535 {
		return fmt.Errorf("-port %d: want 1 to 65535, or 0 to pick a free one", port)
	}
	c.followPeers = list == "-"
	if list != "" && !c.followPeers {
		c.peers = discovery.SplitList(list)
	}
	if port == 0 && (c.self != "" || c.peers != nil) {
		return errors.New("-port 0 picks a port that -self and -peers cannot know: want -port 1 to 65535")
	}
	c.listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if c.self != "" {
		c.listen = net.JoinHostPort("", strconv.Itoa(port))
	}
	if c.self != "" && c.secret == "" && !c.tls.on() {
		return errors.New("-self lets other machines in: want a secret in the environment, as " + secretVariable +
			", the same for all processes, such as that of: openssl rand -base64 32; or -tls-cert")
	}
	if port == 0 {
		return nil
	}

	// The pool knows best what it takes. This one is served to nobody.
	letsIn := peercache.WithInsecure()
	if c.secret != "" {
		letsIn = peercache.WithSecrets(c.secret)
	}
	self := cmp.Or(c.self, c.tls.scheme()+c.listen)
	opts := []peercache.PoolOption{letsIn}
	if c.ownNothing {
		opts = append(opts, peercache.WithoutOwnership())
	}
	pool, err := peercache.NewHTTPPool(self, opts...)
	if err != nil {
		return fmt.Errorf("-self: %w", err)
	}
	if c.peers != nil {
		if err := pool.Set(c.peers...); err != nil {
			return fmt.Errorf("-peers: %w (-self says how the others write this process)", err)
		}
	}
	return c.tls.checkURLs(append([]string{self}, c.peers...))
}

// letsIn returns the options that say who may ask this process: those who have its secret, a
// certificate of its CAs, or both. Without either, on the loopback interface, everybody may.
func (c *config) letsIn() (opts []peercache.PoolOption, err error) {
	if c.secret != "" {
		opts = append(opts, peercache.WithSecrets(c.secret))
	}
	if c.tls.on() {
		source, err := c.tls.open()
		if err != nil {
			return nil, err
		}
		opts = append(opts, peercache.WithTLS(source))
	}
	return opts, nil
}
