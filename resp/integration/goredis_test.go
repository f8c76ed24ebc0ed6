package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/peercache/peercache/resp"
)

func TestGoRedis(t *testing.T) {
	ctx := t.Context()
	o := &origin{versions: map[string]int{"a": 1, "b": 2}}
	n := cluster(t, 2, o, resp.WithPassword("secret"))[0]
	for _, protocol := range []int{2, 3} {
		c := redis.NewClient(&redis.Options{Addr: n.addr, Password: "secret", Protocol: protocol})
		defer c.Close()
		if v, err := c.Get(ctx, "g:a").Result(); v != "1" || err != nil {
			t.Errorf("GET: %s, %v", v, err)
		}
		if _, err := c.Get(ctx, "g:none").Result(); !errors.Is(err, redis.Nil) {
			t.Errorf("GET of nothing: %v", err)
		}
		if v, err := c.MGet(ctx, "g:a", "g:none", "g:b").Result(); err != nil || len(v) != 3 || v[0] != "1" || v[1] != nil || v[2] != "2" {
			t.Errorf("MGET: %v, %v", v, err)
		}
		if err := c.Set(ctx, "g:c", "x", time.Minute).Err(); err != nil {
			t.Errorf("SET: %v", err)
		}
		if ttl, err := c.TTL(ctx, "g:c").Result(); err != nil || ttl != time.Minute {
			t.Errorf("TTL: %v, %v", ttl, err)
		}
		if ok, err := c.SetNX(ctx, "g:c", "x", time.Minute).Result(); ok || err == nil {
			t.Errorf("SETNX: %v, %v", ok, err)
		}
		cmds, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Get(ctx, "g:a")
			p.Del(ctx, "g:c")
			return nil
		})
		if err != nil || len(cmds) != 2 || cmds[0].(*redis.StringCmd).Val() != "1" {
			t.Errorf("a transaction: %v, %v", cmds, err)
		}
		cmds, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range 100 {
				p.Get(ctx, "g:b")
			}
			return nil
		})
		if err != nil || cmds[99].(*redis.StringCmd).Val() != "2" {
			t.Errorf("a pipeline: %v", err)
		}
		if all, err := c.Command(ctx).Result(); err != nil || all["get"] == nil || !all["get"].ReadOnly {
			t.Errorf("COMMAND: %v, %v", all["get"], err)
		}
		if info, err := c.ClientInfo(ctx).Result(); err != nil || info.LibName == "" {
			t.Errorf("CLIENT INFO: %v, %v", info, err)
		}
		if err := c.FlushDB(ctx).Err(); err != nil {
			t.Errorf("FLUSHDB: %v", err)
		}
	}
}
