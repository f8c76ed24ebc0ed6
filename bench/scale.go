package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/peercache/peercache"
)

var scale = command{
	name:  "scale",
	about: "what a change of the view, a Remove and a deploy cost a peer, of 10, 100 and 1,000",
	alone: true,
	run:   runScale,
}

// removesCounted is how many keys are removed, of each kind.
const removesCounted = 10

// scaled are the costs in a cluster of one size.
type scaled struct {
	peers                      int
	joins, leaves              price
	settled, oneHolder, during price // of removesCounted Removes
	deployed
}

// deployed is what the restart of one process takes.
type deployed struct {
	ends, begins price
	keys         int   // that it kept
	loads        int64 // of these, by anybody, when they were asked for after it ended and after it began
}

func runScale(w io.Writer, m measuring) error {
	sizes := []int{10, 100, 1000}
	if m.quick {
		sizes = []int{10, 30}
	}
	fmt.Fprintf(w, `
Clusters of real pools and groups in one process, %d keys a peer. A request is a call of the other pool's ServeHTTP:
no connections, no time on the way. Messages are requests, each of which has one answer, and are counted with the peer
that sends them; bytes are those of the bodies of both, without the headers of HTTP. Processor time is that of the
whole process, its garbage collection included, divided by the peers. One machine does the work of all peers: what
passes until they agree is more than with a machine each. 1,000 peers take some 10 GB of memory, most of it rings.
`, scaleKeys)
	all := make([]scaled, 0, len(sizes))
	for _, n := range sizes {
		s, err := measureScale(n)
		if err != nil {
			return fmt.Errorf("%d peers: %w", n, err)
		}
		all = append(all, s)
	}
	for _, print := range []func(io.Writer, []scaled) error{printViews, printRemoves, printDeploys} {
		if err := print(w, all); err != nil {
			return err
		}
	}
	return nil
}

// measureScale has all happen to a cluster of n peers.
func measureScale(n int) (s scaled, err error) {
	s.peers = n
	if n >= 1000 {
		// Each process has rings of its own, 2.4 MB each. Let little garbage stand beside.
		defer debug.SetGCPercent(debug.SetGCPercent(25))
	}
	f, err := newFleet(n)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if s.deployed, err = f.deploy(); err != nil {
		return s, err
	}
	if s.joins, err = f.join(); err != nil {
		return s, err
	}
	if s.during, err = f.removes(f.removeKept); err != nil {
		return s, err
	}
	if s.leaves, err = f.leave(); err != nil {
		return s, err
	}
	time.Sleep(2 * briefly) // no change of the view counts any more, nor a lease
	if s.settled, err = f.removes(f.removeUnheld); err != nil {
		return s, err
	}
	s.oneHolder, err = f.removes(f.removeHeld)
	return s, err
}

// join has one more process come, of which all hear.
func (f *fleet) join() (price, error) {
	if err := f.grow(); err != nil {
		return price{}, err
	}
	return f.costUntilQuiet(f.announcements(), func() error { return f.introduce(f.processes) })
}

// leave takes the process that came last from the views of the others, and ends it.
func (f *fleet) leave() (price, error) {
	last := f.processes[len(f.processes)-1]
	f.processes = f.processes[:len(f.processes)-1]
	c, err := f.costUntilQuiet(f.announcements(), func() error { return f.introduce(f.processes) })
	return c, errors.Join(err, f.stop(last))
}

// deploy has one process end and another one begin at its address, after which the keys
// that it kept are asked for.
func (f *fleet) deploy() (d deployed, err error) {
	keys, err := f.fill()
	if err != nil {
		return d, err
	}
	p, asker := f.processes[0], f.processes[1]
	d.keys = len(keys[p])
	loads := f.loads.Load()
	if d.ends, err = f.costUntilQuiet(0, func() error { return f.stop(p) }); err != nil {
		return d, err
	}
	if err := ask(asker, keys[p]); err != nil {
		return d, err
	}
	d.begins, err = f.costUntilQuiet(int64(len(f.processes)-1), func() error {
		if err := f.start(p); err != nil {
			return err
		}
		if err := f.introduce([]*process{p}); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), scalePatience)
		defer cancel()
		return p.pool.Ready(ctx)
	})
	if err != nil {
		return d, err
	}
	err = ask(asker, keys[p])
	d.loads = f.loads.Load() - loads
	return d, err
}

// removes has some keys removed, one after the other, and returns what all took.
func (f *fleet) removes(remove func(key string) (price, error)) (all price, err error) {
	for i := range removesCounted {
		c, err := remove(fmt.Sprintf("key-%d", i))
		if err != nil {
			return all, err
		}
		all.traffic, all.took = all.plus(c.traffic), all.took+c.took
	}
	return all, nil
}

// remove has the process of a group remove a key.
func (f *fleet) remove(g *peercache.Group, key string) (price, error) {
	return f.cost(func() (time.Time, error) {
		err := g.Remove(context.Background(), key)
		return time.Now(), err
	})
}

// removeUnheld has a key removed that nobody has a copy of.
func (f *fleet) removeUnheld(key string) (price, error) {
	return f.remove(f.stranger(key, nil).soon, key)
}

// removeHeld has a key removed that one process has a copy of.
func (f *fleet) removeHeld(key string) (price, error) {
	holder := f.stranger(key, nil)
	for range 2 { // once is not worth a copy
		if _, err := holder.soon.Get(context.Background(), key); err != nil {
			return price{}, err
		}
	}
	if holder.soon.Stats().Hot.Items == 0 {
		return price{}, fmt.Errorf("%s holds no copy of %s", holder.host, key)
	}
	return f.remove(f.stranger(key, holder).soon, key)
}

// removeKept has a key removed while values may be where they were under another view.
func (f *fleet) removeKept(key string) (price, error) {
	return f.remove(f.stranger(key, nil).kept, key)
}
