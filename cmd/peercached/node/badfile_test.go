package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run is one call of Main, in the directory of the test.
func run(t *testing.T, environ []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{ctx: t.Context(), origins: Origins(nil).with(builtin), stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: environ}
	status = p.main(args)
	return status, out.String(), errs.String()
}

// inDir makes a directory with files the working directory of the test.
func inDir(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

const goodGroup = "groups: [{name: a, bytes: 1MiB, origin: {files: {dir: data}}}]\n"

// Each mistake is found, where it is, and the text says what would be right.
func TestBadFiles(t *testing.T) {
	tests := []struct {
		name, file string
		args, env  []string
		want       string // all that is printed
	}{
		{name: "nothing", file: "", want: "c.yaml: groups: no groups: want at least one, such as {name: files, bytes: 64MiB, origin: {files: {dir: ./data}}}"},
		{name: "no YAML", file: "a: b: c", want: "c.yaml:1:5: mapping values are not allowed in this context"},
		{name: "a key twice", file: goodGroup + "log: {level: info}\nlog: {level: debug}", want: "c.yaml:3:1: log stands there twice, first at c.yaml:2:1"},
		{name: "two documents", file: goodGroup + "---\n" + goodGroup, want: "c.yaml:2:1: a second document: want one"},
		{name: "an unknown key", file: goodGroup + "log: {levle: info}", want: "c.yaml:2:7: log.levle: no such key: did you mean level?"},
		{name: "an unknown section", file: goodGroup + "htpp: {}", want: "c.yaml:2:1: htpp: no such key: did you mean http?"},
		{name: "nothing near", file: goodGroup + "log: {xyzzyxyzzy: 1}", want: "c.yaml:2:7: log.xyzzyxyzzy: no such key: want one of level, format"},
		{name: "no unit", file: goodGroup + "shutdown: {timeout: 30}", want: `c.yaml:2:21: shutdown.timeout: "30" has no unit: want 30s for seconds, or another of ms, s, m, h`},
		{name: "a wrong unit", file: goodGroup + "shutdown: {timeout: 30sec}", want: `c.yaml:2:21: shutdown.timeout: "30sec": want a duration, such as 500ms, 10s, 1m30s or 24h, or forever`},
		{name: "less than 0", file: goodGroup + "shutdown: {timeout: -30s}", want: `c.yaml:2:21: shutdown.timeout: "-30s": want at least 0`},
		{name: "a size", file: "groups: [{name: a, bytes: 64MX, origin: {files: {dir: data}}}]", want: `c.yaml:1:27: groups.a.bytes: "64MX" is no size: want a number and a unit, such as 64MiB, 1GB or 4096`},
		{name: "too small", file: "groups: [{name: a, bytes: 5, origin: {files: {dir: data}}}]", want: "c.yaml:1:27: groups.a.bytes: a cache of 5 bytes: want at least 4096"},
		{name: "a switch", file: goodGroup + "peers: {insecure: yes}", want: `c.yaml:2:19: peers.insecure: "yes": want true or false`},
		{name: "no number", file: goodGroup + "peers: {max_peers: many}", want: `c.yaml:2:20: peers.max_peers: "many": want a whole number`},
		{name: "a number out of range", file: goodGroup + "peers: {max_peers: 70000}", want: "c.yaml:2:20: peers.max_peers: 70000: want 1 to 65535"},
		{name: "a list in place of a value", file: goodGroup + "log: {level: [info]}", want: "c.yaml:2:14: log.level: a list: want a text"},
		{name: "a value in place of keys", file: goodGroup + "log: info", want: "c.yaml:2:6: log: a value: want keys, such as {level: …}; these are level, format"},
		{name: "a value in place of a list", file: goodGroup + "peers: {discovery: {static: http://a:1}}", want: "c.yaml:2:29: peers.discovery.static: a value: want a list, such as [http://a:1]"},
		{name: "nothing in place of a value", file: goodGroup + "log:\n  level:\n", want: "c.yaml:3:9: log.level: nothing: want a text, or leave the key out"},
		{name: "one of a few words", file: goodGroup + "log: {level: inof}", want: `c.yaml:2:14: log.level: "inof": want one of debug, info, warn, error; did you mean info?`},
		{name: "a missing file", file: goodGroup + "peers: {self: 'https://127.0.0.1:8001', tls: {cert: no.pem, key: k.pem, ca: k.pem}}", want: "c.yaml:2:53: peers.tls.cert: no.pem: there is no such file"},
		{name: "half of TLS", file: goodGroup + "admin: {tls: {cert: k.pem}}", want: "c.yaml:2:14: admin.tls: no key: want a PEM file"},
		{name: "a missing directory", file: "groups: [{name: a, bytes: 1MiB, origin: {files: {dir: nothere}}}]", want: "c.yaml:1:49: groups.a.origin.files: files: dir: stat " /* and the path */},
		{name: "two origins", file: "groups: [{name: a, bytes: 1MiB, origin: {files: {dir: data}, http: {url: 'http://a/{key}'}}}]", want: "c.yaml:1:41: groups.a.origin: files and http: want one of them"},
		{name: "an unknown origin", file: "groups: [{name: a, bytes: 1MiB, origin: {fiels: {dir: data}}}]", want: "c.yaml:1:49: groups.a.origin.fiels: no such kind of origin: did you mean files?"},
		{name: "an unknown key of an origin", file: "groups: [{name: a, bytes: 1MiB, origin: {files: {dri: data}}}]", want: "c.yaml:1:50: groups.a.origin.files.dri: no such key: did you mean dir?"},
		{name: "no origin", file: "groups: [{name: a, bytes: 1MiB}]", want: "c.yaml:1:10: groups.a.origin: no origin: want where values come from, such as origin: {files: {dir: ./data}}; kinds are command, files, http, postgres, redis"},
		{name: "commands", file: "groups: [{name: a, bytes: 1MiB, origin: {command: {run: [cat]}}}]", want: "c.yaml:1:51: groups.a.origin.command: command: programs are not allowed to run: want origins: {allow_commands: true} in the configuration of the node"},
		{name: "a value in place of an origin", file: "groups: [{name: a, bytes: 1MiB, origin: files}]", want: "c.yaml:1:41: groups.a.origin: a value: want keys, such as {KIND: {…}}"},
		{name: "keys in place of a list", file: "groups: {a: {bytes: 1MiB}}", want: "c.yaml:1:9: groups: keys: want a list, such as [{name: …}]"},
		{name: "no origin is like it", file: "groups: [{name: a, bytes: 1MiB, origin: {postgres: {url: x}}}]", want: "c.yaml:1:53: groups.a.origin.postgres.url: no such key: want one of dsn, password_file, query, ttl, timeout, statement_timeout, connections, max_bytes"},
		{name: "a tab", file: "groups:\n\t- name: a", want: "c.yaml:2:1: found character that cannot start any token: a tab: want spaces before a key"},
		{name: "a key without quotes", file: "groups: [{name: a, bytes: 1MiB, origin: {http: {url: http://b/{key}}}}]", want: `c.yaml:1:63: did not find expected ',' or '}': want quotes around a value with {key} in it: "http://…/{key}"`},
		{name: "a URL without a scheme", file: "groups: [{name: a, bytes: 1MiB, origin: {http: {url: 'localhost:80/{key}'}}}]", want: `c.yaml:1:48: groups.a.origin.http: http: url is "localhost:80/{key}": want http:// or https:// before it`},
		{name: "a variable in a text", file: goodGroup + "peers: {secret: '${PEERCACHE_SECRET}'}", want: "c.yaml:2:17: peers.secret: variables in a text are not replaced: want {env: PEERCACHE_SECRET}"},
		{name: "no name", file: "groups: [{bytes: 1MiB, origin: {files: {dir: data}}}]", want: "c.yaml:1:10: groups[0]: no name: want one, such as name: files"},
		{name: "a name twice", file: "groups:\n- &a {name: a, bytes: 1MiB, origin: {files: {dir: data}}}\n- *a", want: "c.yaml:2:13: groups.a: the name stands there twice: want another"},
		{name: "refresh ahead of everything", file: "groups: [{name: a, bytes: 1MiB, ttl: 1m, refresh_ahead: 90s, origin: {files: {dir: data}}}]", want: "c.yaml:1:57: groups.a.refresh_ahead: 1m30s is not shorter than ttl, 1m, so that each Get would load: want a tenth of it or so"},
		{name: "snapshot and consistency", file: "groups: [{name: a, bytes: 1MiB, consistency: true, snapshot: {path: s}, origin: {files: {dir: data}}}]", want: "c.yaml:1:62: groups.a.snapshot: snapshot and consistency: want one of them, because a snapshot may hold what was changed meanwhile"},
		{name: "an option of the library", file: "groups: [{name: a, bytes: 1MiB, lease: 5m, origin: {files: {dir: data}}}]", want: "c.yaml:1:40: groups.a.lease: 5m0s: want 10ms to 1m0s"},
		{name: "two listeners at one address", file: goodGroup + "http: {listen: 127.0.0.1:8002}", want: "c.yaml:2:16: http.listen: 127.0.0.1:8002 is the address of admin.listen already (127.0.0.1:8002): want another port"},
		{name: "no address", file: goodGroup + "http: {listen: localhost}", want: `c.yaml:2:16: http.listen: "localhost": want HOST:PORT, such as 127.0.0.1:8001, or :8001 for all interfaces`},
		{name: "an open page", file: goodGroup + "admin: {listen: ':8002'}", want: "c.yaml:2:17: admin.listen: :8002: whoever reaches that can read, change and clear what is cached: want a loopback address, such as 127.0.0.1:8002, or admin.token, or admin.expose: true"},
		{name: "an open door", file: goodGroup + "resp: {listen: 10.0.0.1:6379}", want: "c.yaml:2:16: resp.listen: 10.0.0.1:6379: whoever reaches that can read, change and clear what is cached: want a loopback address, such as 127.0.0.1:6379, or resp.password, or resp.expose: true"},
		{name: "open peers", file: goodGroup + "peers: {listen: 10.0.0.1:8001}", want: "c.yaml:2:8: peers: whoever reaches http://10.0.0.1:8001 could read and change what is cached: want peers.secret, peers.tls or, in a network that lets in nobody else, peers.insecure: true"},
		{name: "no self", file: goodGroup + "peers: {listen: ':8001', insecure: true}", want: "c.yaml:2:8: peers: no self: peers.listen, :8001, does not say how peers reach this node: want self: http://HOST:PORT"},
		{name: "a wrong self", file: goodGroup + "peers: {self: 'http://127.0.0.1:8001/'}", want: `c.yaml:2:8: peers: peer "http://127.0.0.1:8001/": want it spelled http://127.0.0.1:8001, in all processes: peers are told apart by the text`},
		{name: "two discoveries", file: goodGroup + "peers: {discovery: {static: ['http://127.0.0.1:8001'], gossip: {}}}", want: "c.yaml:2:20: peers.discovery: static and gossip: want one of them"},
		{name: "not among the peers", file: goodGroup + "peers: {discovery: {static: ['http://127.0.0.1:8009']}}", want: "c.yaml:2:29: peers.discovery.static: http://127.0.0.1:8001, this node (peers.self), is not among them: want the same list in all nodes, with each of them in it"},
		{name: "a gateway as an owner", file: goodGroup + "peers: {own_nothing: true, discovery: {static: ['http://127.0.0.1:8001', 'http://127.0.0.1:8009']}}", want: "c.yaml:2:49: peers.discovery.static[0]: http://127.0.0.1:8001: want http://127.0.0.1:8001#owns=nothing here and in the lists of all nodes, because of peers.own_nothing, true"},
		{name: "secret and insecure", file: goodGroup + "peers: {insecure: true, secret: 0123456789abcdef}", want: "c.yaml:2:19: peers.insecure: insecure and secret: want one of them: insecure lets in everybody"},
		{name: "a short secret", file: goodGroup + "peers: {secret: abc}", want: "c.yaml:2:8: peers: secret 0 has 3 bytes: want at least 16"},
		{name: "a secret that is nowhere", file: goodGroup + "peers: {secret: {env: NOT_SET_ANYWHERE}}", want: "c.yaml:2:17: peers.secret: the variable NOT_SET_ANYWHERE is not set, or empty"},
		{name: "two places of a secret", file: goodGroup + "admin: {token: {env: A, file: k.pem}}", want: "c.yaml:2:16: admin.token: want one of value, file and env"},
		{name: "a short token", file: goodGroup + "http: {tokens: [{token: abc}]}", want: "c.yaml:2:25: http.tokens[0].token: a token of 3 bytes: want at least 16, such as those of openssl rand -base64 32"},
		{name: "a token of no group", file: goodGroup + "http: {tokens: [{token: 0123456789abcdef, groups: [b]}]}", want: `c.yaml:2:51: http.tokens[0].groups: there is no group "b": did you mean a?`},
		{name: "CORS for all", file: goodGroup + "http: {cors: {origins: ['*'], credentials: true}}", want: "c.yaml:2:44: http.cors.credentials: credentials for the pages of all sites: want credentials: false, or the sites in origins"},
		{name: "a rule without effect", file: goodGroup + "peers: {access: [{from: '*'}]}", want: "c.yaml:2:18: peers.access[0]: a rule that neither allows nor denies: want allow or deny"},
		{name: "an alias of nothing", file: "groups: *x", want: "c.yaml:1:9: unknown anchor 'x' referenced"},
		{name: "a tag", file: goodGroup + "log: {level: !!binary aW5mbw==}", want: "c.yaml:2:14: a tag, !!binary: want none"},
		{name: "a flag", file: goodGroup, args: []string{"--log.level=noisy"}, want: `--log.level: log.level: "noisy": want one of debug, info, warn, error`},
		{name: "an unknown flag", file: goodGroup, args: []string{"--log.levle=info"}, want: "--log.levle: no such key: did you mean --log.level?"},
		{name: "a flag like no other", file: goodGroup, args: []string{"--log.colour=no"}, want: "--log.colour: no such key: want one of --log.level, format"},
		{name: "a variable", file: goodGroup, env: []string{"PEERCACHED_GROUPS_A_TTL=60"}, want: `PEERCACHED_GROUPS_A_TTL: groups.a.ttl: "60" has no unit: want 60s for seconds, or another of ms, s, m, h`},
		{name: "an open door to data", file: goodGroup + "resp: {listen: 10.0.0.1:6379}\ndata: {}", want: "c.yaml:2:16: resp.listen: 10.0.0.1:6379: whoever reaches that can read, change and clear what is cached, and all data: want a loopback address, such as 127.0.0.1:6379, or resp.password, or resp.expose: true"},
		{name: "an open door to data alone", file: "grpc: {listen: 10.0.0.1:6379}\ndata: {}", want: "c.yaml:1:16: grpc.listen: 10.0.0.1:6379: whoever reaches that can read, change and clear all data: want a loopback address, such as 127.0.0.1:6379, or grpc.tokens, or grpc.expose: true"},
		{name: "data by HTTP", file: "http: {}\ndata: {}", want: "c.yaml:1:7: http: this door has groups alone, and there are none: want a group, or leave it out; resp and grpc have data"},
		{name: "data and a default group", file: goodGroup + "resp: {default_group: a}\ndata: {}", want: "c.yaml:2:23: resp.default_group: a key without the prefix of a group is one of data: want this left out, or data"},
		{name: "data without a name", file: "resp: {}\ndata: {name: ''}", want: "c.yaml:2:14: data.name: no name: want one, such as data"},
		{name: "a name of data", file: "resp: {}\ndata: {name: a b}", want: `c.yaml:2:14: data.name: "a b": want letters, digits, '-', '_' and '.' alone`},
		{name: "data like a group", file: goodGroup + "resp: {}\ndata: {name: a}", want: `c.yaml:3:14: data.name: "a" is the name of a group already: want another one, because tokens tell them apart by it`},
		{name: "a driver of data", file: "resp: {}\ndata: {driver: redsi, redis: {addrs: ['a:1']}}", want: `c.yaml:2:16: data.driver: "redsi": want one of memory, redis, tiered; did you mean redis?`},
		{name: "data without a Redis", file: "resp: {}\ndata: {driver: redis}", want: "c.yaml:2:7: data: no redis: want where it is, such as redis: {addrs: [127.0.0.1:6379]}"},
		{name: "data without addresses", file: "resp: {}\ndata: {driver: redis, redis: {}}", want: "c.yaml:2:30: data.redis: no addrs: want where it is, such as addrs: [127.0.0.1:6379]"},
		{name: "a Redis for nothing", file: "resp: {}\ndata: {redis: {addrs: ['127.0.0.1:6379']}}", want: "c.yaml:2:15: data.redis: driver is memory: want driver: redis, or driver: tiered"},
		{name: "a password of a Redis", file: "resp: {}\ndata: {driver: redis, redis: {addrs: ['127.0.0.1:6379'], password: {env: NOT_SET_ANYWHERE}}}", want: "c.yaml:2:68: data.redis.password: the variable NOT_SET_ANYWHERE is not set, or empty"},
		{name: "a bound without its unit", file: "resp: {}\ndata: {bytes: 256}", want: "c.yaml:2:15: data.bytes: 256 bytes: want 1MiB or more; a number without a unit is one of bytes"},
		{name: "bounds of a Redis", file: "resp: {}\ndata: {driver: redis, bytes: 1MiB, evict: allkeys-lru, redis: {addrs: ['127.0.0.1:6379']}}", want: "c.yaml:2:30: data.bytes: driver is redis, which has the data and decides that itself: want it left out\nc.yaml:2:43: data.evict: driver is redis, which has the data and decides that itself: want it left out"},
		{name: "an eviction", file: "resp: {}\ndata: {evict: volatile-tll, bytes: 1MiB}", want: `c.yaml:2:15: data.evict: "volatile-tll": want one of noeviction, allkeys-lru, allkeys-random, volatile-ttl; did you mean volatile-ttl?`},
		{name: "an eviction for nothing", file: "resp: {}\ndata: {evict: allkeys-lru}", want: "c.yaml:2:15: data.evict: there is no bound, so that nothing ever leaves: want bytes, such as bytes: 256MiB"},
		{name: "notifications", file: "resp: {}\ndata: {notify: KEY}", want: `c.yaml:2:16: data.notify: "KEY": want some of the letters KEg$lshzxetdmnA, such as KEA for all`},
		{name: "a log without a directory", file: "resp: {}\ndata: {log: {}}", want: "c.yaml:2:13: data.log: no dir: want a directory"},
		{name: "a log in a file", file: "resp: {}\ndata: {log: {dir: k.pem}}", want: "c.yaml:2:19: data.log.dir: k.pem: a file: want a directory"},
		{name: "a sync", file: "resp: {}\ndata: {log: {dir: l, fsync: alwys}}", want: `c.yaml:2:29: data.log.fsync: "alwys": want one of always, interval, never; did you mean always?`},
		{name: "no interval", file: "resp: {}\ndata: {log: {dir: l, interval: 0}}", want: "c.yaml:2:32: data.log.interval: 0s: want more than 0; fsync: always syncs before each answer"},
		{name: "levels", file: "resp: {}\ndata: {bytes: 1MiB, driver: tiered, tiered: [redis, memory], redis: {addrs: ['127.0.0.1:6379']}}", want: `c.yaml:2:45: data.tiered: ["redis" "memory"]: want [memory, redis]`},
		{name: "levels without a bound", file: "resp: {}\ndata: {driver: tiered, redis: {addrs: ['127.0.0.1:6379']}}", want: "c.yaml:2:7: data: no bytes: want what the level in memory may take, such as bytes: 256MiB"},
		{name: "levels of another driver", file: "resp: {}\ndata: {bytes: 1MiB, tiered: [memory, redis]}", want: "c.yaml:2:29: data.tiered: driver is memory: want driver: tiered"},
		{name: "a database of a Redis", file: "resp: {}\ndata: {driver: redis, redis: {addrs: ['127.0.0.1:6379'], db: -1}}", want: "c.yaml:2:30: data.redis: redis: db is -1: want 0 or more"},
		{name: "levels with a log", file: "resp: {}\ndata: {bytes: 1MiB, driver: tiered, log: {dir: l}, redis: {addrs: ['127.0.0.1:6379']}}", want: "c.yaml:2:42: data.log: driver is tiered, where redis keeps the data: want no log"},
		{name: "a plugin", file: "resp: {}\ndata: {plugins: [{plugin: webhok}]}", want: `c.yaml:2:27: data.plugins[0].plugin: "webhok": want one of log, webhook, metrics, monitor, backup; did you mean webhook?`},
		{name: "a plugin without a name", file: "resp: {}\ndata: {plugins: [{keys: x}]}", want: `c.yaml:2:18: data.plugins[0].plugin: "": want one of log, webhook, metrics, monitor, backup`},
		{name: "an event", file: "resp: {}\ndata: {plugins: [{plugin: log, events: [writen], buffer: 0}]}", want: "c.yaml:2:40: data.plugins[0].events: \"writen\": want one of written, expired, evicted, removed, all; did you mean written?\nc.yaml:2:58: data.plugins[0].buffer: 0: want 1 to 1048576"},
		{name: "settings of plugins", file: "resp: {}\ndata:\n  bytes: 1MiB\n  plugins: [{plugin: backup, settings: {dir: backups, evry: 6h}}, {plugin: webhook}, {plugin: monitor, settings: {threshold: 1}}, {plugin: metrics, settings: {a: b}}]", want: "c.yaml:4:40: data.plugins[0].settings: it has no setting \"evry\": want some of dir, every, keep\n" +
			"c.yaml:4:67: data.plugins[1].settings: the setting url: want http:// or https:// and a host, not \"\"\n" +
			"c.yaml:4:114: data.plugins[2].settings: the setting threshold: time: missing unit in duration \"1\"\n" +
			"c.yaml:4:159: data.plugins[3].settings: it has no setting \"a\", and no other ones"},
		{name: "plugins of levels", file: "resp: {}\ndata: {bytes: 1MiB, driver: tiered, plugins: [{plugin: log}], redis: {addrs: ['127.0.0.1:6379']}}", want: "c.yaml:2:46: data.plugins: driver is tiered, where changes are made in redis: want driver: memory, or no plugins"},
		{name: "a setting that is nowhere", file: "resp: {}\ndata: {plugins: [{plugin: webhook, settings: {url: {env: NOT_SET_ANYWHERE}}}]}", want: "c.yaml:2:52: data.plugins[0].settings.url: the variable NOT_SET_ANYWHERE is not set, or empty"},
		{name: "all at once", file: "log: {level: x, format: y}\n" + goodGroup + "admin: {listen: z}", want: `c.yaml:1:14: log.level: "x": want one of debug, info, warn, error` + "\n" +
			`c.yaml:1:25: log.format: "y": want one of text, json` + "\n" +
			`c.yaml:3:17: admin.listen: "z": want HOST:PORT, such as 127.0.0.1:8001, or :8001 for all interfaces`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inDir(t, map[string]string{"c.yaml": test.file, "data/Tom": "630", "k.pem": "-"})
			status, stdout, stderr := run(t, test.env, append([]string{"check", "-c", "c.yaml"}, test.args...)...)
			if got := strings.TrimSpace(stderr); status != ExitUsage || stdout != "" || got != test.want && (test.name != "a missing directory" || !strings.HasPrefix(got, test.want)) {
				t.Errorf("status %d, printed\n%s\nwant\n%s", status, got, test.want)
			}
		})
	}
}

