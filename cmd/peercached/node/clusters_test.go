//go:build unix

package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// versions is an origin whose values are numbers that only grow.
type versions struct {
	*httptest.Server
	mu    sync.Mutex
	of    map[string]int
	loads map[string]int // by the cluster that asked
}

func newVersions(t *testing.T) *versions {
	v := &versions{of: map[string]int{}, loads: map[string]int{}}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		v.loads[r.Header.Get("X-Cluster")]++
		n := v.of[r.URL.Path[1:]]
		v.mu.Unlock()
		fmt.Fprint(w, n)
	}))
	t.Cleanup(v.Close)
	return v
}

// next gives a key its next value.
func (v *versions) next(key string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.of[key]++
	return v.of[key]
}

func (v *versions) loadsOf(cluster string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.loads[cluster]
}

// clusters are an old cluster of two nodes, a new one of two that is filled from it, and a gateway of both.
type clusters struct {
	origin           *versions
	old, new         []nodeAddrs
	gateway          nodeAddrs
	oldProcs, others []*process
}

func startClusters(t *testing.T, routes string) *clusters {
	ports := freePorts(t, 4*4+6)
	addr := func() string {
		p := ports[0]
		ports = ports[1:]
		return "127.0.0.1:" + p
	}
	c := &clusters{origin: newVersions(t)}
	list := map[string][]string{}
	inOld := map[string]string{} // where a node of new, or the gateway, is reached by those of old
	for range 2 {
		a := nodeAddrs{peers: addr(), admin: addr(), http: addr()}
		c.old, list["old"] = append(c.old, a), append(list["old"], "http://"+a.peers)
	}
	for range 2 {
		a := nodeAddrs{peers: addr(), admin: addr(), http: addr()}
		inOld[a.peers] = addr()
		c.new, list["new"] = append(c.new, a), append(list["new"], "http://"+a.peers)
		list["old"] = append(list["old"], "http://"+inOld[a.peers]+"#owns=nothing")
	}
	c.gateway = nodeAddrs{peers: addr(), admin: addr(), http: addr(), resp: addr()}
	inNew := addr()
	list["old"] = append(list["old"], "http://"+c.gateway.peers+"#owns=nothing")
	list["new"] = append(list["new"], "http://"+inNew+"#owns=nothing")

	run := func(command, cluster string, a nodeAddrs, more, group string) *process {
		path := filepath.Join(t.TempDir(), "c.yaml")
		write(t, path, fmt.Sprintf("peers: {listen: '%s', cluster: %s, secret: the secret of cluster %s, discovery: {static: ['%s']}}\nadmin: {listen: '%s'}\nhttp: {listen: '%s'}\n%s"+
			"groups: [{name: a, bytes: 4MiB, ttl: 1h, %s origin: {http: {url: '%s/{key}', headers: {X-Cluster: %s}}}}]\n",
			a.peers, cluster, cluster, strings.Join(list[cluster], "', '"), a.admin, a.http, more, group, c.origin.URL, cluster))
		return start(t, nil, command, "-c", path)
	}
	further := func(cluster, listen string) string {
		return fmt.Sprintf("clusters: [{name: %s, peers: {listen: '%s', cluster: %s, secret: the secret of cluster %s, discovery: {static: ['%s']}}}]\n",
			cluster, listen, cluster, cluster, strings.Join(list[cluster], "', '"))
	}
	var all []*process
	for _, a := range c.old {
		c.oldProcs = append(c.oldProcs, run("serve", "old", a, "", ""))
	}
	for _, a := range c.new {
		all = append(all, run("serve", "new", a, further("old", inOld[a.peers]), "warm_from: old,"))
	}
	all = append(all, run("gateway", "old", c.gateway, further("new", inNew)+"resp: {listen: '"+c.gateway.resp+"'}\n", "routes: "+routes+","))
	c.others = all
	for _, p := range append(all, c.oldProcs...) {
		p.wait(t, "msg=serving")
	}
	return c
}

// items returns how many values nodes have of their own.
func items(t *testing.T, some []nodeAddrs) (n int) {
	t.Helper()
	for _, a := range some {
		_, table, errs := run(t, nil, "stats", "--admin=http://"+a.admin)
		lines := strings.Split(table, "\n")
		if len(lines) < 2 || len(strings.Fields(lines[1])) < 8 {
			t.Fatalf("stats: %s%s", table, errs)
		}
		one, err := strconv.Atoi(strings.Fields(lines[1])[7])
		if err != nil {
			t.Fatal(err)
		}
		n += one
	}
	return n
}

