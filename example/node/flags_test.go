package node

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/peertls"
)

// testSecret is what processes of a test have in common.
const testSecret = "a secret of a test"

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(secretVariable, testSecret)
	defaults := config{secret: testSecret, detection: 500 * time.Millisecond, cacheBytes: 64 << 20, logLevel: slog.LevelDebug,
		tls: tlsFiles{every: peertls.DefaultEvery}}
	tests := []struct {
		args string
		want func(*config)
	}{
		{"", func(c *config) { c.ports, c.api = []int{8001, 8002, 8003}, "127.0.0.1:9999" }},
		{"-nodes 0,9001 -api :0 -dir " + dir, func(c *config) { c.ports, c.api, c.dir = []int{0, 9001}, ":0", dir }},
		{"-port 8001", func(c *config) { c.oneNode, c.listen = true, "127.0.0.1:8001" }},
		{"-port 0 -api :9999", func(c *config) { c.oneNode, c.listen, c.api = true, "127.0.0.1:0", ":9999" }},
		{"-port 0 -peers -", func(c *config) { c.oneNode, c.listen, c.followPeers = true, "127.0.0.1:0", true }},
		{"-port 8001 -peers http://127.0.0.1:8001,http://127.0.0.1:8002", func(c *config) {
			c.oneNode, c.listen = true, "127.0.0.1:8001"
			c.peers = []string{"http://127.0.0.1:8001", "http://127.0.0.1:8002"}
		}},
		{"-port 8002 -own-nothing -peers http://127.0.0.1:8001,http://127.0.0.1:8002#owns=nothing", func(c *config) {
			c.oneNode, c.listen, c.ownNothing = true, "127.0.0.1:8002", true
			c.peers = []string{"http://127.0.0.1:8001", "http://127.0.0.1:8002#owns=nothing"}
		}},
		{"-port 8001 -self http://10.0.0.1:81 -peers http://10.0.0.1:81", func(c *config) {
			c.oneNode, c.listen, c.self, c.peers = true, ":8001", "http://10.0.0.1:81", []string{"http://10.0.0.1:81"}
		}},
		{"-port 1 -self https://10.0.0.1:1 -tls-cert c -tls-key k -tls-ca a -tls-every 1m", func(c *config) {
			c.oneNode, c.listen, c.self = true, ":1", "https://10.0.0.1:1"
			c.tls = tlsFiles{"c", "k", "a", time.Minute}
		}},
		{"-port 1 -origin-delay 300ms -cache-bytes 9 -log-level warn", func(c *config) {
			c.oneNode, c.listen = true, "127.0.0.1:1"
			c.originDelay, c.cacheBytes, c.logLevel = 300*time.Millisecond, 9, slog.LevelWarn
		}},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			want := defaults
			test.want(&want)
			got, err := parseFlags(strings.Fields(test.args), io.Discard, ownSources)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, error %v\nwant %+v", got, err, want)
			}
		})
	}
}

// Each source is chosen by its name, and its discovery made of its own flags. One
// that the caller of Main brings is a source like the others.
func TestDiscoveryFlags(t *testing.T) {
	pigeon := Source{Name: "pigeon", Flags: func(f *flag.FlagSet) func(*slog.Logger) (discovery.Discovery, error) {
		loft := f.String("loft", "", "where the pigeons live")
		return func(*slog.Logger) (discovery.Discovery, error) { return discovery.Static(*loft) }
	}}
	t.Setenv(secretVariable, testSecret)
	tests := map[string]string{
		"": "<nil>",
		"-peers http://127.0.0.1:1,http://127.0.0.1:2": "discovery.static",
		"-discovery static -peers http://127.0.0.1:1":  "discovery.static",
		"-peers -":                                      "<nil>",
		"-discovery file -peers-file x":                 "*discovery.file",
		"-discovery dns -dns http://peers:1":            "discovery.addresses",
		"-discovery dns -srv http://_peers._tcp.shop":   "discovery.services",
		"-discovery pigeon -loft http://127.0.0.1:1":    "discovery.static",
		"-discovery pigeon -self http://a:1 -loft roof": "discovery.static",
	}
	for args, want := range tests {
		c, err := parseFlags(append([]string{"-port", "1"}, strings.Fields(args)...), io.Discard, append(ownSources, pigeon))
		if err == nil {
			err = c.openDiscovery(slog.New(slog.DiscardHandler))
		}
		if got := fmt.Sprintf("%T", c.discovery); got != want || err != nil {
			t.Errorf("%s: got a %s, error %v: want a %s", args, got, err, want)
		}
	}
}