// What is right is said to be right, and what is only strange is a warning.
func TestGoodFiles(t *testing.T) {
	secret := []string{"SECRET=0123456789abcdef"}
	for name, test := range map[string]struct {
		file, args string
		env        []string
		warning    string
	}{
		"the least":        {file: goodGroup},
		"anchors":          {file: "x-times: &t {ttl: 1m, jitter: 0.1}\ngroups:\n- {<<: *t, name: a, bytes: 1MiB, origin: {files: {dir: data}}}\n- {<<: [*t], name: b, ttl: 2m, bytes: 1MiB, origin: {files: {dir: data}}}"},
		"short forms":      {file: goodGroup + "peers: {secret: {env: SECRET}, discovery: {dns: 'http://a.example:8001'}}", env: secret},
		"a group of flags": {args: "--groups.b.bytes=1MiB --groups.b.origin.files.dir data"},
		"a group as YAML":  {env: []string{"PEERCACHED_GROUPS=[{name: b, bytes: 1MiB, origin: {files: {dir: data}}}]"}},
		"a switch":         {file: goodGroup, args: "--peers.insecure --log.level debug"},
		"a list":           {file: goodGroup, args: "--peers.discovery.static=http://127.0.0.1:8001,http://127.0.0.1:8009"},
		"for a gateway":    {file: goodGroup + "peers: {discovery: {static: ['http://127.0.0.1:8001#owns=nothing', 'http://127.0.0.1:8009']}}", args: "--gateway"},
		"a section":        {file: goodGroup, args: "--http={}"},
		"of Kubernetes":    {file: goodGroup, env: []string{"PEERCACHED_HTTP_PORT=tcp://10.0.0.1:8003", "PEERCACHED_HTTP_SERVICE_HOST=10.0.0.1", "PEERCACHED_PORT_8001_TCP_ADDR=10.0.0.1"}},
		"data":             {file: "resp: {}\ngrpc: {tokens: [{token: 0123456789abcdef, groups: [data]}]}\ndata: {bytes: 1MiB, log: {dir: l, fsync: never, interval: 0}}"},
		"data and groups":  {file: goodGroup + "http: {}\nresp: {}\ndata: {driver: redis, redis: {addrs: [/run/redis.sock]}}"},
		"levels":           {file: "grpc: {}\ndata: {driver: tiered, bytes: 1MiB, evict: allkeys-lru, tiered: [memory, redis], redis: {addrs: ['127.0.0.1:6379']}}"},
		"data in memory": {file: "resp: {}\ndata: {}", warning: "warning: data.bytes is not set: data may take all memory that there is, until the system ends this node: want a bound, such as bytes: 256MiB\n" +
			"warning: data.log is not set: data is gone when this node ends\n"},
		"data of nobody": {file: goodGroup + "data: {bytes: 1MiB, log: {dir: l}}", warning: "warning: data: there is neither resp nor grpc: nobody reaches it\n"},
		"data of several": {file: goodGroup + "resp: {}\ndata: {bytes: 1MiB, log: {dir: l}}\npeers: {discovery: {static: ['http://127.0.0.1:8001', 'http://127.0.0.1:8009']}}",
			warning: "warning: data: driver is memory, and there are other nodes: each has data of its own, and clients have that of the node that they ask: want driver: redis, or have them ask one node\n"},
		"a variable of none": {file: goodGroup, env: []string{"PEERCACHED_LOG_LEVLE=debug"}, warning: "warning: PEERCACHED_LOG_LEVLE is the variable of no key: did you mean PEERCACHED_LOG_LEVEL?\n"},
	} {
		t.Run(name, func(t *testing.T) {
			inDir(t, map[string]string{"c.yaml": test.file, "data/Tom": "630"})
			for _, one := range test.env {
				name, value, _ := strings.Cut(one, "=")
				t.Setenv(name, value)
			}
			args := []string{"check"}
			if test.file != "" {
				args = append(args, "-c", "c.yaml")
			}
			status, stdout, stderr := run(t, test.env, append(args, strings.Fields(test.args)...)...)
			if status != ExitOK || !strings.HasSuffix(stdout, " is right\n") || stderr != test.warning {
				t.Errorf("status %d, %q, %q: want 0 and the warning %q", status, stdout, stderr, test.warning)
			}
		})
	}
}

// The command line itself may be wrong.
func TestBadCommandLines(t *testing.T) {
	for args, want := range map[string]string{
		"srve":                                "srve",
		"serve --peers.listen":                "--peers.listen: a value is missing",
		"get --log.level=info a b":            "keys of the configuration are flags of serve, gateway, check, config alone",
		"serve --log.level=info --log.level=": "--log.level is given twice",
		"get a":                               "<key>",
		"serve my.yaml":                       "a configuration is named by -c: peercached serve -c my.yaml",
		"check":                               "in a file that -c names",
		"ready --admin 127.0.0.1:9":           `--admin: "127.0.0.1:9": want a URL, such as http://127.0.0.1:9`,
		"get --http localhost a b":            `--http: "localhost": want a URL, such as http://127.0.0.1:8003`,
	} {
		status, _, stderr := run(t, nil, strings.Fields(args)...)
		if status != ExitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %q: want %q", args, status, stderr, want)
		}
	}
	if status, stdout, _ := run(t, nil, "help"); status != ExitOK || !strings.Contains(stdout, "gateway") {
		t.Errorf("help: status %d, %q", status, stdout)
	}
}
