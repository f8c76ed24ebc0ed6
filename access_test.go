package peercache_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertls"
)

// withoutEvents returns a log without the lines of the audit.
func withoutEvents(log string) string {
	var left strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, " event=") {
			left.WriteString(line)
		}
	}
	return left.String()
}

// TestScraper has a process of another service, whose certificate is of the same CA. It is on no
// list: so it gets nothing, changes nothing, and both sides say so.
func TestScraper(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain: ", plain), func(t *testing.T) {
			opts := []peercache.PoolOption{peercache.WithHandover(math.MaxInt64, 500*time.Millisecond)}
			if plain {
				opts = append(opts, peercache.WithoutStream())
			}
			var o origin
			ca := testca.New(t, "ours")
			nodes := secure(t, 2, &o, ca, opts...)
			dir := testca.NewDir(t)
			dir.Write(ca.Sign(testca.Template("localhost")), ca) // not 127.0.0.1, as the peers have
			scraper := startSecured(t, "localhost", dir, &o, opts...)
			if err := scraper.pool.Set(scraper.url, nodes[0].url, nodes[1].url); err != nil {
				t.Fatal(err)
			}
			key := scraper.otherKey(t)
			for _, n := range nodes {
				if _, err := n.group.Get(inside(t), key); err != nil {
					t.Fatal(err)
				}
			}
			before := []peercache.Stats{nodes[0].group.Stats(), nodes[1].group.Stats()}

			if v, err := scraper.group.Get(inside(t), key); err != nil || v.String() != "value of "+key {
				t.Errorf("it loads by itself: %v, %v", v, err)
			}
			if n := scraper.group.Stats().PeerLoads; n != 0 {
				t.Errorf("it got %d values", n)
			}
			for what, change := range map[string]func(context.Context) error{
				"Remove": func(ctx context.Context) error { return scraper.group.Remove(ctx, key) },
				"Set": func(ctx context.Context) error {
					return scraper.group.Set(ctx, key, peercache.Item{Value: []byte("forged")})
				},
				"Clear": scraper.group.Clear,
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				if err := change(ctx); !errors.Is(err, peercache.ErrUnauthorized) || !errors.As(err, new(*peercache.InvalidationError)) {
					t.Errorf("%s: %v, want an error of the peers, ErrUnauthorized", what, err)
				}
				cancel()
			}
			for i, n := range nodes {
				if v, err := n.group.Get(inside(t), key); err != nil || v.String() != "value of "+key {
					t.Errorf("peer %d has %v, %v", i, v, err)
				}
				s := n.group.Stats()
				if s.Loads != before[i].Loads || s.ServerRequests > before[i].ServerRequests+1 || s.Main.Items != before[i].Main.Items {
					t.Errorf("peer %d: %+v, was %+v", i, s, before[i])
				}
				if all := n.pool.Peers(); len(all) != 1 {
					t.Errorf("peer %d has the peers %v", i, all)
				}
				if n.pool.AccessStats().Unauthorized == 0 {
					t.Errorf("peer %d counts no refusal", i)
				}
				for _, operation := range []string{"change", "clear"} {
					if len(n.log.with("event=rejected", "identity="+scraper.url, "operation="+operation)) == 0 {
						t.Errorf("peer %d does not log that a %s was refused: %v", i, operation, n.log.with("level"))
					}
				}
			}
			if len(nodes[0].log.with("event=rejected", "operation=get"))+len(nodes[1].log.with("event=rejected", "operation=get")) == 0 {
				t.Error("no peer logs that a get was refused")
			}
			until(t, "Ready says that it is unauthorized", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				return errors.Is(scraper.pool.Ready(ctx), peercache.ErrUnauthorized)
			})
			if p := scraper.pool.Stats()[0].Problem; !strings.Contains(p, "not on the list") {
				t.Errorf("the problem of a peer is %q", p)
			}
		})
	}
}

