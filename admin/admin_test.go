package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/admin"
)

// process is a pool with a group, and its handler for operators.
type process struct {
	name  string
	pool  *peercache.HTTPPool
	group *peercache.Group
	peers *httptest.Server
	admin *httptest.Server

	mu      sync.Mutex
	streams []net.Conn // guarded by mu; those that the server gave away
}

// kill ends what the peers see of p, at once.
func (p *process) kill() {
	p.peers.Listener.Close()
	p.peers.CloseClientConnections()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.streams {
		c.Close()
	}
}

// newProcesses starts n processes that know each other.
func newProcesses(t *testing.T, n int, opts ...admin.Option) []*process {
	t.Helper()
	var all []*process
	var names []string
	for range n {
		var p process
		p.peers = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.pool.ServeHTTP(w, r) }))
		p.peers.Config.ConnState = func(c net.Conn, s http.ConnState) {
			if s == http.StateHijacked {
				p.mu.Lock()
				p.streams = append(p.streams, c)
				p.mu.Unlock()
			}
		}
		p.name = "http://" + p.peers.Listener.Addr().String()
		var err error
		if p.pool, err = peercache.NewHTTPPool(p.name); err != nil {
			t.Fatal(err)
		}
		getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			return []byte("the secret of " + key), nil
		})
		if p.group, err = peercache.NewGroup("scores", 1<<20, getter, peercache.WithPeers(p.pool), peercache.WithTTL(time.Hour)); err != nil {
			t.Fatal(err)
		}
		handler, err := admin.Handler(p.pool, opts...)
		if err != nil {
			t.Fatal(err)
		}
		p.admin = httptest.NewServer(handler)
		p.peers.Start()
		all, names = append(all, &p), append(names, p.name)
	}
	t.Cleanup(func() {
		for _, p := range all {
			p.admin.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_ = p.pool.Shutdown(ctx) // a test may have taken its peers away
			cancel()
			p.peers.Close()
		}
	})
	for _, p := range all {
		if err := p.pool.Set(names...); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range all {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := p.pool.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// ownedBy returns a key that p owns.
func ownedBy(t *testing.T, p *process) string {
	t.Helper()
	for i := range 1000 {
		key := fmt.Sprint("key-", i)
		if p.group.Whereabouts(key).Owner == p.name {
			return key
		}
	}
	t.Fatal("it owns none of 1000 keys")
	return ""
}

// asked is a response.
type asked struct {
	status int
	header http.Header
	text   string
}

// ask sends a request, with headers as name and value.
func (p *process) ask(t *testing.T, method, path string, form url.Values, header ...string) asked {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.admin.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return asked{resp.StatusCode, resp.Header, string(text)}
}

// get asks for JSON.
func (p *process) get(t *testing.T, path string) (v map[string]any) {
	t.Helper()
	a := p.ask(t, "GET", path, nil)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("GET %s: status %d, %s: %s", path, a.status, a.header.Get("Content-Type"), a.text)
	}
	if err := json.Unmarshal([]byte(a.text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProbes(t *testing.T) {
	all := newProcesses(t, 2, admin.Metrics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics here") })))
	p := all[0]
	for path, want := range map[string]string{"/livez": "ok\n", "/readyz": "ok\n", "/readyz?verbose": "[+] ready\n", "/metrics": "metrics here"} {
		if a := p.ask(t, "GET", path, nil, "Host", "by.any.name"); a.status != http.StatusOK || a.text != want {
			t.Errorf("GET %s: status %d, %q: want 200, %q", path, a.status, a.text, want)
		}
	}
	all[1].kill()
	key := ownedBy(t, all[1])
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := p.group.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		_ = p.group.Remove(t.Context(), key)
		a := p.ask(t, "GET", "/readyz?verbose", nil)
		if strings.Contains(a.text, "[!] "+all[1].name+" cannot be reached") {
			if a.status != http.StatusOK {
				t.Errorf("status %d: a peer that is away does not make this process not ready", a.status)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a peer is away, and the list is %q", a.text)
		}
	}
}

func TestPeersAndRing(t *testing.T) {
	all := newProcesses(t, 3)
	if _, err := all[0].group.Get(t.Context(), ownedBy(t, all[1])); err != nil {
		t.Fatal(err)
	}
	v := all[0].get(t, "/api/v1/peers")
	if v["self"] != all[0].name {
		t.Errorf("self is %v: want %s", v["self"], all[0].name)
	}
	sum := 0.0
	for _, one := range v["peers"].([]any) {
		p := one.(map[string]any)
		sum += p["share"].(float64)
		if p["state"] != "up" || p["self"] != (p["peer"] == all[0].name) {
			t.Errorf("%v: want it up", p)
		}
		if p["peer"] == all[1].name {
			if f := p["figures"].(map[string]any); f["requests"].(float64) < 1 || f["breaker"] != "closed" || f["latency"].(map[string]any)["p99Seconds"].(float64) <= 0 {
				t.Errorf("figures %v: want a request, and how long it took", f)
			}
		}
	}
	if sum < 0.999 || sum > 1.001 {
		t.Errorf("the shares add up to %f", sum)
	}
	ring, other := all[0].get(t, "/api/v1/ring"), all[1].get(t, "/api/v1/ring")
	if ring["view"] != other["view"] || len(ring["shares"].([]any)) != 3 || len(ring["leaving"].([]any)) != 0 {
		t.Errorf("rings %v and %v: want one view", ring, other)
	}
}

func TestGroups(t *testing.T) {
	p := newProcesses(t, 1)[0]
	for range 3 {
		if _, err := p.group.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	g := p.get(t, "/api/v1/groups")["groups"].([]any)[0].(map[string]any)
	figures := g["figures"].(map[string]any)
	if g["group"] != "scores" || figures["gets"] != 3.0 || figures["hits"] != 2.0 || figures["main"].(map[string]any)["items"] != 1.0 {
		t.Errorf("%v: want 3 gets, 2 hits, one item", g)
	}
}

// The owner of a key says who has copies; no value is shown without ShowValues.
func TestKey(t *testing.T) {
	all := newProcesses(t, 2)
	owner, asker := all[0], all[1]
	key := ownedBy(t, owner)
	if _, err := asker.group.Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	path := "/api/v1/key?" + url.Values{"group": {"scores"}, "key": {key}}.Encode()
	v := owner.get(t, path)
	main := v["main"].(map[string]any)
	if v["owner"] != owner.name || v["owned"] != true || main["bytes"] != float64(len("the secret of "+key)) || main["leftSeconds"].(float64) < 3000 || main["ageSeconds"].(float64) > 60 || main["leaseSeconds"] != nil {
		t.Errorf("%v: want the value, an hour left", v)
	}
	if holders := v["holders"].([]any); !slices.ContainsFunc(holders, func(h any) bool { return h.(map[string]any)["peer"] == asker.name }) {
		t.Errorf("holders %v: want %s", holders, asker.name)
	}
	if v := asker.get(t, path); v["owner"] != owner.name || v["owned"] != false || v["main"] != nil {
		t.Errorf("%v: want the owner, and nothing of its own", v)
	}
	for _, path := range []string{path, "/?" + strings.SplitN(path, "?", 2)[1], "/api/v1/groups", "/api/v1/events"} {
		if a := owner.ask(t, "GET", path, nil); strings.Contains(a.text, "secret") {
			t.Errorf("GET %s shows the value: want that with ShowValues alone", path)
		}
	}
	for query, want := range map[string]int{"": http.StatusBadRequest, "?group=scores": http.StatusBadRequest, "?group=none&key=k": http.StatusNotFound} {
		if a := owner.ask(t, "GET", "/api/v1/key"+query, nil); a.status != want || !strings.Contains(a.text, `"error"`) {
			t.Errorf("GET key%s: status %d, %s: want %d, and why", query, a.status, a.text, want)
		}
	}
}

func TestShowValues(t *testing.T) {
	p := newProcesses(t, 1, admin.ShowValues())[0]
	for key, value := range map[string]string{"text": "hello", "raw": "\xff\x00", "long": strings.Repeat("x", 100<<10)} {
		if err := p.group.Set(t.Context(), key, peercache.Item{Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
		main := p.get(t, "/api/v1/key?group=scores&key="+key)["main"].(map[string]any)
		switch key {
		case "text":
			if main["value"] != "hello" {
				t.Errorf("%v: want the value", main)
			}
		case "raw":
			if main["valueBase64"] != "/wA=" {
				t.Errorf("%v: want the bytes", main)
			}
		case "long":
			if main["valueCut"] != true || len(main["value"].(string)) != 64<<10 {
				t.Errorf("%d bytes, cut %v: want 64 KiB", len(main["value"].(string)), main["valueCut"])
			}
		}
	}
}

func TestEvents(t *testing.T) {
	p := newProcesses(t, 1)[0]
	p.pool.Logger().Warn("something <b>odd</b>", "peer", "a")
	all := p.get(t, "/api/v1/events")["events"].([]any)
	last := all[len(all)-1].(map[string]any)
	if last["message"] != "something <b>odd</b>" || last["level"] != "warn" || last["attrs"].(map[string]any)["peer"] != "a" {
		t.Errorf("the last event is %v", last)
	}
	if rest := p.get(t, fmt.Sprintf("/api/v1/events?after=%v", last["seq"]))["events"].([]any); len(rest) != 0 {
		t.Errorf("after the last one: %v", rest)
	}
	if a := p.ask(t, "GET", "/", nil); !strings.Contains(a.text, "something &lt;b&gt;odd&lt;/b&gt;") {
		t.Error("the page does not show the event, or not as text")
	}
}

func TestActions(t *testing.T) {
	all := newProcesses(t, 2)
	p := all[0]
	key := ownedBy(t, all[1])
	load := func() {
		t.Helper()
		if _, err := p.group.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if all[1].group.Whereabouts(key).Main == nil {
			t.Fatal("the owner has no value")
		}
	}
	form := url.Values{"group": {"scores"}, "key": {key}}
	for _, action := range []string{"/api/v1/remove", "/api/v1/clear"} {
		load()
		if a := p.ask(t, "GET", action+"?"+form.Encode(), nil); a.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: status %d, want 405", action, a.status)
		}
		if all[1].group.Whereabouts(key).Main == nil {
			t.Errorf("GET %s drops the value", action)
		}
		if a := p.ask(t, "POST", action, form); a.status != http.StatusOK || !strings.Contains(a.text, `"done"`) {
			t.Errorf("POST %s: status %d, %s", action, a.status, a.text)
		}
		if all[1].group.Whereabouts(key).Main != nil {
			t.Errorf("POST %s leaves the value", action)
		}
	}
	load()
	if a := p.ask(t, "POST", "/api/v1/remove", form, "Accept", "text/html"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "../../?done=removed") {
		t.Errorf("a form: status %d, to %s: want the page", a.status, a.header.Get("Location"))
	}
	for action, status := range map[string]int{"/api/v1/remove?group=scores": 400, "/api/v1/remove?group=none&key=k": 404, "/api/v1/clear": 400, "/api/v1/clear?group=none": 404} {
		if a := p.ask(t, "POST", action, nil); a.status != status {
			t.Errorf("POST %s: status %d, want %d", action, a.status, status)
		}
		if a := p.ask(t, "POST", action, nil, "Accept", "text/html"); a.status != status || !strings.Contains(a.text, `class="notice bad"`) {
			t.Errorf("a form to %s: status %d, want %d and a page that says why", action, a.status, status)
		}
	}
	events := p.ask(t, "GET", "/api/v1/events", nil).text
	if !strings.Contains(events, "an operator's action is done") || !strings.Contains(events, "clear group") {
		t.Errorf("events %s: want the actions", events)
	}
}

// An action that is incomplete says who may serve old values.
func TestIncompleteAction(t *testing.T) {
	all := newProcesses(t, 2)
	key := ownedBy(t, all[1])
	all[1].kill()
	a := all[0].ask(t, "POST", "/api/v1/remove", url.Values{"group": {"scores"}, "key": {key}})
	if a.status != http.StatusBadGateway || !strings.Contains(a.text, `"pending"`) || !strings.Contains(a.text, `"peer": "`+all[1].name) {
		t.Errorf("status %d, %s: want 502, and who is pending", a.status, a.text)
	}
}

// A drained process is not ready, its peers have its keys, and it goes on answering.
func TestDrain(t *testing.T) {
	all := newProcesses(t, 2)
	p := all[0]
	key := ownedBy(t, p)
	if _, err := p.group.Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one waits for the first, and finds it done
		if a := p.ask(t, "POST", "/api/v1/drain", nil); a.status != http.StatusOK || !strings.Contains(a.text, "drained") {
			t.Fatalf("status %d, %s", a.status, a.text)
		}
	}
	if a := p.ask(t, "GET", "/readyz?verbose", nil); a.status != http.StatusServiceUnavailable || !strings.Contains(a.text, "[-] not ready") || !strings.Contains(a.text, p.name+" is leaving") {
		t.Errorf("status %d, %q: want 503", a.status, a.text)
	}
	if a := p.ask(t, "GET", "/livez", nil); a.status != http.StatusOK {
		t.Errorf("livez: status %d", a.status)
	}
	at := all[1].group.Whereabouts(key)
	if at.Owner != all[1].name || at.Main == nil {
		t.Errorf("the peer says %+v: want that it owns the key, and has the value", at)
	}
	if v, err := p.group.Get(t.Context(), "another"); err != nil || v.String() != "the secret of another" {
		t.Errorf("a Get afterwards: %v, %v", v, err)
	}
	if a := p.ask(t, "GET", "/", nil); !strings.Contains(a.text, "not ready") {
		t.Error("the page does not say that it is not ready")
	}
}

// What a page of somebody else makes a browser send is refused.
func TestForeignPages(t *testing.T) {
	p := newProcesses(t, 1, admin.Hosts("Cache.Example.com"))[0]
	form := url.Values{"group": {"scores"}}
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"}, {"Origin", "null"}, {"Host", "evil.example"},
	} {
		if a := p.ask(t, "POST", "/api/v1/clear", form, header...); a.status != http.StatusForbidden {
			t.Errorf("POST with %v: status %d, want 403", header, a.status)
		}
	}
	for _, path := range []string{"/", "/api/v1/peers", "/assets/page.js", "/nothing"} {
		if a := p.ask(t, "GET", path, nil, "Host", "evil.example:9001"); a.status != http.StatusForbidden || !strings.Contains(a.text, "admin.Hosts") {
			t.Errorf("GET %s for another host: status %d, %s: want 403, and what to do", path, a.status, a.text)
		}
	}
	refusals := 0
	for _, e := range p.pool.Events() {
		if e.Message == "an operator's request was refused" {
			refusals += e.Times
		}
	}
	if refusals != 1 {
		t.Errorf("%d lines are logged of 9 refusals: want one, because the rest comes too soon", refusals)
	}
	for _, host := range []string{"localhost:9001", "[::1]:9001", "127.0.0.1", "cache-0", "cache.example.com:80"} {
		if a := p.ask(t, "GET", "/", nil, "Host", host); a.status != http.StatusOK {
			t.Errorf("GET / for %s: status %d, want 200", host, a.status)
		}
	}
	if a := p.ask(t, "POST", "/api/v1/clear", form, "Sec-Fetch-Site", "same-origin"); a.status != http.StatusOK {
		t.Errorf("a POST of the page: status %d", a.status)
	}
}

func TestAuthorize(t *testing.T) {
	known := func(r *http.Request) error {
		if r.Header.Get("Authorization") != "Bearer good" {
			return errors.New("who are you?")
		}
		return nil
	}
	form := url.Values{"group": {"scores"}}
	for _, c := range []struct {
		name               string
		option             admin.Option
		look, act, metrics int
	}{
		{"actions", admin.Authorize(known), 200, 403, 200},
		{"all", admin.AuthorizeAll(known), 403, 403, 403},
		{"read only", admin.ReadOnly(), 200, 405, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProcesses(t, 1, c.option, admin.Metrics(http.NotFoundHandler()))[0]
			for _, path := range []string{"/", "/api/v1/peers", "/api/v1/key?group=scores&key=k", "/assets/page.css"} {
				if a := p.ask(t, "GET", path, nil); a.status != c.look {
					t.Errorf("GET %s: status %d, want %d", path, a.status, c.look)
				}
			}
			if a := p.ask(t, "GET", "/metrics", nil); (a.status == http.StatusForbidden) != (c.metrics == http.StatusForbidden) {
				t.Errorf("metrics: status %d", a.status)
			}
			for _, action := range []string{"remove", "clear", "drain"} {
				// Without the action, the path is that of no method.
				if a := p.ask(t, "POST", "/api/v1/"+action, form); a.status != c.act && !(c.act == 405 && a.status == 404) {
					t.Errorf("POST %s: status %d, want %d", action, a.status, c.act)
				}
			}
			if a := p.ask(t, "GET", "/livez", nil); a.status != http.StatusOK {
				t.Errorf("livez: status %d", a.status)
			}
			if c.act == http.StatusForbidden {
				if a := p.ask(t, "POST", "/api/v1/clear", form, "Authorization", "Bearer good"); a.status != http.StatusOK {
					t.Errorf("with the token: status %d, %s", a.status, a.text)
				}
				if a := p.ask(t, "GET", "/api/v1/events", nil, "Authorization", "Bearer good"); !strings.Contains(a.text, "an operator's request was refused") {
					t.Errorf("events %s: want the refusal", a.text)
				}
			}
			if a := p.ask(t, "GET", "/", nil, "Authorization", "Bearer good"); strings.Contains(a.text, "Drain") == (c.act == 405) {
				t.Error("the page has actions that are not there, or lacks those that are")
			}
		})
	}
}

// All that is served keeps a browser to the page's own files, and the page needs nothing else.
func TestPolicy(t *testing.T) {
	p := newProcesses(t, 1)[0]
	for _, path := range []string{"/", "/api/v1/peers", "/assets/page.js", "/assets/page.css", "/assets/icon.svg", "/livez", "/nothing"} {
		h := p.ask(t, "GET", path, nil).header
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s: without nosniff", path)
		}
	}
	text := p.ask(t, "GET", "/", nil).text
	for _, bad := range []string{" style=", "<style", " onclick", "javascript:", "//cdn"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q, which the policy forbids", bad)
		}
	}
	tag := p.ask(t, "GET", "/assets/page.js", nil).header.Get("ETag")
	if a := p.ask(t, "GET", "/assets/page.js", nil, "If-None-Match", tag); tag == "" || a.status != http.StatusNotModified {
		t.Errorf("the script again, with tag %q: status %d, want 304", tag, a.status)
	}
}

// The handler works below a path.
func TestBelowAPath(t *testing.T) {
	p := newProcesses(t, 1)[0]
	handler, err := admin.Handler(p.pool)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/cache/", http.StripPrefix("/cache", handler))
	p.admin.Config.Handler = mux
	if a := p.ask(t, "GET", "/cache/", nil); a.status != http.StatusOK || strings.Contains(a.text, `="/`) {
		t.Errorf("status %d: want a page whose paths are all relative", a.status)
	}
	a := p.ask(t, "POST", "/cache/api/v1/clear", url.Values{"group": {"scores"}}, "Accept", "text/html")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "../../?done=cleared") {
		t.Errorf("a form: status %d, to %q: want the page", a.status, a.header.Get("Location"))
	}
}

func TestBadArguments(t *testing.T) {
	pool := newProcesses(t, 1)[0].pool
	for name, make := range map[string]func() (http.Handler, error){
		"nil pool":     func() (http.Handler, error) { return admin.Handler(nil) },
		"typed nil":    func() (http.Handler, error) { return admin.Handler((*peercache.HTTPPool)(nil)) },
		"nil option":   func() (http.Handler, error) { return admin.Handler(pool, nil) },
		"Metrics":      func() (http.Handler, error) { return admin.Handler(pool, admin.Metrics(nil)) },
		"Authorize":    func() (http.Handler, error) { return admin.Handler(pool, admin.Authorize(nil)) },
		"AuthorizeAll": func() (http.Handler, error) { return admin.Handler(pool, admin.AuthorizeAll(nil)) },
		"Hosts":        func() (http.Handler, error) { return admin.Handler(pool, admin.Hosts("http://a/")) },
		"DrainTime":    func() (http.Handler, error) { return admin.Handler(pool, admin.DrainTime(0)) },
	} {
		if h, err := make(); err == nil || h != nil {
			t.Errorf("%s: no error", name)
		}
	}
}
