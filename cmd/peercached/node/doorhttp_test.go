package node

import (
	"net/http"
	"testing"
)

// TestHTTPHosts checks that the HTTP door does not answer a web page whose name resolves to its loopback
// address, unless a token keeps that out.
func TestHTTPHosts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		more   string
		status int
	}{
		"open":   {"--http.read_only=false", http.StatusForbidden},
		"named":  {"--http.hosts=cache.example", http.StatusOK},
		"tokens": {"--http.tokens=[{token: a-token-of-the-door}]", http.StatusUnauthorized},
	} {
		ports := freePorts(t, 3)
		p := start(t, nil, "serve", "--peers.listen=127.0.0.1:"+ports[0], "--admin.listen=127.0.0.1:"+ports[1], "--http.listen=127.0.0.1:"+ports[2],
			"--groups.a.bytes=4MiB", "--groups.a.origin.upper.suffix=!", tt.more)
		p.wait(t, "serving")
		req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+ports[2]+"/v1/a/tom", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "cache.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, tt.status)
		}
	}
}