// TestScraperByHand sends what no process would.
func TestScraperByHand(t *testing.T) {
	var o origin
	ca := testca.New(t, "ours")
	nodes := secure(t, 2, &o, ca)
	cert := ca.Sign(testca.Template("metrics.example"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}}}
	defer client.CloseIdleConnections()
	var roll peer.Roll
	roll.Add(peer.Statement{ID: peer.StatementID(nodes[1].url, 1), Number: math.MaxUint64, View: 1})
	for what, c := range map[string]*peer.Change{
		"a Remove":                {Group: "test", Keys: []string{"key"}},
		"a Set":                   {Group: "test", Keys: []string{"key"}, Item: &peer.Item{Value: []byte("forged")}},
		"a Clear":                 {Group: "test", All: true},
		"that it is there":        {Announced: true, State: peer.State{Process: 1, Number: 1, View: 1}},
		"that it leaves":          {State: peer.State{Process: 1, Number: 1, View: 1, Leaving: true}},
		"that another one leaves": {State: peer.State{Process: 1, Number: 1, View: 1, Absent: []string{nodes[1].url}}},
		"what others say":         {Roll: roll},
		"that it has values":      {Group: "test", Offered: []string{"key"}},
		"who the peers are":       {Members: true},
		"what was changed":        {Since: []uint64{1}},
	} {
		body, err := peer.EncodeChange(c)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(inside(t), http.MethodPost, nodes[0].url+nodes[0].pool.BasePath()+"change", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Peercache-Peer", "https://metrics.example:1")
		req.Header.Set("Content-Type", "application/x-protobuf")
		refused := nodes[0].pool.AccessStats().Unauthorized
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		changed, answer, err := peer.DecodeChanged(text, "")
		if resp.StatusCode != http.StatusForbidden || err != nil || !errors.Is(answer, peer.ErrUnauthorized) {
			t.Errorf("%s: %s, %v, %v, want status 403 and ErrUnauthorized", what, resp.Status, answer, err)
		}
		if n := nodes[0].pool.AccessStats().Unauthorized; n != refused+1 {
			t.Errorf("%s: %d refusals were counted, want one", what, n-refused)
		}
		if len(changed.Members)+len(changed.GroupNames)+len(changed.Log)+len(changed.State.Absent) > 0 {
			t.Errorf("%s: it learns %+v", what, changed)
		}
	}
	if all := nodes[0].pool.Peers(); len(all) != 1 || all[0].Name() != nodes[1].url {
		t.Errorf("the peers are %v now", all)
	}
	if err := nodes[1].group.Remove(inside(t), "key"); err != nil {
		t.Error(err)
	}
}

