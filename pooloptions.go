package peercache

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peertls"
)

// A PoolOption changes what NewHTTPPool makes. NewHTTPPool returns its error.
type PoolOption func(*poolOptions) error

// poolOptions are what the options of a pool have set.
type poolOptions struct {
	cluster       cluster.Config
	handoverGiven bool
	peerTimeout   time.Duration
	compat        bool // speak as golang/groupcache does
	events        *events
	allow         func(Access) error
	audits        *audit.Log // made by the method audit
	stream        stream.Config

	// What follows is of HTTP.

	http           []string // the names of the options that were given of it
	basePath       string
	largeRequests  int
	roundTripper   http.RoundTripper
	tls            *peertls.Source // see WithTLS; may be nil
	secrets        []httppeer.Secret
	authenticator  func(*http.Request) (string, error)
	insecure       bool // see WithInsecure
	streams        bool
	limits         httppeer.Limits
	connections    httppeer.Connections
	hosts          []string
	requestBytes   int64
	answerBytes    int64
	requestTimeout time.Duration
}

// readPoolOptions returns what the options set, and the defaults of the rest. The error says which
// is wrong, or which two of them contradict each other, in whatever order they were given.
func readPoolOptions(opts []PoolOption) (*poolOptions, error) {
	o := &poolOptions{
		cluster: cluster.Config{
			MaxPeers: DefaultMaxPeers, MaxUnproven: DefaultMaxUnproven, ViewChangeRate: DefaultViewChangeRate,
			ChangeRate: defaultChangesPerSecond, HandoverBytes: DefaultHandoverBytes, HandoverTime: DefaultHandoverTime,
			Pace: &breaker.Pace{Rate: DefaultReconnectRate},
			Log:  slog.New(slog.DiscardHandler),
		},
		largeRequests: DefaultMaxLargeRequests, streams: true,
		requestBytes: DefaultRequestMemory, answerBytes: DefaultAnswerMemory, requestTimeout: DefaultRequestTimeout,
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peercache: option %d is nil", i)
		}
		if err := opt(o); err != nil {
			return nil, fmt.Errorf("peercache: %w", err)
		}
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("peercache: %w", err)
	}
	o.events = new(events)
	o.cluster.Log = o.events.logger(o.cluster.Log)
	basePath := DefaultBasePath
	if o.compat {
		basePath = groupcacheBasePath
	}
	o.basePath = cmp.Or(o.basePath, basePath)
	if o.roundTripper == nil {
		t := DefaultTransport()
		if o.tls != nil {
			t.DialTLSContext = httppeer.DialTLS(o.tls, t.DialContext, t.TLSHandshakeTimeout)
		}
		o.roundTripper = t
	}
	return o, nil
}

// check returns an error if two options contradict each other.
func (o *poolOptions) check() error {
	if detect := o.detection(); o.peerTimeout > 0 && o.peerTimeout < detect {
		return fmt.Errorf("WithPeerTimeout(%v) is shorter than the detection time, %v, so that a slow load would look like a peer that is gone: want a longer one, or a shorter WithDetectionTime", o.peerTimeout, detect)
	}
	if !o.streams && o.stream.LargeValue > 0 {
		return errors.New("WithoutStream and WithLargeValue: want one of them: without streams, all values take the plain way")
	}
	if o.tls != nil && o.roundTripper != nil {
		return errors.New("WithTLS and WithTransport: want one of them: WithTLS makes the transport")
	}
	if len(o.secrets) > 0 && o.compat {
		return errors.New("WithSecrets and WithGroupcacheCompat: want one of them: golang/groupcache proves nothing")
	}
	if o.tls != nil && o.compat {
		return errors.New("WithTLS and WithGroupcacheCompat: want one of them: golang/groupcache does not say who asks")
	}
	if how := o.letsIn(); o.insecure && how != "" {
		return fmt.Errorf("WithInsecure and %s: want one of them: WithInsecure lets in everybody", how)
	}
	if o.compat && o.cluster.OwnsNothing {
		return errors.New("WithoutOwnership and WithGroupcacheCompat: want one of them: processes of golang/groupcache do not know of those that own nothing")
	}
	if o.compat && o.handoverGiven {
		return errors.New("WithGroupcacheCompat and WithHandover: want one of them: golang/groupcache takes nothing over")
	}
	return nil
}

// letsIn returns the name of the option by which the pool lets in peers alone, "" if there is none.
func (o *poolOptions) letsIn() string {
	switch {
	case o.tls != nil:
		return "WithTLS"
	case len(o.secrets) > 0:
		return "WithSecrets"
	case o.authenticator != nil:
		return "WithAuthenticator"
	}
	return ""
}

// detection is for how long a caller waits for a peer that is silent.
func (o *poolOptions) detection() time.Duration {
	return cmp.Or(o.stream.Detect, stream.DefaultDetect)
}

