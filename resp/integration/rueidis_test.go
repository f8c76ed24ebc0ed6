package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

func dialRueidis(t *testing.T, addr string, change ...func(*rueidis.ClientOption)) rueidis.Client {
	t.Helper()
	opt := rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, PipelineMultiplex: -1}
	for _, f := range change {
		f(&opt)
	}
	c, err := rueidis.NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRueidis(t *testing.T) {
	ctx := t.Context()
	o := &origin{versions: map[string]int{"a": 1}}
	n := cluster(t, 1, o)[0]
	c := dialRueidis(t, n.addr)
	get := c.B().Get().Key("g:a")
	if v, err := c.Do(ctx, get.Build()).ToString(); v != "1" || err != nil {
		t.Errorf("%s, %v", v, err)
	}
	if _, err := c.Do(ctx, c.B().Get().Key("g:none").Build()).ToString(); !rueidis.IsRedisNil(err) {
		t.Errorf("a key that does not exist: %v", err)
	}
	if err := c.Do(ctx, c.B().Set().Key("g:b").Value("x").ExSeconds(100).Build()).Error(); err != nil {
		t.Error(err)
	}
	values, err := rueidis.MGet(c, ctx, []string{"g:a", "g:b", "g:none"})
	if err != nil || len(values) != 3 {
		t.Errorf("%v, %v", values, err)
	}
	// The second time it is in the client's cache, if the node is told of all changes by now.
	hit := false
	for deadline := time.Now().Add(10 * time.Second); !hit && time.Now().Before(deadline); {
		r := c.DoCache(ctx, c.B().Get().Key("g:b").Cache(), time.Minute)
		if v, err := r.ToString(); v != "x" || err != nil {
			t.Fatalf("%s, %v", v, err)
		}
		hit = r.IsCacheHit()
	}
	if !hit {
		t.Error("it caches nothing")
	}
	if r := c.DoCache(ctx, c.B().Get().Key("g:b").Cache(), time.Hour); r.CacheTTL() > 100 {
		t.Errorf("kept for %d s, want the TTL of the value", r.CacheTTL())
	}
	if _, err := rueidis.MGetCache(c, ctx, time.Minute, []string{"g:a", "g:b"}); err != nil {
		t.Error(err)
	}
	if err := n.group.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	c.Do(ctx, c.B().Ping().Build())
	if r := c.DoCache(ctx, c.B().Get().Key("g:a").Cache(), time.Minute); r.IsCacheHit() {
		t.Error("it has a value that was cleared")
	}
}

// A rueidis client with client-side caching never returns what a change has replaced that had
// returned before, wherever in the cluster: once the connection has answered anything since.
func TestRueidisIsAnExactNearCache(t *testing.T) {
	for _, mode := range []string{"OPTIN", "BCAST"} {
		t.Run(mode, func(t *testing.T) { exactNearCache(t, mode) })
	}
}

func exactNearCache(t *testing.T, mode string) {
	const keys, readers = 8, 3
	ctx, stop := context.WithTimeout(t.Context(), 4*time.Second)
	defer stop()
	o := &origin{versions: make(map[string]int), slow: true}
	var acked [keys]atomic.Int64
	for k := range keys {
		o.raise(strconv.Itoa(k))
	}
	nodes := cluster(t, 3, o)
	var running sync.WaitGroup
	var changes, reads, hits, stale, early atomic.Int64
	for w := range 2 { // each changes keys of its own
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				k := n*2%keys + w
				v := o.raise(strconv.Itoa(k))
				if nodes[n%3].group.Remove(context.Background(), strconv.Itoa(k)) == nil {
					acked[k].Store(int64(v))
					changes.Add(1)
				}
				<-time.After(time.Millisecond)
			}
		})
	}
	for r := range readers {
		c := dialRueidis(t, nodes[r].addr, func(opt *rueidis.ClientOption) {
			if mode == "BCAST" {
				opt.ClientTrackingOptions = []string{"BCAST", "PREFIX", "g:"}
			}
		})
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				k := n % keys
				want := acked[k].Load()
				ping := n%8 != 0
				if ping {
					c.Do(ctx, c.B().Ping().Build())
				}
				for range 3 {
					res := c.DoCache(ctx, c.B().Get().Key(fmt.Sprint("g:", k)).Cache(), time.Minute)
					got, err := res.AsInt64()
					if err != nil {
						if !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
							t.Errorf("key %d: %v", k, err)
						}
						continue
					}
					reads.Add(1)
					if res.IsCacheHit() {
						hits.Add(1)
					}
					switch {
					case got >= want:
					case ping:
						stale.Add(1)
					default:
						early.Add(1)
					}
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d changes, %d reads, %d from the clients' caches, %d stale; %d while the message was under way", changes.Load(), reads.Load(), hits.Load(), stale.Load(), early.Load())
	if stale.Load() > 0 {
		t.Errorf("%d stale reads", stale.Load())
	}
	if hits.Load() == 0 || changes.Load() == 0 {
		t.Error("there was nothing to see")
	}
}

// A client that is connected while its node is not yet told of changes keeps nothing, and is exact
// later.
func TestRueidisReconnects(t *testing.T) {
	ctx := t.Context()
	o := &origin{versions: map[string]int{"a": 1}}
	n := cluster(t, 1, o)[0]
	c := dialRueidis(t, n.addr)
	get := func() (int64, error) {
		return c.DoCache(ctx, c.B().Get().Key("g:a").Cache(), time.Hour).AsInt64()
	}
	if v, err := get(); v != 1 || err != nil {
		t.Fatal(v, err)
	}
	other := dialRueidis(t, n.addr)
	if err := other.Do(ctx, other.B().Arbitrary("CLIENT", "KILL", "TYPE", "normal").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	want := int64(o.raise("a"))
	if err := n.group.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if v, err := get(); v == want && err == nil {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Error("it still has the value from before the connection was lost")
}
