package gossip

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/peercache/peercache/discovery"
)

// members are the living members, as memberlist's events tell of them. The list
// that memberlist itself gives out shares memory that it goes on writing to.
type members struct {
	self string
	most int          // see WithMaxMembers
	log  *slog.Logger // where it is said that there are more

	// changed holds a token when living changed after the last view was taken.
	changed chan struct{}

	mu     sync.Mutex
	living map[string]member // by name
	full   bool              // there were more than most, and that was said
}

type member struct {
	url  string // as the member wrote it: any bytes
	addr string // of its gossip
}

func newMembers(self string) *members {
	return &members{self: self, changed: make(chan struct{}, 1), living: make(map[string]member), most: DefaultMaxMembers, log: slog.New(slog.DiscardHandler)}
}

// errFull refuses a member. memberlist logs it each time, see lines.
var errFull = errors.New("there are as many members as WithMaxMembers allows")

// NotifyAlive implements memberlist.AliveDelegate: it refuses members that are too many.
func (m *members) NotifyAlive(n *memberlist.Node) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.living[n.Name]; known || len(m.living) < m.most {
		return nil
	}
	if !m.full {
		m.full = true
		m.log.Warn("gossip: further members are ignored: want a key, if they are strangers, or a larger WithMaxMembers", "members", len(m.living))
	}
	return errFull
}

// NotifyJoin implements memberlist.EventDelegate. The node is memberlist's, and
// not to be kept.
func (m *members) NotifyJoin(n *memberlist.Node) {
	m.change(func() { m.living[n.Name] = member{url: string(n.Meta), addr: n.Address()} })
}

// NotifyUpdate implements memberlist.EventDelegate.
func (m *members) NotifyUpdate(n *memberlist.Node) { m.NotifyJoin(n) }

// NotifyLeave implements memberlist.EventDelegate: the node left or is dead.
func (m *members) NotifyLeave(n *memberlist.Node) {
	m.change(func() {
		delete(m.living, n.Name)
		m.full = m.full && len(m.living) >= m.most/2
	})
}

func (m *members) change(f func()) {
	m.mu.Lock()
	f()
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// view returns the base URLs of the living members, this process among them,
// each once and in order. Two members may carry the same: a process that came
// back under another name, and its former self that is not yet known to be dead.
func (m *members) view() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	urls := map[string]bool{m.self: true}
	for _, member := range m.living {
		urls[member.url] = true
	}
	return slices.Sorted(maps.Keys(urls))
}

// at returns at which addresses there are living members.
func (m *members) at() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	addrs := make(map[string]bool, len(m.living))
	for _, member := range m.living {
		addrs[member.addr] = true
	}
	return addrs
}

// alone reports whether there is no other member.
func (m *members) alone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.living) < 2
}

// follow reports the view, and each that differs from the one before, until ctx
// ends. Changes that come together are one view.
func (m *members) follow(ctx context.Context, report func(discovery.View)) {
	var last []string
	for {
		// The token is taken before the view, so that a change in between is
		// seen twice rather than not at all.
		select {
		case <-m.changed:
		default:
		}
		if view := m.view(); !slices.Equal(view, last) {
			last = view
			report(discovery.View{Peers: slices.Clone(view)})
		}
		select {
		case <-m.changed:
		case <-ctx.Done():
			return
		}
		wait(ctx, nil, settle)
	}
}
