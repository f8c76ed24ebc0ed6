package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/respdoor"
	"github.com/peercache/peercache/resp"
)

// dataNode serves data, and returns its address.
func dataNode(t *testing.T) string {
	t.Helper()
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	f, err := respdoor.New(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := resp.New(nil, resp.WithFallback(f))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return l.Addr().String()
}

// want compares what a client has got.
func want[T any](t *testing.T, what string, want T) func(got T, err error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
		}
	}
}

func TestDataGoRedis(t *testing.T) {
	addr, ctx := dataNode(t), t.Context()
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprint("protocol ", protocol), func(t *testing.T) {
			c := redis.NewClient(&redis.Options{Addr: addr, Protocol: protocol})
			defer c.Close()
			want(t, "FLUSHALL", "OK")(c.FlushAll(ctx).Result())
			want(t, "SET", "OK")(c.Set(ctx, "s", "hello", time.Minute).Result())
			want(t, "GETRANGE", "ell")(c.GetRange(ctx, "s", 1, 3).Result())
			want(t, "INCRBYFLOAT", 1.5)(c.IncrByFloat(ctx, "f", 1.5).Result())
			want(t, "TTL", time.Minute)(c.TTL(ctx, "s").Result())
			want(t, "HSET", int64(2))(c.HSet(ctx, "h", "a", 1, "b", "two").Result())
			want(t, "HGETALL", map[string]string{"a": "1", "b": "two"})(c.HGetAll(ctx, "h").Result())
			want(t, "RPUSH", int64(3))(c.RPush(ctx, "l", "a", "b", "c").Result())
			want(t, "LRANGE", []string{"a", "b", "c"})(c.LRange(ctx, "l", 0, -1).Result())
			want(t, "BLPOP", []string{"l", "a"})(c.BLPop(ctx, time.Second, "none", "l").Result())
			want(t, "SADD", int64(2))(c.SAdd(ctx, "set", "x", "y").Result())
			want(t, "SISMEMBER", true)(c.SIsMember(ctx, "set", "x").Result())
			want(t, "ZADD", int64(2))(c.ZAdd(ctx, "z", redis.Z{Score: 1, Member: "one"}, redis.Z{Score: 2.5, Member: "more"}).Result())
			want(t, "ZRANGE", []redis.Z{{Score: 1, Member: "one"}, {Score: 2.5, Member: "more"}})(c.ZRangeWithScores(ctx, "z", 0, -1).Result())
			want(t, "TYPE", "zset")(c.Type(ctx, "z").Result())
			var keys []string
			for it := c.Scan(ctx, 0, "*", 2).Iterator(); it.Next(ctx); {
				keys = append(keys, it.Val())
			}
			slices.Sort(keys)
			want(t, "SCAN", []string{"f", "h", "l", "s", "set", "z"})(slices.Compact(keys), nil)
			goRedisTransactions(t, c)
			goRedisMessages(t, c)
		})
	}
}

func goRedisTransactions(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	add := func(tx *redis.Tx) error {
		n, err := tx.Get(ctx, "n").Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "n", n+1, 0).Err() })
		return err
	}
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for done := 0; done < 25; {
				switch err := c.Watch(ctx, add, "n"); {
				case err == nil:
					done++
				case !errors.Is(err, redis.TxFailedErr):
					t.Error(err)
					return
				}
			}
		})
	}
	adding.Wait()
	want(t, "a counter by WATCH", "100")(c.Get(ctx, "n").Result())
}

func goRedisMessages(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	sub := c.PSubscribe(ctx, "news.*")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "PUBLISH", int64(1))(c.Publish(ctx, "news.today", "hello").Result())
	m, err := sub.ReceiveMessage(ctx)
	if err != nil || m.Channel != "news.today" || m.Payload != "hello" || m.Pattern != "news.*" {
		t.Errorf("a message: %v, %v", m, err)
	}
}

