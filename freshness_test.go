package peercache_test

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// Values expire by WithTTL, unless their Item says when, or that they do not.
func TestP7ItemTTLOverridesTheGroups(t *testing.T) {
	const groups = time.Minute
	for _, c := range []struct {
		name      string
		item      time.Duration
		freshFor  time.Duration // 0: not kept
		staleFrom time.Duration // 0: never
	}{
		{"the group's", 0, groups - 1, groups},
		{"a shorter one", time.Second, time.Second - 1, time.Second},
		{"a longer one", time.Hour, time.Hour - 1, time.Hour},
		{"without end", math.MaxInt64, 100 * 365 * 24 * time.Hour, 0},
		{"none", -1, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := local(t, &editions{ttl: c.item}, peercache.WithTTL(groups))
				n.wants(t, "k", "1")
				time.Sleep(c.freshFor)
				if c.freshFor > 0 {
					n.wants(t, "k", "1")
				}
				if c.staleFrom > 0 {
					time.Sleep(c.staleFrom - c.freshFor)
					n.wants(t, "k", "2")
				}
			})
		})
	}
}

// Jitter takes up to a share of each TTL away, and not the same of all.
func TestP7JitterSpreadsTheEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys, ttl = 1000, 100 * time.Second
		o := &editions{}
		n := local(t, o, peercache.WithTTL(ttl), peercache.WithTTLJitter(0.4))
		for k := range keys {
			n.get(t, fmt.Sprint(k))
		}
		expired := func(after time.Duration) (count int) {
			time.Sleep(after)
			for k := range keys {
				n.get(t, fmt.Sprint(k))
				if o.of(fmt.Sprint(k)) > 1 {
					count++
				}
			}
			return count
		}
		if early := expired(60*time.Second - 1); early != 0 {
			t.Errorf("%d of %d values expired before the time that jitter leaves them", early, keys)
		}
		if half := expired(20 * time.Second); half < keys*4/10 || half > keys*6/10 {
			t.Errorf("%d of %d values expired within half of the share, want about half", half, keys)
		}
		if all := expired(20*time.Second + 1); all != keys {
			t.Errorf("%d of %d values expired within the TTL, want all", all, keys)
		}
	})
}

// What a value has left travels as a duration, and the way of the answer is part of its
// age: an asker serves it no longer than the owner does.
func TestP7AskerHasWhatIsLeftAtTheOwner(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprint("stream=", stream), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := &editions{}
				c := simConfig{getter: o, group: []peercache.GroupOption{peercache.WithTTL(time.Minute)}}
				if !stream {
					c.pool = func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithoutStream()} }
				}
				nodes := newSimCluster(t, net, 2, c)
				key := keyOwnedBy(t, nodes, 0, 1)
				owner, asker := nodes[1], nodes[0]
				asker.get(t, keysOwnedBy(t, nodes, 0, 1, 2)[1]) // they are connected
				owner.wants(t, key, "1")
				expires := time.Now().Add(time.Minute)
				asker.brings(t, key, "1") // once is not worth a copy
				net.SetLatency(100*time.Millisecond, 100*time.Millisecond)
				time.Sleep(time.Until(expires) - time.Second)
				asker.brings(t, key, "1")
				if left := time.Until(expires); left >= time.Second-100*time.Millisecond {
					t.Fatalf("the answer came when %v were left: want it to have been under way", left)
				}
				time.Sleep(time.Until(expires) - 201*time.Millisecond)
				asker.wants(t, key, "1") // a copy
				time.Sleep(time.Until(expires))
				asker.brings(t, key, "2")
				if age := time.Since(expires); age < 100*time.Millisecond {
					t.Errorf("an expired value was answered from the copy")
				}
			})
		})
	}
}

// A thousand callers find an expired value. One load in the cluster gets the new one;
// nobody waits for it, at the owner or elsewhere.
func TestP7StaleWhileRevalidateKeepsNobodyWaiting(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{takes: 10 * time.Second}
		nodes := newSimCluster(t, net, 3, simConfig{getter: o, group: []peercache.GroupOption{
			peercache.WithTTL(time.Minute), peercache.WithStaleWhileRevalidate(time.Minute),
			peercache.WithLoadTimeout(20 * time.Second),
		}})
		key := keyOwnedBy(t, nodes, 0, 1)
		owner := nodes[1:2]
		owner[0].brings(t, key, "1")
		time.Sleep(time.Minute + time.Second)

		answers, slowest := herd(t, owner, 1000, key)
		if answers["1"] != 1000 || slowest != 0 {
			t.Errorf("the owner answered %v, the slowest after %v: want the old value for all, at once", answers, slowest)
		}
		answers, slowest = herd(t, nodes, 999, key)
		if answers["1"] != 999 || slowest > 20*time.Millisecond {
			t.Errorf("the cluster answered %v, the slowest after %v: want the old value for all, without a load", answers, slowest)
		}
		time.Sleep(10 * time.Second)
		if loads := o.of(key); loads != 2 {
			t.Errorf("%d loads: want one when it was not there, and one when it had expired", loads)
		}
		for _, n := range nodes {
			n.brings(t, key, "2")
		}
		if s := owner[0].group.Stats(); s.Refreshes != 1 || s.StaleHits < 1000 || s.Loads != 2 {
			t.Errorf("the owner counts %d refreshes, %d stale hits, %d loads: want 1, 1,000 or more, 2", s.Refreshes, s.StaleHits, s.Loads)
		}
	})
}

