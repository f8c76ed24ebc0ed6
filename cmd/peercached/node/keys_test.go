package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/peercache/peercache/cmd/peercached/internal/conf"
	"github.com/peercache/peercache/cmd/peercached/internal/config"
)

// full is a configuration that sets most of what there is.
const full = `
peers:
  listen: 127.0.0.1:8001
  self: http://127.0.0.1:8001
  discovery: {static: [http://127.0.0.1:8001, "http://127.0.0.1:8009#owns=nothing"]}
  cluster: shop
  secret: a secret of more than 16 bytes
  previous_secrets: [{file: secret}]
  access: [{from: "http://10.0.0.*", group: a, allow: [get], deny: [clear, change]}]
  filter: {networks: [10.0.0.0/8, 127.0.0.1/32], ports: [8001, 8009]}
  handover: {bytes: 1MiB, time: 5s}
  limits: {unproven: 10}
  stream_limits: {frame_timeout: 3s}
admin: {token: {file: secret}, hosts: [a.example], per_peer_metrics: true}
http: {tokens: [{token: a token of the http door, may: [get], groups: [a]}], hosts: [a.example], cors: {origins: ["https://*.shop.example"]}, rate: {per_second: 10.5, burst: 3}}
grpc: {watch_silence: 1m}
resp: {password: hush hush, users: [{name: bob, password: {file: secret}, read_only: true}], prefixes: {"x:": a}, default_group: a}
groups:
  - {name: a, bytes: 1MiB, ttl: 1m, jitter: 0.25, stale_if_error: forever, refresh_ahead: 1s, origin: {files: {dir: data, max_bytes: 5KiB}}}
  - {name: "b.c", bytes: 4096, store: lru, max_loads: 3, snapshot: {path: snap, max_age: 1h}, origin: {http: {url: "http://127.0.0.1/{key}", headers: {X: "y z"}}}}
origins: {allow_commands: true}
log: {level: debug, format: json}
tracing: {endpoint: "http://127.0.0.1:4318", headers: {X-Key: {file: secret}}, ratio: 1}
shutdown: {timeout: 1m30s, delay: 2s}
`

// fullData is one that sets what there is of data. It follows one without a default group.
const fullData = `
data:
  name: scores
  bytes: 256MiB
  evict: volatile-ttl
  notify: KEA
  log: {dir: log, fsync: always, interval: 2s}
  plugins:
    - {plugin: log, keys: "order:*", events: [written, removed], buffer: 10}
    - {plugin: webhook, events: [all], settings: {url: "http://127.0.0.1/a-hook-that-is-a-secret", retries: {file: three}}}
`

// otherData is one of other drivers.
const otherData = `
resp: {}
data: {driver: tiered, bytes: 1MiB, tiered: [memory, redis], redis: {addrs: ["127.0.0.1:26379"], sentinel: {master: scores, password: {file: secret}}, username: bob, password: {file: secret}, db: 3, connect_timeout: 3s}}
`

// What config prints of data says the same, and holds no secret.
func TestConfigPrintsData(t *testing.T) {
	t.Setenv("PEERCACHED_DATA_PLUGINS_1__SETTINGS_URL", "http://127.0.0.1/a-hook-that-is-a-secret")
	for _, file := range []string{"resp: {}" + fullData, otherData} {
		inDir(t, map[string]string{"c.yaml": file, "secret": "0123456789abcdef\n", "three": "3"})
		status, first, stderr := run(t, nil, "config", "-c", "c.yaml")
		if status != ExitOK {
			t.Fatalf("status %d: %s", status, stderr)
		}
		if strings.Contains(first, "is-a-secret") {
			t.Errorf("a secret is printed in\n%s", first)
		}
		if err := os.WriteFile("again.yaml", []byte(first), 0o600); err != nil {
			t.Fatal(err)
		}
		status, second, stderr := run(t, nil, "config", "-c", "again.yaml")
		if status != ExitOK || second != first {
			t.Errorf("status %d: %s: printed\n%s\nthe second time\n%s", status, stderr, first, second)
		}
	}
}

