// Package node is the program peercached, for Go programs that have origins of their own:
//
//	func main() {
//		os.Exit(node.Main(context.Background(), os.Args[1:], node.Origins{"mine": mine.Factory}))
//	}
//
// A group of its configuration may then say origin: {mine: {…}}. See origin.Factory.
package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/cmd/peercached/internal/conf"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/plugin"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/origin"
	"github.com/peercache/peercache/origin/web"
	"github.com/peercache/peercache/peertls"
)

// Origins are kinds of origins, by the key that stands for them in the configuration.
type Origins map[string]origin.Factory

// with returns the kinds that come with the program, and those of o, which come first.
func (o Origins) with(more Origins) Origins {
	all := maps.Clone(more)
	maps.Copy(all, o)
	return all
}

// kinds returns the names of the kinds.
func (o Origins) kinds() []string { return slices.Sorted(maps.Keys(o)) }

// node is a process of a cluster: its pool, its groups, and what serves them.
type node struct {
	cfg   *config.Loaded
	log   *slog.Logger
	level *slog.LevelVar
	// members are this node in all clusters, that of the section peers first: pool and groups are of that one.
	members []*membership
	pool    *peercache.HTTPPool
	groups  []*peercache.Group
	caches  []door.Cache
	data    data.Driver  // nil: there is none
	memory  *data.Memory // what data keeps in this process, which may be copies; nil: nothing
	plugins *plugin.Set  // of memory; nil: there are none
	doors   []openDoor
	admin   *adminServer

	httpTokens, grpcTokens door.Tokens // of the doors; replaced by reload

	// forwards says that an origin sends headers of the caller's request along.
	forwards bool
	ending   atomic.Bool // the node is to stop: it is not ready
	tracer   tracer
	getters  opened

	dataRequests *requests // of operators, for all data
}

// loggerOf returns the logger that a configuration asks for.
func loggerOf(c *config.Log, to io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	setLevel(level, c.Level)
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, opts)), level
	}
	return slog.New(slog.NewTextHandler(to, opts)), level
}

// setLevel sets a level by its name, which was checked.
func setLevel(level *slog.LevelVar, name string) {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) == nil {
		level.Set(l)
	}
}

// opened are the getters of the groups, by name.
type opened map[string]peercache.Getter

// close closes the getters that want it.
func (o opened) close() (err error) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if c, ok := o[name].(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

// openOrigins makes the getters of all groups. What is wrong is a problem of the configuration.
func openOrigins(ctx context.Context, l *config.Loaded, origins Origins, log *slog.Logger) opened {
	all := opened{}
	for _, g := range l.Groups {
		for kind, section := range g.Origin {
			factory, ok := origins[kind]
			if !ok {
				continue // it was said
			}
			env := origin.Env{Group: g.Name, Log: log.With("group", g.Name), AllowCommands: l.Origins.AllowCommands,
				StaleWhileRevalidate: g.StaleWhile, StaleIfError: g.StaleIfError}
			getter, err := factory(ctx, env, section.Decode)
			path := "groups." + g.Name + ".origin." + kind
			if _, told := errors.AsType[conf.Problems](err); err != nil && !told {
				l.Fail(path, "%v", err)
			}
			if err == nil && getter == nil {
				l.Fail(path, "the factory made no getter")
			}
			if err == nil && getter != nil {
				all[g.Name] = getter
			}
		}
	}
	return all
}

// newNode makes a node of a configuration without mistakes. It listens nowhere yet.
func newNode(l *config.Loaded, getters opened, log *slog.Logger, level *slog.LevelVar) (_ *node, err error) {
	n := &node{cfg: l, log: log, level: level, getters: getters, dataRequests: newRequests()}
	if n.tracer, err = newTracer(l.Tracing, l.Peers.Self); err != nil {
		return nil, err
	}
	for _, m := range l.Members() {
		one, err := n.newMembership(m)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, one)
	}
	n.pool = n.members[0].pool
	for i := range l.Groups {
		if err := n.newGroups(&l.Groups[i]); err != nil {
			return nil, err
		}
	}
	if n.data, n.memory, err = openData(l.Data, log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.closeData())
		}
	}()
	if d := l.Data; d != nil && len(d.Plugins) > 0 {
		if n.plugins, err = startPlugins(n.memory, d.Plugins, log); err != nil {
			return nil, err
		}
	}
	if n.doors, err = openDoors(n); err != nil {
		return nil, err
	}
	if n.admin, err = newAdmin(n); err != nil { // it has figures of the doors
		return nil, err
	}
	return n, nil
}

// forwarded returns the names of the headers that an origin sends along.
func forwarded(g peercache.Getter) []string {
	if o, ok := g.(*web.Origin); ok {
		return o.Forward
	}
	return nil
}

// peerSource returns the certificates of the peers.
func peerSource(t *config.PeerTLS) (*peertls.Source, error) {
	opts := []peertls.Option{peertls.Every(t.Every)}
	for _, pattern := range t.Identities {
		opts = append(opts, peertls.WithIdentity(pattern))
	}
	return peertls.Files(t.Cert, t.Key, t.CA, opts...)
}

// ready returns nil when the node is warm, not about to stop, and can write the data that it has. A Redis that is down makes no node
// unready: it would make all of them so at once.
func (n *node) ready(ctx context.Context) error {
	if n.ending.Load() {
		return errEnding
	}
	if m, whole := n.data.(*data.Memory); whole {
		if err := m.Err(); err != nil {
			return err
		}
	}
	return n.pool.Ready(ctx)
}