// Each message says what is wrong, and what would be right or which flag is
// concerned. The process ends with the status that shells know for usage.
func TestFlagErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	tests := []struct{ args, want string }{
		{"8001", `unexpected argument "8001": want only flags`},
		{"-nonsense", "-nonsense"},
		{"-port x", `"x" for flag -port`},
		{"-port -1", "-port -1: want 1 to 65535"},
		{"-port 65536", "-port 65536: want 1 to 65535"},
		{"-port 0 -self http://127.0.0.1:1", "want -port 1 to 65535"},
		{"-port 0 -peers http://127.0.0.1:1", "want -port 1 to 65535"},
		{"-port 1 -nodes 1", "want one of the two"},
		{"-own-nothing", "want -port as well"},
		{"-port 1 -own-nothing -peers http://127.0.0.1:1", "#owns=nothing"},
		{"-port 1 -self 127.0.0.1", "-self: peercache:"},
		{"-port 1 -peers http://127.0.0.1:2", "lacks this process"},
		{"-port 1 -peers http://127.0.0.1:1,http://127.0.0.1:1", "twice"},
		{"-port 1 -peers http://127.0.0.1:1,", `peer ""`},
		{"-peers http://127.0.0.1:1", "want -port as well"},
		{"-self http://127.0.0.1:1", "want -port as well"},
		{"-discovery file -peers-file " + missing, "want -port as well"},
		{"-peers-file " + missing, "-peers-file is for -discovery file"},
		{"-port 1 -dns http://peers:1", "-dns is for -discovery dns"},
		{"-port 1 -discovery file -srv http://peers", "-srv is for -discovery dns"},
		{"-port 1 -discovery carrier-pigeon", "-discovery \"carrier-pigeon\": want"},
		{"-port 1 -discovery static", "want -peers as well"},
		{"-port 1 -discovery file -peers http://127.0.0.1:1", "-peers is for -discovery static"},
		{"-port 1 -discovery file", "want -peers-file as well"},
		{"-port 1 -discovery dns", "want one of -dns and -srv"},
		{"-port 1 -discovery dns -dns http://peers:1 -srv http://peers", "want one of -dns and -srv"},
		{"-port 1 -discovery dns -dns http://peers", "want the port"},
		{"-port 1 -discovery dns -srv http://peers:1", "want no port"},
		{"-port 1 -self 10.0.0.1 -discovery file -peers-file x", "-self: peercache:"},
		{"-port 1 -consistent", "want one, not static"},
		{"-nodes ,", "-nodes \",\": want ports"},
		{"-nodes 1,65536", "want ports"},
		{"-nodes 1,2,1", "port 1 stands there twice"},
		{"-api 9999", "want host:port"},
		{"-api :99999", "want host:port"},
		{"-dir " + missing, "-dir " + missing},
		{"-dir flags.go", "-dir flags.go: want a directory"},
		{"-origin-delay 300", "-origin-delay"},
		{"-origin-delay -1s", "-origin-delay -1s: want 0 or more"},
		{"-cache-bytes 0", "-cache-bytes 0: want more than 0"},
		{"-log-level loud", "loud"},
		{"-port 1 -tls-cert c -tls-ca a", "want all three, or none"},
		{"-tls-key k", "want all three, or none"},
		{"-port 1 -tls-cert c -tls-key k -tls-ca a -self http://10.0.0.1:1", "-tls-cert and the base URL http://10.0.0.1:1: want https://"},
		{"-port 1 -tls-cert c -tls-key k -tls-ca a -peers https://127.0.0.1:1,http://127.0.0.1:2", "want https://"},
		{"-port 1 -self http://10.0.0.1:1", "want a secret in the environment, as " + secretVariable},
		{"-port 1 -self http://127.0.0.1:1", "want a secret in the environment"}, // it listens for all
		{"-port 1 -discovery file -peers-file x -self http://10.0.0.1:1", "want a secret in the environment"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			t.Setenv(secretVariable, testSecret)
			if strings.Contains(test.want, "a secret") {
				t.Setenv(secretVariable, "")
			}
			var stdout, stderr bytes.Buffer
			status := Main(strings.Fields(test.args), strings.NewReader(""), &stdout, &stderr)
			if status != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), test.want) {
				t.Errorf("status %d, stdout %q, stderr %q: want status %d and %q on stderr",
					status, &stdout, &stderr, exitUsage, test.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := Main([]string{"-h"}, nil, &stdout, &stderr); status != exitOK || stderr.Len() > 0 {
		t.Errorf("status %d, stderr %q: want %d and nothing", status, &stderr, exitOK)
	}
	for _, want := range []string{"-port", "-peers", "-api", "-dir", "-origin-delay", "-discovery", "-peers-file", "-dns", "-tls-cert", "-tls-key", "-tls-ca", secretVariable} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the help does not mention %s", want)
		}
	}
	if _, err := parseFlags([]string{"-h"}, io.Discard, ownSources); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v: want flag.ErrHelp", err)
	}
}
