package node

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A command asks the node that its flags name; what they leave open, the configuration says, which a
// variable may name as well.
func TestCommandsFindTheNode(t *testing.T) {
	asked := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name+" "+r.URL.Path) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	flag, file := asked("flag"), asked("file")
	inDir(t, map[string]string{"c.yaml": goodGroup + "http: {listen: '" + strings.TrimPrefix(file, "http://") + "'}\n"})
	for _, test := range []struct{ args, env, want string }{
		{"get a k -c c.yaml", "", "file"},
		{"get a k", "PEERCACHED_CONFIG=c.yaml", "file"},
		{"get a k -c c.yaml --http " + flag, "", "flag"},
		{"get a k --http " + flag + "/", "PEERCACHED_CONFIG=c.yaml", "flag"},
		{"get a k", "PEERCACHED_HTTP_URL=" + flag, "flag"},
	} {
		var env []string
		if name, value, ok := strings.Cut(test.env, "="); ok {
			env = []string{test.env}
			t.Setenv("PEERCACHED_CONFIG", "")
			t.Setenv("PEERCACHED_HTTP_URL", "")
			t.Setenv(name, value)
		}
		status, stdout, stderr := run(t, env, strings.Fields(test.args)...)
		if want := test.want + " /v1/a/k"; status != ExitOK || stdout != want {
			t.Errorf("%s, with %q: status %d, %q, %s: want %q", test.args, test.env, status, stdout, stderr, want)
		}
	}
}

// Who removes a key reads which nodes have not heard of it.
func TestCommandsNamePendingPeers(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"code":"incomplete","detail":"not everybody has heard.","pending":[{"peer":"http://b:1","until":"2030-01-02T03:04:05Z"},{"peer":"http://c:1"}]}`)
	}))
	t.Cleanup(s.Close)
	status, _, stderr := run(t, nil, "rm", "a", "k", "--http", s.URL)
	if want := "not everybody has heard. Pending: http://b:1 until 2030-01-02T03:04:05Z, http://c:1\n"; status != ExitFailed || !strings.HasSuffix(stderr, want) {
		t.Errorf("status %d, %q: want %d and %q", status, stderr, ExitFailed, want)
	}
}