func TestDataRueidis(t *testing.T) {
	addr, ctx := dataNode(t), t.Context()
	open := func() rueidis.Client { // with one connection for all commands, so that a reply is behind the messages before it
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, PipelineMultiplex: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	c, other := open(), open()
	b := c.B
	want(t, "SET", "OK")(c.Do(ctx, b().Set().Key("s").Value("1").Build()).ToString())
	want(t, "HSET", int64(2))(c.Do(ctx, b().Hset().Key("h").FieldValue().FieldValue("a", "1").FieldValue("b", "2").Build()).AsInt64())
	want(t, "HGETALL", map[string]string{"a": "1", "b": "2"})(c.Do(ctx, b().Hgetall().Key("h").Build()).AsStrMap())
	want(t, "ZADD", int64(1))(c.Do(ctx, b().Zadd().Key("z").ScoreMember().ScoreMember(1.5, "m").Build()).AsInt64())
	want(t, "ZSCORE", 1.5)(c.Do(ctx, b().Zscore().Key("z").Member("m").Build()).AsFloat64())

	// It caches, and is told of a change of another client before that is answered, and of its own one behind the answer.
	for i := range 200 {
		text, writer := fmt.Sprint(i), c
		if i%2 == 0 {
			writer = other
		}
		want(t, "SET", "OK")(writer.Do(ctx, b().Set().Key("s").Value(text).Build()).ToString())
		want(t, "PING", "PONG")(c.Do(ctx, b().Ping().Build()).ToString())
		for range 2 {
			want(t, "a cached GET", text)(c.DoCache(ctx, b().Get().Key("s").Cache(), time.Minute).ToString())
		}
	}
	popped := make(chan error, 1)
	go func() {
		got, err := c.Do(ctx, b().Blpop().Key("l").Timeout(20).Build()).AsStrSlice()
		if err == nil && !slices.Equal(got, []string{"l", "x"}) {
			err = fmt.Errorf("BLPOP: %v", got)
		}
		popped <- err
	}()
	want(t, "RPUSH", int64(1))(c.Do(ctx, b().Rpush().Key("l").Element("x").Build()).AsInt64())
	if err := <-popped; err != nil {
		t.Error(err)
	}
	ended, end := context.WithTimeout(ctx, 20*time.Second)
	defer end()
	err := c.Dedicated(func(d rueidis.DedicatedClient) error {
		wait := d.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) {
			if m.Channel == "c" && m.Message == "hello" {
				end()
			}
		}})
		if err := d.Do(ctx, b().Subscribe().Channel("c").Build()).Error(); err != nil {
			return err
		}
		want(t, "PUBLISH", int64(1))(c.Do(ctx, b().Publish().Channel("c").Message("hello").Build()).AsInt64())
		select {
		case err := <-wait:
			return err
		case <-ended.Done():
			return nil
		}
	})
	if err != nil || !errors.Is(ended.Err(), context.Canceled) {
		t.Errorf("a message: %v, %v", err, ended.Err())
	}
	for _, r := range c.DoMulti(ctx, b().Multi().Build(), b().Incr().Key("s").Build(), b().Exec().Build())[2:] {
		want(t, "EXEC", []int64{200})(r.AsIntSlice())
	}
}

