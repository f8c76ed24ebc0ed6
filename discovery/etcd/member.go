package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery"
)

// member is this process's part in the cluster: its registration and its view.
// The goroutine of Run uses it alone.
type member struct {
	*Discovery
	client *clientv3.Client // nil until it could be made
	self   string
	key    string
	report func(discovery.View)
	outage *outage

	// leases are those that the key may hang on: that of the last session that
	// registered, and those of the attempts since.
	leases []clientv3.LeaseID

	present bool // this session has registered, and read the whole view
	roster  roster
	seen    *discovery.View // the last that was reported
}

func newMember(d *Discovery, self string, report func(discovery.View)) *member {
	name, _ := discovery.SplitPeer(self) // it has one key, whether it owns anything or not
	return &member{
		Discovery: d,
		self:      self,
		key:       d.prefix + name,
		report:    report,
		outage:    &outage{log: d.log, bad: "not registered", good: "registered", ttl: d.ttl},
	}
}

// session registers this process, reads who is there, and follows the changes, for
// as long as the registration holds. Its error says why it does not.
//
// Each session has a lease of its own. If that of the session before is alive all
// the same, the key passes over to the new one and is never gone in between.
func (m *member) session(ctx context.Context) error {
	if err := m.dial(ctx); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	l, err := m.grant(ctx, end)
	if err != nil {
		end(nil)
		return err
	}
	var keeping sync.WaitGroup
	keeping.Go(func() { end(l.keep(ctx, m.client, m.log)) })
	defer func() {
		end(nil)
		keeping.Wait()
		l.lapse.Stop()
	}()

	if err := m.put(ctx, l); err != nil {
		return err
	}
	return m.follow(ctx, l)
}

// dial sees to it that there is a client, and that it does not sit out a pause
// before it connects again, which may be of minutes.
func (m *member) dial(ctx context.Context) (err error) {
	if m.client == nil {
		m.client, err = m.connect(ctx)
		return err
	}
	m.client.ActiveConnection().ResetConnectBackoff()
	return nil
}

// grant gets a lease, and records it.
func (m *member) grant(ctx context.Context, end context.CancelCauseFunc) (*lease, error) {
	asking, cancel := context.WithTimeout(ctx, m.ttl/3)
	defer cancel()
	l, err := grant(asking, pb.NewLeaseClient(m.client.ActiveConnection()), m.ttl, end)
	if err != nil {
		return nil, fmt.Errorf("get a lease: %w", err)
	}
	m.leases = append(m.leases, l.id)
	return l, nil
}

// put registers this process.
func (m *member) put(ctx context.Context, l *lease) error {
	ctx, cancel := context.WithTimeout(ctx, m.ttl/3)
	defer cancel()
	if _, err := m.client.Put(ctx, m.key, m.self, clientv3.WithLease(l.id)); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

// tell reports the view, if it is another than the last.
func (m *member) tell(lapsed bool) {
	view := discovery.View{Peers: m.roster.peers(), Lapsed: lapsed}
	if m.seen != nil && m.seen.Lapsed == lapsed && slices.Equal(m.seen.Peers, view.Peers) {
		return
	}
	m.seen = &view
	m.report(discovery.View{Peers: slices.Clone(view.Peers), Lapsed: lapsed})
}

// leave withdraws the registration, in a time of its own: ctx has ended.
func (m *member) leave(ctx context.Context) {
	if m.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	for _, id := range m.leases {
		if _, err := m.client.Revoke(ctx, id); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			m.log.Warn("discovery/etcd: not withdrawn, the lease has to run out", "err", err)
		}
	}
	if m.own {
		m.client.Close()
	}
}
