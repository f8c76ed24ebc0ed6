package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/cmd/peercached/internal/route"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/origin"
	"github.com/peercache/peercache/peertls"
	"github.com/peercache/peercache/rpc"
)

// membership is this node among the nodes of one cluster: a pool, and a group for each of the
// configuration, in its order.
type membership struct {
	config.Member
	pool   *peercache.HTTPPool
	log    *slog.Logger
	tls    *peertls.Source // may be nil
	groups []*peercache.Group
	server *http.Server // answers the peers; set by run
}

// sourceBytes is what a group may take that is only asked to fill another one. It keeps nothing.
const sourceBytes = 64 << 10

// newMembership makes the pool of a member.
func (n *node) newMembership(m config.Member) (*membership, error) {
	opts, err := n.cfg.PoolOptions(&m)
	if err != nil {
		return nil, err
	}
	one := &membership{Member: m, log: n.log}
	if len(n.cfg.Clusters) > 0 {
		one.log = n.log.With("cluster", m.Name)
	}
	opts = append(opts, peercache.WithPoolLogger(one.log))
	if t := m.TLS; t != nil {
		if one.tls, err = peerSource(t); err != nil {
			return nil, err
		}
		opts = append(opts, peercache.WithTLS(one.tls))
	}
	found, err := newDiscovery(m.Peers, one.log)
	if err != nil {
		return nil, err
	}
	if found != nil {
		opts = append(opts, peercache.WithDiscovery(found))
	}
	if m.Transport == "grpc" {
		opts = append(opts, peercache.WithTransport(new(rpc.Tunnel).Transport()))
	}
	one.pool, err = peercache.NewHTTPPool(m.Self, opts...)
	return one, err
}

// newGroups makes a group in all clusters, and what the front doors serve.
func (n *node) newGroups(g *config.Group) error {
	routes := n.cfg.RoutesOf(g)
	share := int64(g.Bytes) / int64(len(readFrom(routes)))
	in := map[string]*peercache.Group{}
	for _, m := range slices.Backward(n.members) { // the groups that others are filled from come first
		of, bytes, getter := *g, share, n.getters[g.Name]
		var more []peercache.GroupOption
		switch {
		case m.Name == config.Own && g.WarmFrom != "":
			getter = route.Getter(in[g.WarmFrom], g.LoadTimeout/2, getter)
		case m.Name != config.Own && !slices.Contains(readFrom(routes), m.Name):
			// It is asked to fill the group of this node, or told of changes: it keeps no copies.
			getter, bytes, more = route.Away, sourceBytes, []peercache.GroupOption{peercache.WithHotShare(0)}
		}
		if m.Name != config.Own {
			of.Snapshot = nil
		}
		group, err := n.newGroup(&of, m, max(bytes, leastBytes), getter, more...)
		if err != nil {
			return err
		}
		in[m.Name], m.groups = group, append(m.groups, group)
	}
	n.groups = n.members[0].groups
	if len(routes) == 1 && routes[0] == (config.Route{Cluster: config.Own}) {
		n.caches = append(n.caches, in[config.Own])
		return nil
	}
	cacheOf := func(name string) door.Cache {
		if group := in[name]; group != nil {
			return group
		}
		return nil
	}
	var all []route.Route
	for _, r := range routes {
		all = append(all, route.Route{Prefix: r.Prefix, Read: cacheOf(r.Cluster), From: cacheOf(r.WarmFrom), Warms: cacheOf(r.Warms)})
	}
	cache, err := route.New(g.Name, all...)
	n.caches = append(n.caches, cache)
	return err
}

// leastBytes is the least that the library takes.
const leastBytes = 4096

// readFrom returns the names of the clusters that routes read from.
func readFrom(routes []config.Route) (all []string) {
	for _, r := range routes {
		if !slices.Contains(all, r.Cluster) {
			all = append(all, r.Cluster)
		}
	}
	return all
}

// newGroup makes a group in one cluster.
func (n *node) newGroup(g *config.Group, m *membership, bytes int64, getter peercache.Getter, more ...peercache.GroupOption) (*peercache.Group, error) {
	opts := append(n.cfg.GroupOptions(g), peercache.WithPeers(m.pool), peercache.WithLogger(m.log))
	if names := forwarded(n.getters[g.Name]); len(names) > 0 {
		opts = append(opts, peercache.WithContextCodec(origin.HeaderCodec(names...)))
		n.forwards = true
	}
	if t := n.tracer.Tracer; t != nil {
		opts = append(opts, peercache.WithTracer(t))
	}
	group, err := peercache.NewGroup(g.Name, bytes, getter, append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("group %s in cluster %s: %w", g.Name, m.Name, err)
	}
	return group, nil
}

// serve answers the peers of a member.
func (m *membership) serve(on listeners) error {
	l := on[m.Path]
	if m.Transport == "grpc" {
		l = rpc.Listen(l)
	}
	if m.tls != nil {
		return m.server.ServeTLS(l, "", "")
	}
	return m.server.Serve(l)
}

// join makes the node one of its peers. An error is one that only people can mend.
func (m *membership) join(ctx context.Context) (notReady, err error) {
	if static := m.Discovery.Static; len(static) > 0 {
		err = m.pool.Set(static...)
	} else if err = m.pool.Join(ctx); err != nil && ctx.Err() != nil {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	return m.pool.Ready(ctx), nil
}

// keepTogether refuses the actions of operators that would change a group in one cluster of several: only
// the front doors make a change in all of them, in the order that it needs.
func (n *node) keepTogether(page http.Handler) http.Handler {
	if len(n.members) == 1 {
		return page
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasSuffix(r.URL.Path, "/drain") && !strings.HasPrefix(r.URL.Path, dataPath) {
			http.Error(w, "this node is in several clusters, and a change here would be made in one of them: use a front door", http.StatusConflict)
			return
		}
		page.ServeHTTP(w, r)
	})
}