// TestVouched has processes that are not listed, and have proven that they are of the cluster.
func TestVouched(t *testing.T) {
	const id = "spiffe://prod.example/ns/shop/sa/cache"
	ca := testca.New(t, "ours")
	for name, withID := range map[string]bool{"with the identity of the cluster": true, "with a host": false} {
		t.Run(name, func(t *testing.T) {
			template := testca.Template("127.0.0.1")
			if u, err := url.Parse(id); withID {
				template.URIs = append(template.URIs, u)
			} else if err != nil {
				t.Fatal(err)
			}
			dir := testca.NewDir(t)
			dir.Write(ca.Sign(template), ca)
			source, err := peertls.Files(dir.Cert, dir.Key, dir.CA, peertls.WithIdentity(id))
			if err != nil {
				t.Fatal(err)
			}
			dir.Write(ca.Sign(template), ca)
			pool, err := peercache.NewHTTPPool("https://127.0.0.1:1", peercache.WithTLS(source))
			if err != nil {
				t.Fatal(err)
			}
			var o origin
			if _, err := peercache.NewGroup("test", 1<<20, &o, peercache.WithPeers(pool)); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(pool)
			server.TLS = source.Server()
			server.StartTLS()
			defer server.Close()
			cert := ca.Sign(template)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}}}
			defer client.CloseIdleConnections()
			req, err := http.NewRequestWithContext(inside(t), http.MethodGet, server.URL+pool.BasePath()+"test/key", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Peercache-Peer", "https://127.0.0.1:2")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.StatusCode == http.StatusOK; got != withID {
				t.Errorf("%s, want that it gets the value: %v", resp.Status, withID)
			}
			if err := pool.Shutdown(inside(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// named makes a pool trust the names of those who ask, as a proxy that verifies them.
func named() peercache.PoolOption {
	return peercache.WithAuthenticator(func(r *http.Request) (string, error) { return r.Header.Get("Peercache-Peer"), nil })
}

// A process that its peers do not list yet gets nothing and serves by itself. It knows that they
// have another view. When they list it, its Remove that has waited for that succeeds, and it is
// ready.
func TestP8JoinerIsNotListedYet(t *testing.T) {
	for _, way := range []string{"stream", "without streams"} {
		t.Run(way, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o edition
				var nodes []*placed
				for i := range 3 {
					nodes = append(nodes, place(t, net, i, at(i), &o, nil, append(ways[way].pool, named())...))
				}
				setLists(t, nodes, [][]int{{0, 1}, {0, 1}, {0, 1, 2}})
				joiner := nodes[2]
				for k := range 20 {
					if _, err := joiner.group.Get(t.Context(), fmt.Sprint("key", k)); err != nil {
						t.Error(err)
					}
				}
				if s := joiner.group.Stats(); s.PeerLoads != 0 || s.Loads < 20 {
					t.Errorf("%d values from peers and %d loads, want all loaded here", s.PeerLoads, s.Loads)
				}
				for _, p := range joiner.pool.Stats() {
					if p.Disagreements == 0 || p.Problem != "" {
						t.Errorf("%s: %d disagreements, problem %q: want that it is known to have another view, and no problem yet", p.Peer, p.Disagreements, p.Problem)
					}
				}
				removed := make(chan error, 1)
				o.now.Add(1)
				go func() { removed <- joiner.group.Remove(t.Context(), "key0") }()
				time.Sleep(2 * time.Second)
				select {
				case err := <-removed:
					t.Errorf("Remove returns %v before the peers list it", err)
				default:
				}
				setLists(t, nodes[:2], [][]int{{0, 1, 2}, {0, 1, 2}})
				if err := <-removed; err != nil {
					t.Errorf("Remove: %v", err)
				}
				if err := joiner.unready(t); err != nil {
					t.Errorf("Ready: %v", err)
				}
				for i, n := range failedRemoves(checkFresh(t, &o, nodes)) {
					t.Errorf("node %d: %d Removes failed", i, n)
				}
				if lines := joiner.log.with("configuration is wrong"); len(lines) > 0 {
					t.Errorf("it warns of what is normal in a deploy: %v", lines)
				}
			})
		})
	}
}

// failedRemoves returns those that are not zero.
func failedRemoves(failed []int) map[int]int {
	some := make(map[int]int)
	for i, n := range failed {
		if n > 0 {
			some[i] = n
		}
	}
	return some
}

// A process that is taken off the list is let in for two minutes: it may not know yet, and may have
// values to hand over. Then it gets nothing, on the stream that it has.
func TestDelistedProcess(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		var nodes []*placed
		for i := range 3 {
			nodes = append(nodes, place(t, net, i, at(i), &o, nil, named()))
		}
		setLists(t, nodes, nil)
		former := nodes[2]
		if err := former.unready(t); err != nil {
			t.Fatal(err)
		}
		key := ownedByOther(t, former.pool)
		setLists(t, nodes[:2], [][]int{{0, 1}, {0, 1}})
		get := func() (fromPeer bool) {
			before := former.group.Stats().PeerLoads
			if err := former.group.Remove(t.Context(), key); err == nil {
				t.Error("its Remove succeeds: want an error, because the lists differ")
			}
			if _, err := former.group.Get(t.Context(), key); err != nil {
				t.Error(err)
			}
			return former.group.Stats().PeerLoads > before
		}
		if !get() {
			t.Error("it gets nothing at once")
		}
		time.Sleep(3 * time.Minute)
		if get() {
			t.Error("it gets a value three minutes later")
		}
		synctest.Wait()
		if n := nodes[0].pool.AccessStats().Unauthorized + nodes[1].pool.AccessStats().Unauthorized; n == 0 {
			t.Error("no refusal is counted")
		}
	})
}

// ask has a pool answer a request, as if it came by a connection.
func ask(t *testing.T, pool *peercache.HTTPPool, from, path string, c *peer.Change) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, pool.BasePath()+path, nil)
	if c != nil {
		body, err := peer.EncodeChange(c)
		if err != nil {
			t.Fatal(err)
		}
		req = httptest.NewRequestWithContext(t.Context(), http.MethodPost, pool.BasePath()+path, bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/x-protobuf")
	}
	req.Host = "127.0.0.1"
	if from != "" {
		req.Header.Set("Peercache-Peer", from)
	}
	w := httptest.NewRecorder()
	pool.ServeHTTP(w, req)
	return w.Code
}