// ring returns what makes the ring of a view.
func (o *poolOptions) ring() func(names []string) (*consistenthash.Ring, error) {
	if o.compat {
		return func(names []string) (*consistenthash.Ring, error) {
			return consistenthash.NewGroupcache(groupcacheReplicas, names...)
		}
	}
	return func(names []string) (*consistenthash.Ring, error) {
		members := make([]consistenthash.Member, len(names))
		for i, name := range names {
			members[i].Name = name
		}
		return consistenthash.New(members...)
	}
}

// The defaults of WithHandover.
const (
	DefaultHandoverBytes = 256 << 20
	DefaultHandoverTime  = 10 * time.Second
)

// DefaultMaxUnproven is the default of WithMaxUnproven.
const DefaultMaxUnproven = 64

// DefaultViewChangeRate is the default of WithViewChangeRate, in changes a second.
const DefaultViewChangeRate = 10

// defaultChangesPerSecond is the default of Limits.ChangesPerSecond.
const defaultChangesPerSecond = 50_000

// longestClusterName is in bytes.
const longestClusterName = 255

// WithCluster names the cluster that this process belongs to: "shop-production". Peers of
// another name, or of none, are refused, with an error that says so, so that a list of peers
// with an address of another cluster in it does no harm. The name has 1 to 255 letters,
// digits, '-', '_', '.' or '~', the same in all processes. The default is no name.
func WithCluster(name string) PoolOption {
	return func(o *poolOptions) error {
		if name == "" || len(name) > longestClusterName || !plainSegment(name) {
			return fmt.Errorf("WithCluster(%.*q): want 1 to %d letters, digits, '-', '_', '.' or '~'", longestClusterName, name, longestClusterName)
		}
		o.cluster.Name = name
		return nil
	}
}

// WithDetectionTime sets how long a peer that owes an answer may be silent before the pool
// takes it for dead and its keys go to the next peer. After three tenths of that time the pool
// asks for a sign of life, by the plain way perhaps on a new connection; the rest must be
// enough for that to come. So a peer with a slow load is not silent. It is 1 ms to 1 hour; the
// default is 500 ms.
func WithDetectionTime(d time.Duration) PoolOption {
	return func(o *poolOptions) error {
		if d < time.Millisecond || d > mostDetection {
			return fmt.Errorf("WithDetectionTime(%v): want 1ms to %v", d, mostDetection)
		}
		o.stream.Detect = d
		return nil
	}
}

// mostDetection leaves room for its multiples: 1 hour is longer than any peer is silent
// that is alive.
const mostDetection = time.Hour

// WithHandover bounds how many bytes of values this process hands over to other peers after
// one change of the view, the most useful ones first, and for how long. A change is its own
// Shutdown, where all its values need a new owner, or a peer that comes. With 0 bytes the
// process offers nothing, but a new owner still asks for each key that it is asked for. The
// defaults are DefaultHandoverBytes and DefaultHandoverTime; math.MaxInt64 means no bound, for
// either.
func WithHandover(maxBytes int64, maxTime time.Duration) PoolOption {
	return func(o *poolOptions) error {
		if maxBytes < 0 || maxTime <= 0 {
			return fmt.Errorf("WithHandover(%d, %v): want at least 0 bytes, and a time of more than 0", maxBytes, maxTime)
		}
		o.cluster.HandoverBytes, o.cluster.HandoverTime, o.handoverGiven = maxBytes, maxTime, true
		return nil
	}
}

// WithViewChangeRate bounds how many times a second the view changes because peers say that
// they leave or are back. So many changes may come at once; more wait, and take effect
// together. The default is DefaultViewChangeRate. It does not bound Set and a discovery.
func WithViewChangeRate(perSecond int) PoolOption {
	return func(o *poolOptions) error {
		if perSecond < 1 {
			return fmt.Errorf("WithViewChangeRate(%d): want at least 1", perSecond)
		}
		o.cluster.ViewChangeRate = perSecond
		return nil
	}
}

// WithMaxUnproven bounds how many unproven requests for changes may wait at the same time: those
// whose senders have not proven to be the peers that they name. Such a request waits for that
// peer to confirm it, for holders of copies, or for offered values. Further ones are answered
// without waiting, and drop values in this process alone. As a rule only new processes and
// earlier versions send unproven requests. The default is DefaultMaxUnproven.
func WithMaxUnproven(n int) PoolOption {
	return func(o *poolOptions) error {
		if n < 1 {
			return fmt.Errorf("WithMaxUnproven(%d): want at least 1", n)
		}
		o.cluster.MaxUnproven = n
		return nil
	}
}

const (
	// DefaultMaxPeers is the default of WithMaxPeers.
	DefaultMaxPeers = 4096

	mostMaxPeers = 1<<16 - 1 // that a ring can have
)

// WithMaxPeers bounds the views of a pool to n processes, this one among them, from 1 to
// 65,535. Set fails if there are more. If a discovery gives more, the last view stands, with
// one warning. Each peer costs a connection and, while it cannot be reached, a goroutine
// that tries. The default is DefaultMaxPeers.
func WithMaxPeers(n int) PoolOption {
	return func(o *poolOptions) error {
		if n < 1 || n > mostMaxPeers {
			return fmt.Errorf("WithMaxPeers(%d): want 1 to %d", n, mostMaxPeers)
		}
		o.cluster.MaxPeers = n
		return nil
	}
}

