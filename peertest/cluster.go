package peertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
)

// node is a process of a cluster over the transport that is tested.
type node struct {
	name  string
	pool  *peercache.Pool
	group *peercache.Group
	kill  func()
	out   *outbound
	spy   *spy
	dead  atomic.Bool
}

// origin is what the getters of all nodes read: a version of each key.
type origin struct {
	load func(ctx context.Context, key string) (peercache.Item, error) // nil: the version

	mu       sync.Mutex
	versions map[string]int // guarded by mu
	loads    map[string]int // guarded by mu; how often each key was loaded
}

func newOrigin() *origin { return &origin{versions: make(map[string]int), loads: make(map[string]int)} }

// Get implements peercache.Getter.
func (o *origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	o.mu.Lock()
	o.loads[key]++
	v, load := o.versions[key], o.load
	o.mu.Unlock()
	if load != nil {
		return load(ctx, key)
	}
	return version(v), nil
}

// next gives key another value, and returns its version.
func (o *origin) next(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key]++
	return o.versions[key]
}

// count returns how often key was loaded.
func (o *origin) count(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loads[key]
}

func version(v int) peercache.Item { return peercache.Item{Value: []byte(strconv.Itoa(v))} }

// shortStandIn is as short as a WithStandIn can be. It is for checks that wait until a view is
// settled. A load that takes as long is joined by nobody, so where a check counts loads, a busy
// machine would make it fail.
const shortStandIn = time.Second

// newNode starts a process at an address, which knows of no other yet.
func newNode(t testing.TB, h Harness, address string, o *origin, opts ...peercache.PoolOption) *node {
	t.Helper()
	n := unservedNode(t, h, address, o, opts...)
	n.serve(t, h)
	return n
}

func (n *node) serve(t testing.TB, h Harness) {
	n.spy = &spy{Process: n.pool}
	kill := h.Serve(t, n.name, n.spy)
	n.kill = sync.OnceFunc(kill)
}

func unservedNode(t testing.TB, h Harness, address string, o *origin, opts ...peercache.PoolOption) *node {
	t.Helper()
	n := &node{name: address, out: &outbound{Transport: h.Transport(t, address)}}
	var err error
	opts = append(append([]peercache.PoolOption{peercache.WithDetectionTime(h.detection())}, h.Pool...), opts...)
	if n.pool, err = peercache.NewPool(address, n.out, opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !n.dead.Load() {
			n.shutdown(t)
		}
	})
	n.group, err = peercache.NewGroup("peertest", 8<<20, o, peercache.WithPeers(n.pool), peercache.WithLease(time.Second), peercache.WithStandIn(cmp.Or(h.standIn, peercache.DefaultStandIn)),
		peercache.WithMaxValueBytes(4<<20), peercache.WithNegativeTTL(time.Minute), peercache.WithContextCodec(codec))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// shutdown ends the part of the process in the cluster, as it should end.
func (n *node) shutdown(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.pool.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown of %s: %v", n.name, err)
	}
	n.dead.Store(true)
}

// crash ends the process without a word.
func (n *node) crash() {
	n.out.cut.Store(true)
	n.dead.Store(true)
	n.kill()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n.pool.Shutdown(ctx) // what it says reaches nobody
}

// newNodes starts processes that have long known each other.
func newNodes(t testing.TB, h Harness, size int, o *origin) []*node {
	t.Helper()
	nodes := make([]*node, size)
	for i := range nodes {
		nodes[i] = newNode(t, h, h.Address(t), o)
	}
	introduce(t, nodes...)
	for _, n := range nodes {
		if err := n.pool.Ready(within(t)); err != nil {
			t.Fatalf("Ready of %s: %v", n.name, err)
		}
	}
	return nodes
}

// introduce gives all nodes the view of these.
func introduce(t testing.TB, nodes ...*node) {
	t.Helper()
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	for _, n := range nodes {
		if err := n.pool.Set(names...); err != nil {
			t.Fatalf("Set at %s: %v", n.name, err)
		}
	}
}