// pythonData is a session of redis-py over all types.
const pythonData = `
import redis, sys, threading
r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
assert r.set('s', 'hello', ex=100) and r.get('s') == 'hello' and r.ttl('s') == 100
assert r.incr('n', 5) == 5 and r.append('s', '!') == 6 and r.strlen('s') == 6
assert r.hset('h', mapping={'a': 1, 'b': 2}) == 2 and r.hgetall('h') == {'a': '1', 'b': '2'} and r.hincrby('h', 'a', 3) == 4
assert r.rpush('l', 'a', 'b', 'c') == 3 and r.lrange('l', 0, -1) == ['a', 'b', 'c'] and r.lmove('l', 'k', 'LEFT', 'RIGHT') == 'a'
assert r.sadd('x', 1, 2, 3) == 3 and r.sadd('y', 2, 3, 4) == 3 and r.sinter('x', 'y') == {'2', '3'}
assert r.zadd('z', {'one': 1, 'two': 2}) == 2 and r.zrange('z', 0, -1, withscores=True) == [('one', 1.0), ('two', 2.0)]
assert sorted(r.scan_iter()) == ['h', 'k', 'l', 'n', 's', 'x', 'y', 'z']
with r.pipeline() as p:
    assert p.set('p', 1).incr('p').lrange('l', 0, -1).execute() == [True, 2, ['b', 'c']]
    p.watch('p')
    p.multi()
    p.get('p')
    r.set('p', 9)
    try:
        p.execute()
        assert False
    except redis.WatchError:
        pass
try:
    r.lpush('s', 'x')
    assert False
except redis.ResponseError as e:
    assert str(e).startswith('WRONGTYPE'), e
got = []
waiter = threading.Thread(target=lambda: got.append(redis.Redis(port=int(sys.argv[1]), decode_responses=True).blpop('wait', 20)))
waiter.start()
while r.info('clients')['blocked_clients'] == 0: pass
assert r.rpush('wait', 'x') == 1
waiter.join()
assert got == [('wait', 'x')], got
pubsub = redis.Redis(port=int(sys.argv[1]), decode_responses=True).pubsub()
pubsub.psubscribe('c*')
assert pubsub.get_message(timeout=5)['type'] == 'psubscribe'
assert r.publish('channel', 'hello') == 1
m = pubsub.get_message(timeout=5)
assert m['type'] == 'pmessage' and m['channel'] == 'channel' and m['data'] == 'hello', m
assert r.config_set('notify-keyspace-events', 'KEA') and r.config_get('notify-keyspace-events')['notify-keyspace-events'] == 'AKE'
assert r.memory_usage('s') > 0 and r.dbsize() == 9 and r.flushall() and r.dbsize() == 0
print('well')
`

func TestDataPython(t *testing.T) {
	path := pythonWithRedis(t)
	_, port, _ := net.SplitHostPort(dataNode(t))
	if got := run(t, pythonData, path, "-", port); got != "well\n" {
		t.Error(got)
	}
}

// ioredisData is a session of ioredis over all types.
const ioredisData = `
const Redis = require('ioredis'), assert = require('assert');
(async () => {
  const options = { port: Number(process.argv[2]) };
  const r = new Redis(options), other = new Redis(options);
  assert.equal(await r.set('s', 'hello', 'EX', 100), 'OK');
  assert.equal(await r.get('s'), 'hello');
  assert.equal(await r.hset('h', { a: 1, b: 2 }), 2);
  assert.deepEqual(await r.hgetall('h'), { a: '1', b: '2' });
  assert.equal(await r.rpush('l', 'a', 'b', 'c'), 3);
  assert.deepEqual(await r.lrange('l', 0, -1), ['a', 'b', 'c']);
  assert.equal(await r.sadd('x', 1, 2), 2);
  assert.equal(await r.zadd('z', 1, 'one', 2.5, 'more'), 2);
  assert.deepEqual(await r.zrange('z', 0, -1, 'WITHSCORES'), ['one', '1', 'more', '2.5']);
  assert.deepEqual(await r.multi().incr('n').get('s').exec(), [[null, 1], [null, 'hello']]);
  await r.watch('n');
  await other.incr('n');
  assert.equal(await r.multi().get('n').exec(), null);
  const popped = other.blpop('wait', 20);
  assert.equal(await r.rpush('wait', 'x'), 1);
  assert.deepEqual(await popped, ['wait', 'x']);
  const heard = new Promise(done => other.on('message', (channel, text) => done([channel, text])));
  assert.equal(await other.subscribe('c'), 1);
  assert.equal(await r.publish('c', 'hello'), 1);
  assert.deepEqual(await heard, ['c', 'hello']);
  await assert.rejects(r.lpush('s', 'x'), /WRONGTYPE/);
  await r.quit(); await other.quit();
  console.log('well');
})();
`

func TestDataNode(t *testing.T) {
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node on this machine")
	}
	if exec.Command(path, "-e", "require('ioredis')").Run() != nil {
		t.Skipf("node has no module ioredis (NODE_PATH=%q)", os.Getenv("NODE_PATH"))
	}
	_, port, _ := net.SplitHostPort(dataNode(t))
	if got := run(t, ioredisData, path, "-", port); got != "well\n" {
		t.Error(got)
	}
}