func TestWithAccess(t *testing.T) {
	const console, reader, broken = "http://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:4"
	var log warnings
	allow := func(a peercache.Access) error {
		switch {
		case a.From == console && a.Operation == peercache.OpClear,
			a.From == reader && a.Operation == peercache.OpGet && a.Group == "a":
			return nil
		case a.From == broken:
			panic("broken")
		case a.Default == nil:
			return errors.New("want nobody else")
		}
		return a.Default
	}
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithAccess(allow), named(), peercache.WithPoolLogger(log.logger()))
	if err != nil {
		t.Fatal(err)
	}
	var o origin
	for _, name := range []string{"a", "b"} {
		if _, err := peercache.NewGroup(name, 1<<20, &o, peercache.WithPeers(pool)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(group string) *peer.Change { return &peer.Change{Group: group, Keys: []string{"key"}} }
	clear := func(group string) *peer.Change { return &peer.Change{Group: group, All: true} }
	for _, tt := range []struct {
		what, from, path string
		change           *peer.Change
		want             int
	}{
		{"the reader gets of its group", reader, "a/key", nil, 200},
		{"the reader gets of its group what is cached", reader, "a/key", nil, 200},
		{"the reader gets of another group", reader, "b/key", nil, 403},
		{"the reader removes", reader, "change", remove("a"), 403},
		{"the reader clears", reader, "change", clear("a"), 403},
		{"the reader says who it is", reader, "change", &peer.Change{Announced: true}, 403},
		{"the console clears", console, "change", clear("a"), 200},
		{"the console clears and says who it is", console, "change", &peer.Change{Group: "a", All: true, State: peer.State{View: 1}}, 403},
		{"the console clears and has others tell of it", console, "change", &peer.Change{Group: "a", All: true, PassOn: make([]byte, 8)}, 403},
		{"the console removes", console, "change", remove("a"), 403},
		{"the console gets", console, "a/key", nil, 403},
		{"the func panics", broken, "a/key", nil, 403},
		{"it does not allow a member", "http://127.0.0.1:1", "a/key", nil, 403},
	} {
		if got := ask(t, pool, tt.from, tt.path, tt.change); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.what, got, tt.want)
		}
	}
	if lines := log.with("event=rejected", "identity="+broken, "operation=get", "group=a", "panicked"); len(lines) != 1 {
		t.Errorf("%q, want one line of the panic", lines)
	}
	s := pool.AccessStats()
	if s.Unauthorized != 10 || s.Clears != 1 {
		t.Errorf("%+v, want 10 refusals and one Clear", s)
	}
	if err := pool.Shutdown(inside(t)); err != nil {
		t.Error(err)
	}
	for _, opts := range [][]peercache.PoolOption{{peercache.WithAccess(nil)}, {peercache.WithAccess(allow), peercache.WithAccess(allow)}} {
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", opts...); err == nil || !strings.Contains(err.Error(), "WithAccess") {
			t.Errorf("%v, want an error that names the option", err)
		}
	}
}