// change asks the HTTP door of a node for a change, and returns the status.
func change(ctx context.Context, method, url, body string) (int, string) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

// A gateway sends keys to the clusters of their prefixes. A new cluster is filled from an old one, without
// its origin; changes hold in both; and when the old one dies, the new one goes on.
func TestRoutesAndFilling(t *testing.T) {
	c := startClusters(t, "[{prefix: 'o:', cluster: peers}, {cluster: new, warm_from: peers}]")
	callers := []caller{&httpCaller{&http.Client{Transport: &http.Transport{}}, c.gateway.http}, &respCaller{addr: c.gateway.resp}}
	defer func() {
		for _, one := range callers {
			one.close()
		}
	}()
	const keys = 50
	expect := func(key, want string) {
		t.Helper()
		for _, one := range callers {
			if value, _, err := one.get(t.Context(), key); err != nil || value != want {
				t.Fatalf("%T: %s is %q, %v: want %q", one, key, value, err, want)
			}
		}
	}
	for i := range keys {
		expect(fmt.Sprintf("o:%d", i), "0")
	}
	if o, n := items(t, c.old), items(t, c.new); o != keys || n != 0 {
		t.Errorf("%d values in the old cluster, and %d in the new one: want %d, 0", o, n, keys)
	}
	loads := c.origin.loadsOf("old")
	direct := &httpCaller{http.DefaultClient, c.old[0].http}
	for i := range keys {
		if _, _, err := direct.get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys {
		expect(fmt.Sprint(i), "0")
	}
	if n := items(t, c.new); n != keys {
		t.Errorf("%d values in the new cluster, want %d", n, keys)
	}
	if o, n := c.origin.loadsOf("old")-loads, c.origin.loadsOf("new"); o != keys || n != 0 {
		t.Errorf("%d loads of the old cluster, and %d of the new one: want %d, 0", o, n, keys)
	}
	if status, body := get(t, "http://"+c.gateway.http+"/v1/a/1"); status != http.StatusOK || body != "0" {
		t.Errorf("status %d, %q", status, body)
	}
	if _, metrics := get(t, "http://"+c.new[0].admin+"/metrics"); !strings.Contains(metrics, `cluster="old"`) || !strings.Contains(metrics, `cluster="peers"`) {
		t.Error("the metrics do not name the clusters")
	}
	resp, err := http.PostForm("http://"+c.new[0].admin+"/api/v1/remove", map[string][]string{"group": {"a"}, "key": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusConflict {
		t.Errorf("the action of an operator on one of two clusters: status %d", resp.StatusCode)
	}

	for _, p := range c.oldProcs {
		p.Process.Kill()
		<-p.exited
	}
	for i := range keys {
		expect(fmt.Sprint(i), "0")
		expect(fmt.Sprint(keys+i), "0")
	}
	if n := c.origin.loadsOf("new"); n != keys {
		t.Errorf("%d loads of the new cluster for %d keys that it cannot have from the old one", n, keys)
	}
	c.origin.next("1")
	if status, body := change(t.Context(), http.MethodDelete, c.gateway.http+"/v1/a/1", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, c.old[0].peers) {
		t.Errorf("a remove that cannot reach the old cluster: status %d, %s", status, body)
	}
	expect("1", "1")
	for _, p := range c.others {
		p.Process.Signal(syscall.SIGTERM)
	}
	for _, p := range c.others {
		if status := p.status(t); status != ExitOK {
			t.Errorf("exit status %d", status)
		}
	}
}

// While one cluster is filled from another one, whoever reads from it and whoever of those that know both removes keys: nobody gets a
// value of before a Remove that has returned.
func TestNothingStaleWhileFilling(t *testing.T) {
	c := startClusters(t, "[{cluster: new, warm_from: peers}]")
	const keys, changes = 4, 120
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var floors [keys]atomic.Int64
	var reads, stale atomic.Int64
	check := func(one caller, k int) {
		floor := floors[k].Load()
		value, _, err := one.get(context.WithoutCancel(ctx), fmt.Sprint(k))
		n, bad := strconv.Atoi(value)
		switch {
		case err != nil || bad != nil:
			t.Errorf("%T: %q, %v", one, value, err)
		case int64(n) < floor:
			stale.Add(1)
		}
		reads.Add(1)
	}
	readers := func() []caller {
		return []caller{&httpCaller{&http.Client{Transport: &http.Transport{}}, c.gateway.http}, &respCaller{addr: c.gateway.resp},
			&httpCaller{&http.Client{Transport: &http.Transport{}}, c.new[0].http}, &httpCaller{&http.Client{Transport: &http.Transport{}}, c.new[1].http}}
	}
	var reading, writing sync.WaitGroup
	for k := range keys {
		for _, one := range readers() {
			reading.Go(func() {
				defer one.close()
				for ctx.Err() == nil {
					check(one, k)
				}
			})
		}
		writing.Go(func() {
			mine := readers()
			for i := range changes {
				version := c.origin.next(fmt.Sprint(k))
				by := []string{c.gateway.http, c.new[0].http, c.gateway.http, c.new[1].http}[i%4]
				path, value := fmt.Sprintf("/v1/a/%d", k), fmt.Sprint(version)
				var status int
				var body string
				switch i % 9 {
				case 3:
					status, body = change(ctx, http.MethodPut, by+path, value)
				case 7:
					status, body = change(ctx, http.MethodPost, by+"/v1/a:clear", "")
				default:
					status, body = change(ctx, http.MethodDelete, by+path, "")
				}
				if status/100 != 2 {
					t.Errorf("change %d: status %d, %s", i, status, body)
					return
				}
				floors[k].Store(int64(version))
				for _, one := range mine {
					check(one, k)
				}
			}
			for _, one := range mine {
				one.close()
			}
		})
	}
	writing.Wait()
	stop()
	reading.Wait()
	if n := stale.Load(); n > 0 {
		t.Errorf("%d of %d reads were stale", n, reads.Load())
	}
	t.Logf("%d reads, %d changes, %d loads by the old cluster, %d by the new one", reads.Load(), keys*changes, c.origin.loadsOf("old"), c.origin.loadsOf("new"))
}

// The figures of the door for Redis clients are among the metrics.
func TestMetricsOfRESP(t *testing.T) {
	c := newNodes(t, 1, 1)
	c.start(t, 0, "serve")
	c.procs[0].wait(t, "msg=serving")
	one := &respCaller{addr: c.addrs[0].resp}
	defer one.close()
	for range 3 {
		if _, _, err := one.get(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	_, metrics := get(t, "http://"+c.addrs[0].admin+"/metrics")
	for _, want := range []string{"\npeercached_resp_clients 1\n", "\npeercached_resp_commands_total 3\n", "\npeercached_resp_connections_total 1\n", "\npeercached_resp_tracked_keys 0\n"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}

// A new list of a further cluster counts at once.
func TestReloadOfAnotherCluster(t *testing.T) {
	ports := freePorts(t, 4)
	path := filepath.Join(t.TempDir(), "c.yaml")
	file := func(more string) string {
		return fmt.Sprintf("peers: {listen: '127.0.0.1:%[1]s'}\nadmin: {listen: '127.0.0.1:%[2]s'}\nreload: {every: 20ms}\nstartup: {timeout: 100ms}\n"+
			"clusters: [{name: old, peers: {listen: '127.0.0.1:%[3]s', discovery: {static: ['http://127.0.0.1:%[3]s#owns=nothing', 'http://127.0.0.1:%[4]s'%[5]s]}}}]\n"+
			"groups: [{name: a, bytes: 1MiB, warm_from: old, origin: {upper: {suffix: '!'}}}]\n", ports[0], ports[1], ports[2], ports[3], more)
	}
	write(t, path, file(""))
	p := start(t, nil, "serve", "-c", path)
	p.wait(t, "msg=serving") // though nobody of old is there
	write(t, path, file(", 'http://127.0.0.1:1'"))
	p.wait(t, "changed=clusters.old.peers.discovery.static")
	_, metrics := get(t, "http://127.0.0.1:"+ports[1]+"/metrics")
	for _, want := range []string{`peercache_view_peers{cluster="old"} 3`, `peercache_view_peers{cluster="peers"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	write(t, path, strings.Replace(file(", 'http://127.0.0.1:1'"), "warm_from: old", "ttl: 1m, warm_from: old", 1))
	p.wait(t, "keys=groups.a.ttl")
}