// ownedBy returns a key that belongs to owner in the eyes of n.
func (n *node) ownedBy(t testing.TB, owner *node, prefix string) string {
	t.Helper()
	for i := range 10000 {
		key := prefix + strconv.Itoa(i)
		if p := n.pool.Pick(key, 0); p == nil && owner == n || p != nil && p.Name() == owner.name {
			return key
		}
	}
	t.Fatalf("no key of 10,000 belongs to %s", owner.name)
	return ""
}

// spy counts what a process is asked.
type spy struct {
	peer.Process
	loads, keys, changes atomic.Int64
	largest              atomic.Int64 // bytes of keys in a Change
}

func (s *spy) Accept(from peer.Identity, to string) (peer.Handler, error) {
	h, err := s.Process.Accept(from, to)
	if err != nil {
		return nil, err
	}
	return &spied{h, s}, nil
}

type spied struct {
	peer.Handler
	spy *spy
}

func (s *spied) Load(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	s.spy.loads.Add(1)
	s.spy.keys.Add(1)
	return s.Handler.Load(ctx, q)
}

func (s *spied) LoadBatch(ctx context.Context, q *peer.Query, keys []string, answer func(int, peer.Answer, error)) {
	s.spy.loads.Add(1)
	s.spy.keys.Add(int64(len(keys)))
	s.Handler.LoadBatch(ctx, q, keys, answer)
}

func (s *spied) Change(ctx context.Context, c *peer.Change) (peer.Changed, error) {
	size := 0
	for _, key := range c.Keys {
		size += len(key)
	}
	s.spy.changes.Add(1)
	for old := s.spy.largest.Load(); int64(size) > old && !s.spy.largest.CompareAndSwap(old, int64(size)); old = s.spy.largest.Load() {
	}
	return s.Handler.Change(ctx, c)
}

// outbound is what a process asks others by. Once it is cut, nothing gets out.
type outbound struct {
	peer.Transport
	cut atomic.Bool
}

// Stateless implements peer.Stateless.
func (o *outbound) Stateless() bool {
	s, ok := o.Transport.(peer.Stateless)
	return ok && s.Stateless()
}

func (o *outbound) Dial(l peer.Local, name string) peer.Conn {
	c := &outConn{o.Transport.Dial(l, name), o, name}
	if s, ok := c.Conn.(peer.Starter); ok {
		return &outStarter{c, s}
	}
	return c
}

type outConn struct {
	peer.Conn
	of   *outbound
	name string
}

// err returns why nothing gets out.
func (c *outConn) err() error {
	if c.of.cut.Load() {
		return &peer.PeerError{Peer: c.name, Err: errors.New("this process has ended")}
	}
	return nil
}

func (c *outConn) Get(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	if err := c.err(); err != nil {
		return peer.Answer{}, err
	}
	return c.Conn.Get(ctx, q)
}

func (c *outConn) Change(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	if err := c.err(); err != nil {
		return peer.Changed{}, err
	}
	return c.Conn.Change(ctx, ch)
}

type outStarter struct {
	*outConn
	starter peer.Starter
}

func (s *outStarter) Connect(ctx context.Context) { s.starter.Connect(ctx) }
func (s *outStarter) Full() bool                  { return s.starter.Full() }

func (s *outStarter) Start(r *peer.Request) (int, peer.Sent, bool) {
	if s.err() != nil {
		return 0, peer.Sent{}, false
	}
	return s.starter.Start(r)
}

func (s *outStarter) GetLarge(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	if err := s.err(); err != nil {
		return peer.Answer{}, err
	}
	return s.starter.GetLarge(ctx, q)
}

// tenant is what travels of the contexts of callers.
type tenant struct{}

var codec = peercache.ContextCodec{
	Encode: func(ctx context.Context) []byte {
		name, _ := ctx.Value(tenant{}).(string)
		return []byte(name)
	},
	Decode: func(ctx context.Context, b []byte) context.Context {
		return context.WithValue(ctx, tenant{}, string(b))
	},
}

// versionAt returns the version of key that a Get at n sees.
func (n *node) versionAt(ctx context.Context, key string) (int, error) {
	view, err := n.group.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(view.String())
	if err != nil {
		return 0, fmt.Errorf("the value %.40q of %q is no version", view, key)
	}
	return v, nil
}
