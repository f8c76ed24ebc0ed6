package node

import (
	"strings"
	"testing"
)

// Mistakes in clusters and routes are found, where they are.
func TestBadClusters(t *testing.T) {
	const (
		gateway = "peers: {own_nothing: true, discovery: {static: ['http://127.0.0.1:8001#owns=nothing', 'http://127.0.0.1:9001']}}\n"
		old     = "clusters: [{name: old, peers: {listen: '127.0.0.1:8011', discovery: {static: ['http://127.0.0.1:8011#owns=nothing', 'http://127.0.0.1:9011']}}}]\n"
		two     = "clusters:\n- {name: old, peers: {listen: '127.0.0.1:8011', discovery: {static: ['http://127.0.0.1:8011#owns=nothing', 'http://127.0.0.1:9011']}}}\n" +
			"- {name: new, peers: {listen: '127.0.0.1:8012', discovery: {static: ['http://127.0.0.1:8012#owns=nothing', 'http://127.0.0.1:9012']}}}\n"
	)
	group := func(more string) string {
		return "groups:\n- {name: a, bytes: 1MiB, " + more + ", origin: {files: {dir: data}}}\n"
	}
	for _, test := range []struct{ name, file, want string }{
		{"an unknown cluster", gateway + old + group("routes: [{cluster: odl}, {prefix: x, cluster: old}]"), `c.yaml:4:45: groups.a.routes[0].cluster: there is no cluster "odl": did you mean old?`},
		{"nothing near", gateway + old + group("routes: [{cluster: elsewhere}, {prefix: x, cluster: old}]"), `c.yaml:4:45: groups.a.routes[0].cluster: there is no cluster "elsewhere": want one of peers, old`},
		{"an unknown cluster to fill from", old + group("warm_from: odl, routes: []"), "c.yaml:1:12: clusters.old: no group names this cluster: want a route or a warm_from with it, or leave it out\n" + `c.yaml:3:37: groups.a.warm_from: there is no cluster "odl": did you mean old?`},
		{"a prefix twice", gateway + old + group("routes: [{prefix: x, cluster: old}, {prefix: x}]"), `c.yaml:4:71: groups.a.routes[1].prefix: "x" stands there twice: want one route for each prefix`},
		{"filled from itself", gateway + old + group("routes: [{cluster: old, warm_from: old}]"), "c.yaml:4:61: groups.a.routes[0].warm_from: old is the cluster of the route itself: want another"},
		{"filled from itself, without a name", gateway + old + group("routes: [{prefix: x, cluster: old}, {warm_from: peers}]"), "c.yaml:4:74: groups.a.routes[1].warm_from: peers is the cluster of the route itself: want another"},
		{"warms itself", gateway + old + group("routes: [{cluster: old, warms: old}]"), "c.yaml:4:57: groups.a.routes[0].warms: old is the cluster of the route itself: want another"},
		{"both ways", gateway + old + group("routes: [{cluster: old, warm_from: peers}, {prefix: x, warm_from: old}]"), "c.yaml:4:35: groups.a.routes[0]: old is filled from peers, and one of them is the other in another route: want each cluster of a group to be one of the two\n" +
			"c.yaml:4:69: groups.a.routes[1]: peers is filled from old, and one of them is the other in another route: want each cluster of a group to be one of the two"},
		{"a chain", gateway + two + group("routes: [{cluster: new, warm_from: old}, {prefix: x, cluster: old, warm_from: peers}]"), "c.yaml:6:35: groups.a.routes[0]: new is filled from old, and one of them is the other in another route: want each cluster of a group to be one of the two\n" +
			"c.yaml:6:67: groups.a.routes[1]: old is filled from peers, and one of them is the other in another route: want each cluster of a group to be one of the two"},
		{"filled and filling", gateway + two + group("routes: [{cluster: new, warm_from: old, warms: peers}]"), "c.yaml:6:73: groups.a.routes[0].warms: warms and warm_from: want one of them"},
		{"routes of an owner", old + group("routes: [{cluster: old}]"), "c.yaml:3:34: groups.a.routes: routes are for gateways, and this node owns keys: want peers.own_nothing: true, or warm_from in place of routes"},
		{"a gateway that is filled", gateway + old + group("warm_from: old"), "c.yaml:4:37: groups.a.warm_from: it is for nodes that own keys; a gateway, which owns nothing, says it of a route: want routes: [{warm_from: old}]"},
		{"filled from this cluster", old + group("warm_from: peers, routes: []"), "c.yaml:1:12: clusters.old: no group names this cluster: want a route or a warm_from with it, or leave it out\nc.yaml:3:37: groups.a.warm_from: peers is the cluster that is to be filled: want another"},
		{"a cluster for nothing", gateway + old + group("ttl: 1m"), "c.yaml:2:12: clusters.old: no group names this cluster: want a route or a warm_from with it, or leave it out"},
		{"a cluster called peers", strings.Replace(old, "name: old", "name: peers", 1) + group("ttl: 1m"), "c.yaml:1:19: clusters.peers.name: peers is the name of the cluster of the section peers: want another"},
		{"an owner in two clusters", strings.Replace(old, "listen", "own_nothing: false, listen", 1) + group("warm_from: old"), "c.yaml:1:45: clusters.old.peers.own_nothing: a node owns keys in the cluster of the section peers alone: want true, or leave it out\n" +
			"c.yaml:1:99: clusters.old.peers.discovery.static[0]: http://127.0.0.1:8011#owns=nothing: want http://127.0.0.1:8011 here and in the lists of all nodes, because of peers.own_nothing, false"},
		{"one address for two clusters", strings.ReplaceAll(old, "8011", "8001") + group("warm_from: old"), "c.yaml:1:40: clusters.old.peers.listen: 127.0.0.1:8001 is the address of peers.listen already (127.0.0.1:8001): want another port"},
		{"a cluster of nobody", "clusters: [{name: old, peers: {listen: '127.0.0.1:8011'}}]\n" + group("warm_from: old"), `c.yaml:1:31: clusters.old.peers.discovery: a node that owns nothing has to know the nodes that do: want a discovery, such as static: [http://10.0.0.1:8001, "http://127.0.0.1:8011#owns=nothing"]`},
		{"a short secret", strings.Replace(old, "listen", "secret: abc, listen", 1) + group("warm_from: old"), "c.yaml:1:31: clusters.old.peers: secret 0 has 3 bytes: want at least 16"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inDir(t, map[string]string{"c.yaml": test.file, "data/Tom": "630"})
			status, stdout, stderr := run(t, nil, "check", "-c", "c.yaml")
			if got := strings.TrimSpace(stderr); status != ExitUsage || stdout != "" || got != test.want {
				t.Errorf("status %d, printed\n%s\nwant\n%s", status, got, test.want)
			}
		})
	}
	for name, file := range map[string]string{
		"filled":                    old + group("warm_from: old"),
		"routes":                    gateway + two + group("routes: [{prefix: 'eu:', cluster: old, warms: new}, {cluster: new, warm_from: old}]"),
		"the rest to peers":         gateway + old + group("routes: [{prefix: 'eu:', cluster: old}]"),
		"from two, by two prefixes": gateway + two + group("routes: [{prefix: 'eu:', cluster: new, warm_from: old}, {cluster: new, warm_from: peers}]"),
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, map[string]string{"c.yaml": file, "data/Tom": "630"})
			if status, _, stderr := run(t, nil, "check", "-c", "c.yaml"); status != ExitOK || stderr != "" {
				t.Errorf("status %d: %s", status, stderr)
			}
			status, first, stderr := run(t, nil, "config", "-c", "c.yaml")
			if status != ExitOK {
				t.Fatalf("status %d: %s", status, stderr)
			}
			inDir(t, map[string]string{"c.yaml": first, "data/Tom": "630"})
			if status, second, stderr := run(t, nil, "config", "-c", "c.yaml"); status != ExitOK || second != first {
				t.Errorf("status %d: %s\nprinted\n%s\nthe second time\n%s", status, stderr, first, second)
			}
		})
	}
}
