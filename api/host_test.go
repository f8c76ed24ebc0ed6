package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// TestHosts plays a web page whose name resolves to the address of the handler, a loopback one.
func TestHosts(t *testing.T) {
	secret := strings.Repeat("s", 16)
	for _, tt := range []struct {
		name string
		opts []api.Option
		host string
		want int
	}{
		{"the address", nil, "127.0.0.1:8003", 200},
		{"IPv6", nil, "[::1]:8003", 200},
		{"localhost", nil, "localhost:8003", 200},
		{"below localhost", nil, "cache.localhost", 200},
		{"a page", nil, "evil.example:8003", 403},
		{"a page with a dot at the end", nil, "EVIL.example.", 403},
		{"a page that looks like localhost", nil, "localhost.evil.example", 403},
		{"a proxy", []api.Option{api.WithHosts("Cache.example")}, "cache.example", 200},
		{"a page beside a proxy", []api.Option{api.WithHosts("cache.example")}, "evil.example", 403},
		{"all hosts", []api.Option{api.WithHosts("*")}, "evil.example", 200},
		{"a token, which a page does not know", []api.Option{tokens(t, map[string]door.Rights{secret: {May: door.RightGet}})}, "cache.example", 200},
		{"hosts and a token", []api.Option{tokens(t, map[string]door.Rights{secret: {May: door.RightGet}}), api.WithHosts("cache.example")}, "evil.example", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := serverOf(t, handlerOf(t, []door.Cache{scores()}, tt.opts...))
			req, err := http.NewRequest(http.MethodGet, server.URL+"/v1/scores/Tom", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tt.host
			req.Header.Set("Authorization", "Bearer "+secret)
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); resp.StatusCode != tt.want || err != nil || tt.want == 403 && !strings.Contains(string(body), `"forbidden"`) {
				t.Errorf("status %d, %q, %v: want %d", resp.StatusCode, body, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"", "http://a.example", "a.example:80", "*.example"} {
		if _, err := api.New([]door.Cache{scores()}, api.WithHosts(bad)); err == nil {
			t.Errorf("WithHosts(%q) is taken", bad)
		}
	}
}

// TestPagesOfOtherSites sends what a page of another site can have a browser send without asking first
// (https://fetch.spec.whatwg.org/#cors-safelisted-method): nothing changes, and no page may read answers.
func TestPagesOfOtherSites(t *testing.T) {
	f := newFake("scores", "Tom", "630")
	h := handlerOf(t, []door.Cache{f})
	for _, target := range []string{"/v1/scores:clear", "/v1/scores:remove", "/v1/scores:batchGet", "/v1/scores/Tom"} {
		for _, contentType := range []string{"", "text/plain", "text/plain;application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
			headers := []string{"Origin: http://evil.example"}
			if contentType != "" {
				headers = append(headers, "Content-Type: "+contentType)
			}
			resp := ask(t, h, http.MethodPost, target, `{"keys":["Tom"]}`, headers...)
			if resp.StatusCode != http.StatusUnsupportedMediaType && resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("POST %s with %q: status %d", target, contentType, resp.StatusCode)
			}
		}
		// What asks first hears no.
		resp := ask(t, h, http.MethodOptions, target, "", "Origin: http://evil.example", "Access-Control-Request-Method: PUT")
		if resp.StatusCode < 400 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("OPTIONS %s: status %d, %v", target, resp.StatusCode, resp.Header)
		}
	}
	resp := ask(t, h, http.MethodGet, "/v1/scores/Tom", "", "Origin: http://evil.example")
	if got := resp.Header.Get("Access-Control-Allow-Origin") + resp.Header.Get("X-Content-Type-Options"); got != "nosniff" || bodyOf(t, resp) != "630" {
		t.Errorf("%q: want no page to read that, and the value to be there still", got)
	}
}
