package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// sample is a Get.
type sample struct {
	caller int
	node   *clusterNode // that was asked
	at     time.Time    // when it began
	took   time.Duration
	err    error
}

type samples []sample

// crowd is callers who ask for keys, each for one at a time, at a random node whose door
// is open.
type crowd struct {
	cluster *cluster
	keys    []string

	stop   func()
	all    sync.WaitGroup
	caught []samples // by caller
}

// callerPause is at most between the Gets of a caller: so the nodes are in use and have
// time to spare, and what a Get takes is not the time that it waits for its turn.
const callerPause = 4 * time.Millisecond

// startCrowd has as many callers as the scale says ask for keys until end is called.
func startCrowd(f *cluster, keys []string) *crowd {
	ctx, cancel := context.WithCancel(context.Background())
	t := &crowd{cluster: f, keys: keys, stop: cancel, caught: make([]samples, f.scale.callers)}
	for i := range t.caught {
		t.all.Go(func() {
			for ctx.Err() == nil {
				t.caught[i] = append(t.caught[i], t.get(i))
				pause(ctx, callerPause)
			}
		})
	}
	return t
}

// errAllShut is the error of a caller who finds no node.
var errAllShut = errors.New("no node's door is open")

// get is one Get. A caller gives up when its patience is at its end.
func (t *crowd) get(caller int) sample {
	s := sample{caller: caller, at: time.Now(), err: errAllShut}
	ctx, cancel := context.WithTimeout(context.Background(), t.cluster.scale.patience)
	defer cancel()
	t.cluster.atRandom(func(n *clusterNode) {
		s.node = n
		_, s.took, s.err = n.get(ctx, t.keys[rand.IntN(len(t.keys))])
	})
	return s
}

// atRandom calls do with a random node whose door is open, if there is one.
func (f *cluster) atRandom(do func(n *clusterNode)) {
	for _, i := range rand.Perm(len(f.nodes)) {
		if n := f.nodes[i]; n.enter() {
			defer n.inside.Done()
			do(n)
			return
		}
	}
}

// end has the callers leave, and returns all that they have seen.
func (t *crowd) end() samples {
	t.stop()
	t.all.Wait()
	return slices.Concat(t.caught...)
}

// between returns the Gets that began in that time.
func (s samples) between(from, to time.Time) (in samples) {
	for _, one := range s {
		if !one.at.Before(from) && one.at.Before(to) {
			in = append(in, one)
		}
	}
	return in
}

// at returns the Gets at a node or, if is is false, those at the others.
func (s samples) at(n *clusterNode, is bool) (those samples) {
	for _, one := range s {
		if (one.node == n) == is {
			those = append(those, one)
		}
	}
	return those
}

// failed returns how many failed, and the error of one of them.
func (s samples) failed() (n int, err error) {
	for _, one := range s {
		if one.err != nil {
			n, err = n+1, one.err
		}
	}
	return n, err
}

// slowest returns what the longest took of all but a share of them: 0.01 makes it the 99th
// percentile, 0 the longest of all. It is 0 if there are none.
func (s samples) slowest(but float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	times := make([]time.Duration, len(s))
	for i, one := range s {
		times[i] = one.took
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(float64(len(times))*(1-but)))]
}

func (s samples) p99() time.Duration { return s.slowest(0.01) }

// waits returns how many of one caller, at most, took at least d.
func (s samples) waits(d time.Duration) (most int) {
	of := make(map[int]int)
	for _, one := range s {
		if one.took >= d {
			of[one.caller]++
			most = max(most, of[one.caller])
		}
	}
	return most
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