// TestRefusedMember has a peer whose WithAccess does not let a member in: that is an error of a
// Remove, at once, and a problem.
func TestRefusedMember(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		strict := peercache.WithAccess(func(a peercache.Access) error {
			if !a.Member || a.Operation != peercache.OpMembership {
				return errors.New("only membership, says the secret policy")
			}
			return nil
		})
		nodes := []*placed{place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil, strict)}
		setLists(t, nodes, nil)
		if err := nodes[0].unready(t); err != nil {
			t.Fatal(err)
		}
		key := ownedByOther(t, nodes[0].pool)
		start := time.Now()
		err := nodes[0].group.Remove(t.Context(), key)
		if !errors.Is(err, peercache.ErrUnauthorized) || time.Since(start) > time.Second || strings.Contains(err.Error(), "secret policy") {
			t.Errorf("Remove returns %v after %v, want ErrUnauthorized at once, and not the text of the policy", err, time.Since(start))
		}
		for range 10 {
			if _, err := nodes[0].group.Get(t.Context(), key); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		if n := nodes[0].group.Stats().PeerLoads; n != 0 {
			t.Errorf("it got %d values", n)
		}
		if p := nodes[0].pool.Stats()[0]; !strings.Contains(p.Problem, "WithAccess") || p.Breaker != peercache.BreakerClosed {
			t.Errorf("the problem %q, breaker %v: want that the WithAccess refuses it, and that it is asked for the rest", p.Problem, p.Breaker)
		}
		if lines := nodes[0].log.with("the configuration is wrong", "WithAccess"); len(lines) != 1 {
			t.Errorf("%q, want one warning", lines)
		}
		time.Sleep(15 * time.Second) // nobody asks, and nobody is refused
		if p := nodes[0].pool.Stats()[0].Problem; p != "" {
			t.Errorf("the problem %q lasts", p)
		}
	})
}

// A peer of golang/groupcache does not say who it is. It may get, and nothing else.
func TestNamelessMayGet(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithGroupcacheCompat())
	if err != nil {
		t.Fatal(err)
	}
	var o origin
	if _, err := peercache.NewGroup("test", 1<<20, &o, peercache.WithPeers(pool)); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, pool, "", "test/key", nil); got != 200 {
		t.Errorf("a get: status %d", got)
	}
	for _, c := range []*peer.Change{{Group: "test", Keys: []string{"key"}}, {Group: "test", All: true}} {
		if got := ask(t, pool, "", "change", c); got != 403 {
			t.Errorf("a change: status %d, want 403", got)
		}
		if got := ask(t, pool, "http://127.0.0.1:2", "change", c); got != 200 {
			t.Errorf("a change of a process with a name: status %d", got)
		}
	}
	if err := pool.Shutdown(inside(t)); err != nil {
		t.Error(err)
	}
}

// TestAudit has peers come, clear, and leave, and looks at what is recorded.
func TestAudit(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		var log poolLog
		c := simConfig{getter: &o, pool: log.options}
		nodes := []*node{startSimNode(t, net, 0, c), startSimNode(t, net, 1, simConfig{getter: &o})}
		introduce(t, nodes, nodes...)
		if err := nodes[1].group.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].group.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		nodes[1].stop(t)
		synctest.Wait()
		var events []string
		for line := range strings.Lines(log.String()) {
			if _, event, ok := strings.Cut(strings.TrimSpace(line), " event="); ok {
				events = append(events, event)
			}
		}
		a, b := nodes[0].url, nodes[1].url
		slices.Sort(events)
		want := []string{
			fmt.Sprintf("clear identity=%s group=test", a), fmt.Sprintf("clear identity=%s group=test", b),
			fmt.Sprintf("leave identity=%s by=itself", b),
			fmt.Sprintf("view identity=%s by=set peers=2 came=%s left=\"\"", a, b),
			fmt.Sprintf("view identity=%s by=peers peers=1 came=\"\" left=%s", b, b),
		}
		slices.Sort(want)
		if !slices.Equal(events, want) {
			t.Errorf("the events are\n%s\nwant\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
		}
		s := nodes[0].pool.AccessStats()
		if s.Clears < 2 {
			t.Errorf("%d Clears, want that of each process", s.Clears)
		}
		s.Clears = 0
		if want := (peercache.AccessStats{Leaves: 1}); s != want {
			t.Errorf("%+v, want %+v", s, want)
		}
	})
}

// A refusal says so in the body, too, for those that do not look at the status.
func TestRefusalHasABody(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1", named())
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, pool.BasePath()+"test/key", nil)
	req.Host = "127.0.0.1"
	req.Header.Set("Peercache-Peer", "http://127.0.0.1:2")
	w := httptest.NewRecorder()
	pool.ServeHTTP(w, req)
	var resp pb.GetResponse
	if err := proto.Unmarshal(w.Body.Bytes(), &resp); err != nil || resp.GetError().GetKind() != pb.Error_KIND_UNAUTHORIZED {
		t.Errorf("%v, %v, want an answer of that kind", &resp, err)
	}
	if err := pool.Shutdown(inside(t)); err != nil {
		t.Error(err)
	}
}
