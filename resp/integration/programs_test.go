package integration

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// run runs a program that talks with a node, and returns what it prints.
func run(t *testing.T, stdin string, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// programNode starts a node for a program, which it skips the test for if it is not there.
func programNode(t *testing.T, program string) (path, port string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("there is no %s on this machine", program)
	}
	o := &origin{versions: map[string]int{"a": 1, "b": 2}}
	_, port, _ = net.SplitHostPort(cluster(t, 1, o)[0].addr)
	return path, port
}

func TestRedisCLI(t *testing.T) {
	path, port := programNode(t, "redis-cli")
	const session = "GET g:a\nMGET g:a g:none g:b\nSET g:c x EX 100\nTTL g:c\nNONSENSE\nDEL g:c\nEXISTS g:c\n"
	const want = "1\n1\n\n2\nOK\n100\nERR unknown command 'NONSENSE', with args beginning with: \n\n1\n0\n"
	for _, version := range []string{"-2", "-3"} {
		if got := run(t, session, path, "-p", port, version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}

// python is a session of redis-py: pipelines, transactions, client-side caching by REDIRECT.
const python = `
import redis, sys, time
r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
assert r.ping()
assert r.get('g:a') == '1' and r.get('g:none') is None
assert r.mget('g:a', 'g:none', 'g:b') == ['1', None, '2']
assert r.set('g:c', 'x', ex=100) and r.ttl('g:c') == 100 and r.exists('g:c', 'g:a') == 2
with r.pipeline() as p:
    assert p.get('g:a').get('g:b').delete('g:c').execute() == ['1', '2', 1]
with r.pipeline(transaction=False) as p:
    for i in range(1000): p.get('g:a')
    assert p.execute() == ['1'] * 1000
try:
    r.set('g:c', 'x', nx=True)
    assert False
except redis.ResponseError as e:
    assert 'not possible' in str(e), e
assert r.info()['redis_mode'] == 'standalone'
assert r.config_get('maxclients')['maxclients'] == '10000'
assert any(c['cmd'] == 'client|list' for c in r.client_list())
assert r.command_count() > 30
s = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
pubsub = s.pubsub()
pubsub.subscribe('__redis__:invalidate')
assert pubsub.get_message(timeout=5)['type'] == 'subscribe'
con = redis.Redis(port=int(sys.argv[1]), decode_responses=True, single_connection_client=True)
target = [c['id'] for c in r.client_list() if c['sub'] == '1'][0]
con.execute_command('CLIENT', 'TRACKING', 'ON', 'REDIRECT', target)
while True: # the first message may be that all keys may have changed
    assert con.get('g:a') == '1'
    r.delete('g:a')
    m = pubsub.get_message(timeout=5)
    if m['data'] is not None: break
assert m['data'] == ['g:a'], m
assert r.flushdb()
print('well')
`

func TestPython(t *testing.T) {
	path, port := programNode(t, pythonWithRedis(t))
	if got := run(t, python, path, "-", port); got != "well\n" {
		t.Error(got)
	}
}

// pythonWithRedis returns a python that has redis-py, or skips the test.
func pythonWithRedis(t *testing.T) string {
	t.Helper()
	for _, candidate := range []string{"/usr/bin/python3", "python3"} { // Debian's has Debian's packages
		if exec.Command(candidate, "-c", "import redis").Run() == nil {
			return candidate
		}
	}
	t.Skip("there is no python3 with redis (python3-redis)")
	return ""
}

// ioredis and nodeRedis are sessions of the two clients of Node.
const ioredis = `
const Redis = require('ioredis'), assert = require('assert');
(async () => {
  const options = { port: Number(process.argv[2]), protocol: 2 }; // with 3, ioredis does not hand on what Redis pushes
  const r = new Redis(options);
  assert.equal(await r.get('g:a'), '1');
  assert.deepEqual(await r.mget('g:a', 'g:none', 'g:b'), ['1', null, '2']);
  assert.equal(await r.set('g:c', 'x', 'EX', 100), 'OK');
  assert.equal(await r.ttl('g:c'), 100);
  assert.deepEqual(await r.multi().get('g:a').del('g:c').exec(), [[null, '1'], [null, 1]]);
  assert.deepEqual((await Promise.all(Array(1000).fill(0).map(() => r.get('g:b')))), Array(1000).fill('2'));
  await assert.rejects(r.set('g:c', 'x', 'NX'), /not possible/);
  const sub = new Redis(options);
  const id = await sub.client('ID');
  let told = () => {};
  sub.on('message', (channel, keys) => told(keys));
  await sub.subscribe('__redis__:invalidate');
  await r.client('TRACKING', 'ON', 'REDIRECT', id);
  for (let keys; !keys; ) { // the first message may be that all keys may have changed
    const next = new Promise(done => { told = done });
    assert.equal(await r.get('g:a'), '1');
    await r.del('g:a');
    keys = await next;
    if (keys) assert.deepEqual([].concat(keys), ['g:a']);
  }
  await r.quit(); await sub.quit();
  console.log('well');
})();
`

const nodeRedis = `
const { createClient } = require('redis'), assert = require('assert');
(async () => {
  const url = 'redis://127.0.0.1:' + process.argv[2];
  for (const RESP of [2, 3]) {
    const r = createClient({ url, RESP, ...(RESP == 3 ? { clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' } } : {}) });
    await r.connect();
    assert.equal(await r.get('g:a'), '1');
    assert.equal(await r.get('g:a'), '1');
    assert.equal(await r.get('g:none'), null);
    assert.deepEqual(await r.mGet(['g:a', 'g:none', 'g:b']), ['1', null, '2']);
    assert.equal(await r.set('g:c', 'x', { EX: 100 }), 'OK');
    assert.equal(await r.ttl('g:c'), 100);
    assert.equal(await r.get('g:c'), 'x');
    const other = createClient({ url });
    await other.connect();
    await other.set('g:c', 'y');
    await r.ping();
    assert.equal(await r.get('g:c'), 'y');
    assert.deepEqual(await r.multi().get('g:a').del('g:c').exec(), ['1', 1]);
    await r.close(); await other.close();
  }
  console.log('well');
})();
`

// TestNode needs the modules ioredis and redis, where NODE_PATH says.
func TestNode(t *testing.T) {
	for module, session := range map[string]string{"ioredis": ioredis, "redis": nodeRedis} {
		t.Run(module, func(t *testing.T) {
			path, port := programNode(t, "node")
			if exec.Command(path, "-e", "require('"+module+"')").Run() != nil {
				t.Skipf("node has no module %s (NODE_PATH=%q)", module, os.Getenv("NODE_PATH"))
			}
			if got := run(t, session, path, "-", port); got != "well\n" {
				t.Error(got)
			}
		})
	}
}
