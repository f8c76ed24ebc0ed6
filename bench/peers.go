package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/golang/groupcache"

	"github.com/peercache/peercache"
)

var peers = command{
	name:  "peers",
	about: "getting keys that another process has cached",
	run:   runPeers,
}

const (
	batchKeys    = 1000 // of one GetMulti
	batchCallers = 8
	batchesEach  = 3 // of different keys
	owners       = 3 // that those keys are of
)

func runPeers(w io.Writer, m measuring) error {
	b, err := startPeers(w, m)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Fprintf(w, `
Processes on one machine, over loopback. The owner has all keys cached. peercache is as it comes, in groups of
%d MiB: it keeps copies where they pay. What is copied out is a slice of the caller's own (ByteSlice), as what
Redis' client returns; otherwise a view of the value that came. WithHotShare(0) is peercache without copies, and
golang/groupcache has groups of 0 bytes: it keeps none. c goroutines ask, each for one key at a time, all of
them equally often unless it says otherwise; median of %d turns of %v each, in turns. groupcache, as it comes,
keeps 2 idle connections; tuned, as many as it uses, like net/http, which gets bare values.
`, askerBytes>>20, m.repeats, m.turn)
	for _, run := range []func(*peersBench) error{
		(*peersBench).copies, (*peersBench).small, (*peersBench).protected, (*peersBench).medium, (*peersBench).beside, (*peersBench).batches,
	} {
		if err := run(b); err != nil {
			return err
		}
	}
	b.targets.print(w, "Targets, ours to theirs")
	return nil
}

// peersBench is what the comparisons of this command share.
type peersBench struct {
	w        io.Writer
	m        measuring
	nodes    []*node    // the owners
	fetchers []*fetcher // first those that have places: see byDefault
	keys     [][]string // by kind: those that the owners own, whatever way they are fetched
	targets  targets
	closers  []func()

	pool       *peercache.HTTPPool
	groupcache *groupcache.HTTPPool
	asker      string // URL of this process
}

