package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
)

// Own is the name of the cluster of the section peers.
const Own = "peers"

// Cluster is a further cluster, of which this node is a member that owns nothing.
type Cluster struct {
	Name  string `yaml:"name" want:"letters, digits, '-', '_', '.'" help:"how routes and warm_from name it; peers is the cluster of the section of that name"`
	Peers Peers  `yaml:"peers" help:"this node among the nodes of that cluster, all of which have to reach it at an address of its own"`
}

// SetDefaults implements conf.Defaulter.
func (c *Cluster) SetDefaults() {
	c.Peers.SetDefaults()
	c.Peers.OwnNothing = true
}

// Route says which cluster has the keys of a prefix. The longest prefix of a key counts.
type Route struct {
	Prefix   string `yaml:"prefix" help:"how the keys begin" unset:"all keys without another route"`
	Cluster  string `yaml:"cluster" want:"the name of a cluster" help:"the cluster that has the keys" unset:"that of peers"`
	WarmFrom string `yaml:"warm_from" want:"the name of a cluster" help:"the cluster from which this one is being filled: changes are made there first" unset:"none"`
	Warms    string `yaml:"warms" want:"the name of a cluster" help:"the cluster that is being filled from this one: changes are made there too" unset:"none"`
}

// Member is this node among the nodes of one cluster.
type Member struct {
	Name string // of the cluster, for routes
	Path string // of the section
	*Peers
}

// Members returns this node as a member of all clusters, that of the section peers first.
func (c *Config) Members() []Member {
	all := []Member{{Own, Own, &c.Peers}}
	for i := range c.Clusters {
		one := &c.Clusters[i]
		path := "clusters." + one.Name
		if one.Name == "" {
			path = fmt.Sprintf("clusters[%d]", i)
		}
		all = append(all, Member{one.Name, path + ".peers", &one.Peers})
	}
	return all
}

// RoutesOf returns the routes of a group, one for each prefix, with the names of all their clusters: a
// group without any has one, and so has one that is being filled from another cluster.
func (c *Config) RoutesOf(g *Group) []Route {
	all := slices.Clone(g.Routes)
	if !slices.ContainsFunc(all, func(r Route) bool { return r.Prefix == "" }) {
		all = append(all, Route{WarmFrom: g.WarmFrom})
	}
	for i := range all {
		if all[i].Cluster == "" {
			all[i].Cluster = Own
		}
	}
	return all
}

// checkRoutes checks what clusters and groups say of each other.
func (l *Loaded) checkRoutes() {
	for i, c := range l.Clusters {
		path := strings.TrimSuffix(l.Members()[i+1].Path, ".peers")
		switch {
		case c.Name == "":
			l.Fail(path, "no name: want one, such as name: old")
		case c.Name == Own:
			l.Fail(path+".name", "%s is the name of the cluster of the section peers: want another", Own)
		case strings.Trim(c.Name, nameLetters) != "":
			l.Fail(path+".name", "%q: want letters, digits, '-', '_' and '.' alone", c.Name)
		}
		if !c.Peers.OwnNothing {
			l.Fail(path+".peers.own_nothing", "a node owns keys in the cluster of the section peers alone: want true, or leave it out")
		}
		if c.Peers.Groupcache {
			l.Fail(path+".peers.groupcache_compat", "golang/groupcache knows no node that owns nothing: want false")
		}
	}
	used := map[string]bool{}
	for i := range l.Groups {
		g := &l.Groups[i]
		l.checkGroupRoutes(g, "groups."+g.Name)
		for _, r := range l.RoutesOf(g) {
			used[r.Cluster], used[r.WarmFrom], used[r.Warms] = true, true, true
		}
	}
	for i, c := range l.Clusters {
		if path := strings.TrimSuffix(l.Members()[i+1].Path, ".peers"); c.Name != "" && c.Name != Own && !used[c.Name] {
			l.Fail(path, "no group names this cluster: want a route or a warm_from with it, or leave it out")
		}
	}
}

// checkGroupRoutes checks the routes of a group.
func (l *Loaded) checkGroupRoutes(g *Group, path string) {
	if g.WarmFrom != "" {
		l.checkCluster(path+".warm_from", g.WarmFrom)
		switch {
		case g.WarmFrom == Own:
			l.Fail(path+".warm_from", "%s is the cluster that is to be filled: want another", Own)
		case l.Peers.OwnNothing || len(g.Routes) > 0:
			l.Fail(path+".warm_from", "it is for nodes that own keys; a gateway, which owns nothing, says it of a route: want routes: [{warm_from: %s}]", g.WarmFrom)
		}
	}
	if len(g.Routes) > 0 && !l.Peers.OwnNothing {
		l.Fail(path+".routes", "routes are for gateways, and this node owns keys: want peers.own_nothing: true, or warm_from in place of routes")
		return
	}
	prefixes := map[string]bool{}
	filled, source := map[string]string{}, map[string]bool{} // by cluster
	for _, r := range l.RoutesOf(g) {
		from, to := r.Ends()
		if from != "" {
			filled[to], source[from] = from, true
		}
	}
	for i, r := range g.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		if prefixes[r.Prefix] {
			l.Fail(at+".prefix", "%q stands there twice: want one route for each prefix", r.Prefix)
		}
		prefixes[r.Prefix] = true
		r = l.RoutesOf(g)[i]
		l.checkCluster(at+".cluster", r.Cluster)
		for key, other := range map[string]string{"warm_from": r.WarmFrom, "warms": r.Warms} {
			if other == "" {
				continue
			}
			l.checkCluster(at+"."+key, other)
			if other == r.Cluster {
				l.Fail(at+"."+key, "%s is the cluster of the route itself: want another", other)
			}
		}
		from, to := r.Ends()
		switch {
		case r.WarmFrom != "" && r.Warms != "":
			l.Fail(at+".warms", "warms and warm_from: want one of them")
		case from != to && (source[to] || filled[from] != ""):
			l.Fail(at, "%s is filled from %s, and one of them is the other in another route: want each cluster of a group to be one of the two", to, from)
		}
	}
}

// Ends returns the cluster from which one is being filled, and that one; "" if there is none.
func (r *Route) Ends() (from, to string) {
	switch {
	case r.WarmFrom != "":
		return r.WarmFrom, r.Cluster
	case r.Warms != "":
		return r.Cluster, r.Warms
	}
	return "", ""
}

// checkCluster checks that there is a cluster of a name.
func (l *Loaded) checkCluster(path, name string) {
	var known []string
	for _, m := range l.Members() {
		known = append(known, m.Name)
	}
	if slices.Contains(known, name) {
		return
	}
	text := fmt.Sprintf("there is no cluster %q: want one of %s", name, strings.Join(known, ", "))
	if near := conf.Nearest(name, known); near != "" {
		text = fmt.Sprintf("there is no cluster %q: did you mean %s?", name, near)
	}
	l.Fail(path, "%s", text)
}