// WithPeerFilter makes the pool accept only those peers for whose base URL allow returns nil.
// It is called before anything is sent to them, and not for this process. A peer of a
// discovery that allow refuses is left out of the view, with a warning; with one, Set fails.
// If there are several filters, all must allow a peer. allow must not block, and may be
// called concurrently. A panic is a refusal.
//
// Use a filter if others than your own processes can write what the discovery reads.
// FilterNetworks and FilterPorts make filters.
func WithPeerFilter(allow func(url string) error) PoolOption {
	return func(o *poolOptions) error {
		if allow == nil {
			return errors.New("WithPeerFilter(nil): want a func, such as FilterPorts(8001), or leave the option out")
		}
		o.cluster.Filters = append(o.cluster.Filters, allow)
		return nil
	}
}

// FilterNetworks returns a filter for WithPeerFilter that allows the peers whose host is an
// IP address in one of the networks, and no names.
func FilterNetworks(networks ...netip.Prefix) func(url string) error {
	return func(name string) error {
		u, err := url.Parse(name)
		if err != nil {
			return err
		}
		addr, err := netip.ParseAddr(u.Hostname())
		if err != nil {
			return fmt.Errorf("want an address in %v, not a name", networks)
		}
		if !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr.Unmap()) }) {
			return fmt.Errorf("want an address in %v", networks)
		}
		return nil
	}
}

// FilterPorts returns a filter for WithPeerFilter that allows the peers at these ports. A
// URL without one has the port of its scheme, 80 or 443.
func FilterPorts(ports ...uint16) func(url string) error {
	return func(name string) error {
		u, err := url.Parse(name)
		if err != nil {
			return err
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || !slices.Contains(ports, uint16(n)) {
			return fmt.Errorf("want one of the ports %v", ports)
		}
		return nil
	}
}

// DefaultReconnectRate is the default of WithReconnectRate, in attempts a second.
const DefaultReconnectRate = 64

// WithReconnectRate bounds the attempts per second to reach peers that are away, of all such
// peers together: at least 1. The default is DefaultReconnectRate. If at most three quarters
// as many peers are away, each is tried at least once a second. With more of them it takes
// longer until a peer that is back is asked again, unless it tells of its view itself, as a
// process that starts does. The first two attempts after a failure are not held back.
func WithReconnectRate(perSecond int) PoolOption {
	return func(o *poolOptions) error {
		if perSecond < 1 {
			return fmt.Errorf("WithReconnectRate(%d): want at least 1", perSecond)
		}
		o.cluster.Pace.Rate = int64(perSecond)
		return nil
	}
}

// WithDiscovery makes the pool get its views from d in place of Set, from Join on. Until then the
// process is alone. A Discovery is for one pool.
func WithDiscovery(d discovery.Discovery) PoolOption {
	return func(o *poolOptions) error {
		if d == nil {
			return errors.New("WithDiscovery(nil): want a Discovery, or leave the option out and use Set")
		}
		if o.cluster.Discovery != nil {
			return errors.New("WithDiscovery twice: want one Discovery")
		}
		o.cluster.Discovery = d
		return nil
	}
}

// WithPoolLogger makes the pool log, at level
//
//   - error: the discovery has failed; the view could not follow a peer that left or is back;
//   - warn: "the configuration is wrong", with each ConfigError, also a MissingGroup; what works
//     worse than it should, such as a peer without a stream, a server that ends requests before
//     they are answered, a process that does not reach its own address, or a transport that is
//     not good for peers; the breaker of a peer has opened, and why; what is wrong with the views
//     of the discovery, and which members are left out; a loopback address in the list of Set
//     that other machines cannot reach; not all values were handed over to their new owners; a
//     snapshot could not be written; a connection or a request was refused, and whose it was;
//   - info: the process is ready; its registration is valid again; a peer leaves, a group is
//     cleared, the view has changed, and because of whom; values were handed over; a breaker has
//     closed after a warning that it opened; a breaker has opened because of a wrong configuration,
//     which has a warning of its own;
//   - debug: the breaker of a peer that leaves, or has not answered since it came into the view.
//     If such a new peer does not answer within ten seconds, that is a warning.
//
// Refusals, peers that leave, Clears and changes of the view have an attribute "event": see
// docs/security.md. A wrong configuration of one kind at one address is at most one warning in ten
// minutes, and so is what works worse than it should. What concerns a single group goes to WithLogger. By
// default, and with nil, the pool logs nothing. The handler may be called with locks held: it
// must not use the pool or its groups.
func WithPoolLogger(l *slog.Logger) PoolOption {
	return func(o *poolOptions) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		o.cluster.Log = guard(l, new(atomic.Int64))
		return nil
	}
}