// startPeers starts one owner and whoever else is there.
func startPeers(w io.Writer, m measuring) (*peersBench, error) {
	b := &peersBench{w: w, m: m, keys: make([][]string, len(valueKinds))}
	for _, add := range []func() error{
		b.addPeercache, b.addGroupcache, b.addPlain, b.addMemcached, b.addRedis, func() error { return b.grow(1, small, medium, tiny, b.huge()) },
	} {
		if err := add(); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

// grow starts owners until there are n, tells everybody, chooses keys of kinds of
// values that belong to them, and has the values cached.
func (b *peersBench) grow(n int, kinds ...valueKind) error {
	urls := []string{b.asker}
	for len(b.nodes) < n {
		node, err := startOwner()
		if err != nil {
			return err
		}
		b.closers = append(b.closers, node.stop)
		b.nodes = append(b.nodes, node)
	}
	for _, node := range b.nodes {
		urls = append(urls, node.url)
	}
	if err := b.pool.Set(urls...); err != nil {
		return err
	}
	for _, node := range b.nodes {
		if _, err := node.tell(strings.Join(urls, ",")); err != nil {
			return err
		}
	}
	b.groupcache.Set(append([]string{nobody}, urls[1:]...)...)
	for _, of := range kinds {
		b.keys[of] = b.foreignKeys(of)
		for _, f := range b.fetchers {
			if err := b.warm(f, of); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	return nil
}

// foreignKeys returns keys for values of a kind that are not this process's.
func (b *peersBench) foreignKeys(of valueKind) (keys []string) {
	n := valueKinds[of].keys
	switch {
	case b.m.quick && of == batch:
		n = batchesEach * batchKeys
	case b.m.quick:
		n = max(1, n/32)
	}
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprintf("%s:%08d", valueKinds[of].name, i)
		if _, foreign := b.groupcache.PickPeer(key); foreign && b.pool.Pick(key, 0) != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// huge is the kind of values that others are fetched beside.
func (b *peersBench) huge() valueKind {
	if b.m.quick {
		return large
	}
	return huge
}

// warm fetches all values of a kind once.
func (b *peersBench) warm(f *fetcher, of valueKind) error {
	if !f.takes(of) {
		return nil
	}
	defer f.rest()
	return oneByOne(b.keys[of], func(key string) error {
		if f.put != nil {
			if err := f.put(of, key); err != nil {
				return err
			}
		}
		return f.get(of, key)
	})
}

// close ends what was started, the last first.
func (b *peersBench) close() {
	for _, f := range slices.Backward(b.closers) {
		f()
	}
}

// The places in fetchers of those that targets name.
const (
	byDefault = iota
	copiedOut
	withoutCopies
	byGroupcache
)

// callers is how many there are of GetMulti at one time.
func (b *peersBench) callers() int { return len(b.keys[batch]) / batchKeys / batchesEach }

// redis returns Redis's place in fetchers, or -1.
func (b *peersBench) redis() int {
	return slices.IndexFunc(b.fetchers, func(f *fetcher) bool { return f.name == redisName })
}

// copies compares fetches with copies and without them.
func (b *peersBench) copies() error {
	both := []*fetcher{b.fetchers[byDefault], b.fetchers[withoutCopies]}
	uniform, err := b.inTurns(both, small, load{workers: 64})
	if err != nil {
		return err
	}
	skewed, err := b.inTurns(both, small, load{workers: 64, skewed: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\n%d keys of 1 KiB, c=64, equally often and skewed (Zipf %v); Gets in a second:\n", len(b.keys[small]), skew)
	t := newTable("", "uniform", "× ours", "skewed", "× ours")
	for i, f := range both {
		t.add(f.name, uniform[i].rate, uniform[i].rate/uniform[0].rate, skewed[i].rate, skewed[i].rate/skewed[0].rate)
	}
	b.targets.add("1 KiB, uniform, c=64, Gets/s, to WithHotShare(0)", uniform[0].rate/uniform[1].rate, false, 0.95)
	b.targets.add(fmt.Sprintf("1 KiB, Zipf %v, c=64, Gets/s, to WithHotShare(0)", skew), skewed[0].rate/skewed[1].rate, false, 3)
	return t.print(b.w)
}

// small compares the fetches of single keys, and what they cost.
func (b *peersBench) small() error {
	alone, err := b.inTurns(b.fetchers, small, load{workers: 1, timed: true})
	if err != nil {
		return err
	}
	some, err := b.inTurns(b.fetchers, small, load{workers: 64})
	if err != nil {
		return err
	}
	if err := b.profile("small", small, load{workers: 64}); err != nil {
		return err
	}
	many, err := b.inTurns(b.fetchers, small, load{workers: 512})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\n1 KiB values, keys fetched in a second:\n")
	t := newTable("", "c=1 p50 µs", "× ours", "c=64", "× ours", "c=512", "× ours")
	for i, f := range b.fetchers {
		t.add(f.name, us(alone[i].p50), alone[i].p50/alone[byDefault].p50,
			some[i].rate, some[i].rate/some[byDefault].rate, many[i].rate, many[i].rate/many[byDefault].rate)
	}
	if err := t.print(b.w); err != nil {
		return err
	}
	b.targets.add("1 KiB, c=1, p50, to groupcache", alone[byDefault].p50/alone[byGroupcache].p50, true, 0.6)
	b.targets.add("1 KiB, c=64, keys/s, to groupcache", some[byDefault].rate/some[byGroupcache].rate, false, 12)
	b.targets.add("1 KiB, c=512, keys/s, to groupcache", many[byDefault].rate/many[byGroupcache].rate, false, 25)
	if r := b.redis(); r >= 0 {
		b.targets.add("1 KiB, copied out, c=64, keys/s, to Redis", some[copiedOut].rate/some[r].rate, false, 1.3)
		b.targets.add("1 KiB, copied out, c=512, keys/s, to Redis", many[copiedOut].rate/many[r].rate, false, 1.3)
	}

	fmt.Fprintf(b.w, "\nWhat that costs: processor time a key, of asker and owner together, and connections of the asker at once:\n")
	t = newTable("", "c=64 µs", "× ours", "c=512 µs", "× ours", "c=512 connections")
	for i, f := range b.fetchers {
		if f.foreign {
			continue
		}
		t.add(f.name, us(some[i].cpu), some[i].cpu/some[byDefault].cpu, us(many[i].cpu), many[i].cpu/many[byDefault].cpu, many[i].conns)
	}
	b.targets.add("1 KiB, c=64, processor time, to groupcache", some[byDefault].cpu/some[byGroupcache].cpu, true, 0.1)
	b.targets.add("1 KiB, c=512, processor time, to groupcache", many[byDefault].cpu/many[byGroupcache].cpu, true, 0.1)
	b.targets.add("1 KiB, c=512, connections", many[byDefault].conns, true, 2)
	return t.print(b.w)
}

// medium compares the fetches of larger values.
func (b *peersBench) medium() error {
	some, err := b.inTurns(b.fetchers, medium, load{workers: 64})
	if err != nil {
		return err
	}
	if err := b.profile("medium", medium, load{workers: 64}); err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\n16 KiB values, keys fetched in a second:\n")
	t := newTable("", "c=64", "× ours")
	for i, f := range b.fetchers {
		t.add(f.name, some[i].rate, some[i].rate/some[byDefault].rate)
	}
	if r := b.redis(); r >= 0 {
		b.targets.add("16 KiB, copied out, c=64, keys/s, to Redis", some[copiedOut].rate/some[r].rate, false, 1)
	}
	return t.print(b.w)
}

// batches compares the fetches of many keys at once, from several owners.
func (b *peersBench) batches() error {
	if err := b.grow(owners, batch); err != nil {
		return err
	}
	var able []*fetcher
	for _, f := range b.fetchers {
		if f.getAll != nil {
			able = append(able, f)
		}
	}
	one, err := b.inTurns(able, batch, load{workers: 1})
	if err != nil {
		return err
	}
	eight, err := b.inTurns(able, batch, load{workers: b.callers()})
	if err != nil {
		return err
	}
	if err := b.profile("batch", batch, load{workers: b.callers()}); err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\nCalls for %d keys of 1 KiB, which %d other processes own (Redis: one has them); keys fetched in a second:\n", batchKeys, owners)
	t := newTable("", "1 caller", "× ours", fmt.Sprintf("%d callers", b.callers()), "× ours")
	for i, f := range able {
		t.add(f.nameAll, one[i].rate, one[i].rate/one[byDefault].rate, eight[i].rate, eight[i].rate/eight[byDefault].rate)
		if f.name == redisName {
			b.targets.add("GetMulti of 1,000, copied out, 1 caller, keys/s, to Redis", one[copiedOut].rate/one[i].rate, false, 1)
			b.targets.add("GetMulti of 1,000, copied out, 8 callers, keys/s, to Redis", eight[copiedOut].rate/eight[i].rate, false, 1)
		}
	}
	return t.print(b.w)
}

// beside compares how long small values take while large ones are fetched.
func (b *peersBench) beside() error {
	var able []*fetcher
	for _, f := range b.fetchers[withoutCopies:] { // copies of so few values would answer all
		if f.takes(b.huge()) {
			able = append(able, f)
		}
	}
	alone, err := b.inTurns(able, tiny, load{workers: 1, timed: true})
	if err != nil {
		return err
	}
	beside, err := b.inTurns(able, tiny, load{workers: 1, timed: true, beside: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(b.w, "\n100-byte values, c=1, alone and beside another goroutine that gets values of %d MiB, one after the other; p99:\n", valueKinds[b.huge()].bytes>>20)
	t := newTable("", "alone µs", "× ours", "beside µs", "× ours")
	for i, f := range able {
		t.add(f.name, us(alone[i].p99), alone[i].p99/alone[byDefault].p99, us(beside[i].p99), beside[i].p99/beside[byDefault].p99)
	}
	return t.print(b.w)
}

// us shows nanoseconds as microseconds.
func us(ns float64) float64 { return ns / float64(time.Microsecond) }

// inTurns measures the fetchers with one load, as sideBySide does.
func (b *peersBench) inTurns(fetchers []*fetcher, of valueKind, l load) ([]cost, error) {
	costs, l := make([][]cost, len(fetchers)), l.ordered(len(b.keys[of]))
	for turn := range b.m.repeats + 1 {
		for i := range fetchers {
			i := (i + turn) % len(fetchers) // nobody always follows the same one
			c, err := b.measure(fetchers[i], of, l)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", fetchers[i].name, err)
			}
			if turn > 0 { // the first one warms up
				costs[i] = append(costs[i], c)
			}
		}
	}
	medians := make([]cost, len(fetchers))
	for i, c := range costs {
		medians[i] = medianCost(c)
	}
	return medians, nil
}