// What config prints is a configuration that says the same, and holds no secret.
func TestConfigPrintsWhatItRead(t *testing.T) {
	files := map[string]string{"c.yaml": strings.ReplaceAll(full, "a token of the http door", "a-token-of-the-http-door"), "secret": "0123456789abcdef\n", "data/Tom": "630"}
	inDir(t, files)
	status, first, stderr := run(t, nil, "config", "-c", "c.yaml")
	if status != ExitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, secret := range []string{"a secret of more", "token-of-the-http", "hush", "0123456789abcdef", "y z"} {
		if strings.Contains(first, secret) {
			t.Errorf("the secret %q is printed in\n%s", secret, first)
		}
	}
	if err := os.WriteFile("again.yaml", []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	// What it says of values: each is expected in a variable.
	env := []string{"PEERCACHED_PEERS_SECRET=a secret of more than 16 bytes", "PEERCACHED_HTTP_TOKENS_0__TOKEN=a-token-of-the-http-door", "PEERCACHED_RESP_PASSWORD=hush hush",
		"PEERCACHED_GROUPS_B_C_ORIGIN_HTTP_HEADERS={X: y z}"}
	for _, one := range env {
		name, value, _ := strings.Cut(one, "=")
		t.Setenv(name, value)
	}
	status, second, stderr := run(t, env, "config", "-c", "again.yaml")
	if status != ExitOK {
		t.Fatalf("status %d: %s\nof\n%s", status, stderr, first)
	}
	if second != first {
		t.Errorf("printed\n%s\nthe second time\n%s", first, second)
	}
}

// Each key has a help, says what its values look like, and can be set by a flag and by a variable.
func TestEveryKeyIsAFlagAndAVariable(t *testing.T) {
	inDir(t, map[string]string{"secret": "0123456789abcdef\n"})
	keys := conf.Keys(defaultConfig())
	if len(keys) < 150 {
		t.Fatalf("%d keys: too few, so that this test sees not all of them", len(keys))
	}
	names := map[string]string{}
	for _, k := range keys {
		if k.Help == "" || strings.HasSuffix(k.Help, ".") || !k.Section && (k.Want == "" || k.Default == "" && k.Want == "") {
			t.Errorf("%s: help %q, want %q, default %q: want a help without a dot at its end, and what its values look like", k.Path, k.Help, k.Want, k.Default)
		}
		if strings.Contains(k.Path, "[]") || strings.HasSuffix(k.Path, "NAME") || strings.Contains(k.Path, ".NAME") && !strings.HasPrefix(k.Path, "groups.") && !strings.HasPrefix(k.Path, "resp.users.") && !strings.HasPrefix(k.Path, "clusters.") {
			continue // of a list without names: its section is the flag
		}
		path := strings.ReplaceAll(k.Path, "NAME", "x")
		if other := names[conf.EnvName(path)]; other != "" {
			t.Errorf("%s and %s have the same variable", path, other)
		}
		names[conf.EnvName(path)] = path
		value := sample(k)
		if value == "" {
			continue
		}
		before := set(t, conf.Overrides{Env: map[string]string{}, Flags: map[string]string{"groups.x.name": "x", "clusters.x.name": "x", "resp.users.x.name": "x"}}, "")
		flag := set(t, conf.Overrides{Env: map[string]string{}, Flags: map[string]string{"groups.x.name": "x", "clusters.x.name": "x", "resp.users.x.name": "x", path: value}}, path)
		variable := set(t, conf.Overrides{Flags: map[string]string{"groups.x.name": "x", "clusters.x.name": "x", "resp.users.x.name": "x"}, Env: map[string]string{conf.EnvName(path): value}}, path)
		if flag != variable || flag == before {
			t.Errorf("%s=%s: by a flag the configuration is\n%s\nby a variable\n%s", path, value, flag, variable)
		}
	}
}

// sample returns a value of a key that is not its default; "" for a section without a short form.
func sample(k conf.Key) string {
	switch {
	case k.Section:
		return ""
	case k.Want == "true or false":
		return map[string]string{"false": "true", "true": "false"}[k.Default]
	case strings.HasPrefix(k.Want, "a duration"):
		return "1234ms"
	case strings.HasPrefix(k.Want, "a size"), strings.HasPrefix(k.Want, "a whole number"):
		return "12345"
	case strings.HasPrefix(k.Want, "a number or a name"):
		return "12345"
	case strings.HasPrefix(k.Want, "a number"), strings.HasPrefix(k.Want, "0 to"):
		return "0.75"
	case strings.HasPrefix(k.Want, "networks"):
		return "10.1.2.0/24,10.1.3.0/24"
	case k.Want == "ports":
		return "12,34"
	case k.Path == "clusters.NAME.name" || k.Path == "groups.NAME.name" || k.Path == "resp.users.NAME.name":
		return ""
	case k.Path == "groups.NAME.origin":
		return "{files: {dir: data}}"
	case k.Want == "PREFIX: GROUP":
		return "{p: g}"
	case k.Path == "tracing.headers":
		return "{X: y}"
	}
	return "sample-value"
}

// set returns a configuration as JSON. Its problems are those of a configuration that is not whole,
// but for the one of reading the key.
func set(t *testing.T, over conf.Overrides, path string) string {
	t.Helper()
	d := conf.NewDecoder(over)
	var c config.Config
	d.Decode(nil, "", &c)
	d.Unused()
	if len(d.Problems) > 0 {
		t.Errorf("%s: %v", path, d.Problems)
	}
	var all bytes.Buffer
	for _, leaf := range conf.Diff(new(config.Config), &c) {
		fmt.Fprintln(&all, leaf.Path)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return all.String() + string(b)
}

// The help names all keys.
func TestHelpNamesAllKeys(t *testing.T) {
	_, stdout, _ := run(t, nil, "serve", "--help")
	if !strings.Contains(stdout, "its keys are those of peers") {
		t.Error("the help does not say which keys clusters have")
	}
	for _, k := range conf.Keys(defaultConfig()) {
		if strings.HasPrefix(k.Path, clusterPeers) {
			k.Path = strings.TrimPrefix(k.Path, "clusters.NAME.") // their keys are those of peers
		}
		if !strings.Contains(stdout, k.Path) || !strings.Contains(stdout, k.Help) {
			t.Errorf("the help does not have %s", k.Path)
		}
	}
}

// Whatever stands in a file: it is refused with a place, or it is a configuration that can be printed and
// read again.
func FuzzConfig(f *testing.F) {
	dir := f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("0123456789abcdef"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Chdir(dir)
	f.Add([]byte(full))
	f.Add([]byte(goodGroup))
	f.Add([]byte(fullData))
	f.Add([]byte(otherData))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("a: &a {x: 1}\nb: {<<: [*a, *a]}"))
	f.Add([]byte("groups: [{name: [1]}, null, 3, {name: {}}]"))
	f.Add([]byte("a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]\npeers: *c"))
	f.Fuzz(func(t *testing.T, content []byte) {
		tree, err := conf.Parse("f.yaml", content)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		d := conf.NewDecoder(conf.Overrides{})
		var c config.Config
		d.Decode(tree, "", &c)
		d.Unused()
		for _, p := range d.Problems {
			if p.At == "" || p.Text == "" {
				t.Errorf("a problem without a place or a text: %q", p)
			}
		}
		var printed bytes.Buffer
		if err := conf.Print(&printed, &c); err != nil {
			t.Fatal(err)
		}
		if len(d.Problems) > 0 || strings.Contains(printed.String(), "{env:") {
			return
		}
		again, err := conf.Parse("printed.yaml", printed.Bytes())
		if err != nil {
			t.Fatalf("what was printed cannot be read: %v\n%s", err, printed.String())
		}
		var c2 config.Config
		d2 := conf.NewDecoder(conf.Overrides{})
		d2.Decode(again, "", &c2)
		if len(d2.Problems) > 0 {
			t.Fatalf("what was printed is wrong: %v\n%s", d2.Problems, printed.String())
		}
	})
}

// Nearest finds what was meant by a word with one wrong letter.
func TestNearest(t *testing.T) {
	var known []string
	for _, k := range conf.Keys(defaultConfig()) {
		known = append(known, k.Path)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, path := range known {
		if len(path) < 8 || r.IntN(10) > 0 { // a tenth of them says enough
			continue
		}
		i := r.IntN(len(path) - 1)
		for _, typo := range []string{path[:i] + path[i+1:], path[:i] + "q" + path[i:], path[:i] + path[i+1:i+2] + path[i:i+1] + path[i+2:]} {
			if got := conf.Nearest(typo, known); got != path && !slices.Contains(known, typo) && !oneAway(typo, got) {
				t.Errorf("Nearest(%q) = %q, want %q", typo, got, path)
			}
		}
	}
}

// oneAway reports whether two words differ by one letter: then both may have been meant.
func oneAway(a, b string) bool {
	return reflect.DeepEqual(conf.Nearest(a, []string{b}), b) && len(b) > 0 && abs(len(a)-len(b)) <= 1
}

func abs(n int) int { return max(n, -n) }

// The file that comes with the program, and those of its page, are right.
func TestSamplesAreRight(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/peercached.md")
	if err != nil {
		t.Fatal(err)
	}
	sample, err := filepath.Abs("../peercached.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	t.Chdir("../../..") // where the page has its commands run
	t.Setenv("PEERCACHE_SECRET", "0123456789abcdef")
	blocks := strings.Split(string(docs), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatal("the page has no samples")
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, stderr := run(t, nil, "check", "-c", file); status != ExitOK {
			t.Errorf("%s\n%s", stderr, text)
		}
	}
	if status, _, stderr := run(t, nil, "check", "-c", sample); status != ExitOK {
		t.Error(stderr)
	}
}