// Where the origin is slower than the window, the old value is served to its end, and
// then callers wait for the load that is in progress.
func TestP7StaleWindowEndsWhileTheLoadGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &editions{takes: 10 * time.Second}
		n := local(t, o, peercache.WithTTL(time.Minute), peercache.WithStaleWhileRevalidate(4*time.Second),
			peercache.WithLoadTimeout(time.Minute))
		n.brings(t, "k", "1")
		time.Sleep(time.Minute)
		n.wants(t, "k", "1")
		time.Sleep(4*time.Second - 1)
		n.wants(t, "k", "1")
		time.Sleep(time.Nanosecond)
		start := time.Now()
		n.brings(t, "k", "2")
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("a Get after the window took %v: want the 6s that are left of the load", took)
		}
		if loads := o.of("k"); loads != 2 {
			t.Errorf("%d loads: want the one in progress to be joined", loads)
		}
	})
}

// A value in use at its owner is loaded anew before it expires.
func TestP7RefreshAheadAtTheOwner(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{takes: time.Second}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o, group: refreshing()})
		key := keyOwnedBy(t, nodes, 0, 1)
		usedSteadily(t, o, nodes[1], key, time.Millisecond)
		if s := nodes[1].group.Stats(); s.Refreshes != s.Loads-1 || s.StaleHits != 0 {
			t.Errorf("%d refreshes of %d loads, %d stale hits: want all but the first load, and none", s.Refreshes, s.Loads, s.StaleHits)
		}
	})
}

// A value in use at another peer alone is loaded anew at its owner before it expires.
func TestP7RefreshAheadForACopy(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{takes: time.Second}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o, group: refreshing()})
		key := keyOwnedBy(t, nodes, 0, 1)
		usedSteadily(t, o, nodes[0], key, 20*time.Millisecond)
		if s := nodes[1].group.Stats(); s.Refreshes != s.Loads-1 {
			t.Errorf("%d refreshes of %d loads: want all but the first load", s.Refreshes, s.Loads)
		}
		if s := nodes[0].group.Stats(); s.Renewals < 10 || s.Loads != 0 {
			t.Errorf("the other peer counts %d renewals and %d loads: want 10 or more, and none", s.Renewals, s.Loads)
		}
	})
}

func refreshing() []peercache.GroupOption {
	return []peercache.GroupOption{peercache.WithTTL(20 * time.Second), peercache.WithRefreshAhead(5 * time.Second)}
}

// usedSteadily asks a node for key for 2 minutes. Nobody may wait longer than most,
// which is less than a load takes, but for the first one.
func usedSteadily(t *testing.T, o *editions, n *node, key string, most time.Duration) {
	t.Helper()
	n.get(t, key)
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		time.Sleep(300 * time.Millisecond)
		start := time.Now()
		n.get(t, key)
		if took := time.Since(start); took > most {
			t.Errorf("a Get of a key in use took %v: want at most %v, a load takes %v", took, most, o.takes)
		}
	}
	if loads := o.of(key); loads < 6 || loads > 9 {
		t.Errorf("%d loads in 2m: want 6 to 9, one for each time the value was about to expire", loads)
	}
}

// Options that say the impossible are refused, with what would be right.
func TestFreshnessOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string][]peercache.GroupOption{
		"no TTL":                    {peercache.WithTTL(0)},
		"a negative TTL":            {peercache.WithTTL(-1)},
		"a jitter below 0":          {peercache.WithTTLJitter(-0.1)},
		"a jitter over 1":           {peercache.WithTTLJitter(1.1)},
		"a jitter that is no share": {peercache.WithTTLJitter(math.NaN())},
		"no stale time":             {peercache.WithStaleWhileRevalidate(0)},
		"no stale time on error":    {peercache.WithStaleIfError(0)},
		"no negative TTL":           {peercache.WithNegativeTTL(0)},
		"no refresh ahead":          {peercache.WithRefreshAhead(0)},
		"a refresh at once":         {peercache.WithTTL(time.Second), peercache.WithRefreshAhead(time.Second)},
		"a lease too short":         {peercache.WithLease(10*time.Millisecond - 1)},
		"a lease too long":          {peercache.WithLease(time.Minute + 1)},
		"a stand-in too short":      {peercache.WithStandIn(time.Second - 1)},
		"a stand-in too long":       {peercache.WithStandIn(time.Hour + 1)},
	} {
		if g, err := peercache.NewGroup("test", 1<<20, &editions{}, opts...); err == nil || g != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, opts := range map[string][]peercache.GroupOption{
		"the shortest": {peercache.WithTTL(1), peercache.WithTTLJitter(0), peercache.WithLease(10 * time.Millisecond), peercache.WithStandIn(time.Second)},
		"the longest":  {peercache.WithTTL(math.MaxInt64), peercache.WithTTLJitter(1), peercache.WithLease(time.Minute), peercache.WithStandIn(time.Hour), peercache.WithStaleIfError(math.MaxInt64), peercache.WithNegativeTTL(math.MaxInt64)},
	} {
		g, err := peercache.NewGroup("test", 1<<20, &editions{}, opts...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := g.Get(t.Context(), "k"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
