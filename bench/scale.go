package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

var scale = command{
	name:  "scale",
	about: "what a change of the view, a Remove and a deploy cost a peer, of 10 to 1,000",
	alone: true,
	run:   runScale,
}

// removesCounted is how many keys are removed, of each kind.
const removesCounted = 10

// scaled are the costs in a cluster of one size.
type scaled struct {
	Peers                      int
	Cold                       price // all begin at once
	Joins, Leaves              price
	Settled, OneHolder, During price // of removesCounted Removes
	Restart                    restart
	Wave, Rolling              restarts
}

// mostChange is the processor time of a change of the view from which on larger clusters, and
// many restarts, are not measured: they would take all day.
const mostChange = 10 * time.Second

func runScale(w io.Writer, m measuring) error {
	sizes := []int{10, 100, 1000}
	if m.quick {
		sizes = []int{10, 30}
	}
	if m.peers > 0 {
		sizes = []int{max(m.peers, 10)} // a tenth of them is restarted
	}
	fmt.Fprintf(w, `
Clusters of pools and groups as they are by default, in one process and in virtual time: whatever the machine has to do for
all of them, none is late. %d keys a peer. A request is a call of the other pool's ServeHTTP, and takes %v: no connections.
Messages are requests, each of which has one answer, and are counted with the peer that sends them; bytes are those of the
bodies of both, without the headers of HTTP. Processor time is real. It is that of the whole process, its garbage collection
included, divided by the peers. All is counted until there was one message a peer or less in %v.
`, scaleKeys, callLatency, quietFor)
	var all []scaled
	for _, n := range sizes {
		s, err := virtually[scaled]("scale", n)
		if err != nil {
			return err
		}
		all = append(all, s)
		if s.Joins.CPU > mostChange {
			fmt.Fprintf(w, "\nA change of the view of %d peers took %v of processor time: larger clusters are left out.\n", n, s.Joins.CPU.Round(time.Second))
			break
		}
	}
	for _, print := range []func(io.Writer, []scaled) error{printViews, printRemoves, printRestart, printDeploys} {
		if err := print(w, all); err != nil {
			return err
		}
	}
	printScaleTargets(w, all)
	if m.peers > 0 {
		return nil
	}
	if err := runSockets(w, m); err != nil {
		return fmt.Errorf("sockets: %w", err)
	}
	return runIdle(w, m)
}

// measureScale has all happen to a cluster of n peers.
func measureScale(n int) (s scaled, err error) {
	s.Peers = n
	f, cold, err := newFleet(n)
	if err != nil {
		return s, err
	}
	s.Cold = cold
	defer func() { err = errors.Join(err, f.close()) }()
	time.Sleep(scaleSettled)
	if s.Joins, err = f.join(); err != nil {
		return s, fmt.Errorf("one joins: %w", err)
	}
	if s.During, err = f.removes(f.removeUnheld); err != nil {
		return s, err
	}
	if s.Leaves, err = f.leave(); err != nil {
		return s, fmt.Errorf("one leaves: %w", err)
	}
	time.Sleep(scaleSettled)
	if s.Settled, err = f.removes(f.removeUnheld); err != nil {
		return s, err
	}
	if s.OneHolder, err = f.removes(f.removeHeld); err != nil {
		return s, err
	}
	return s, f.deploys(&s)
}

// join has one more process come, of which all hear.
func (f *fleet) join() (price, error) {
	if err := f.grow(); err != nil {
		return price{}, err
	}
	return f.cost(func() error { return f.introduce(f.processes) })
}

// leave takes the process that came last from the views of the others, and ends it.
func (f *fleet) leave() (price, error) {
	last := f.processes[len(f.processes)-1]
	f.processes = f.processes[:len(f.processes)-1]
	f.net.pools.Delete(last.host)
	c, err := f.cost(func() error { return f.introduce(f.processes) })
	return c, errors.Join(err, f.stop(last))
}

// removes has some keys removed, one after the other, and returns what all took.
func (f *fleet) removes(remove func(key string) (price, error)) (all price, err error) {
	for i := range removesCounted {
		c, err := remove(fmt.Sprintf("key-%d", i))
		if err != nil {
			return all, err
		}
		all.traffic, all.Took = all.plus(c.traffic), all.Took+c.Took
	}
	return all, nil
}

// removeUnheld has a key removed that nobody has a copy of, by a process that has nothing of it.
func (f *fleet) removeUnheld(key string) (price, error) {
	p := f.stranger(key, nil)
	return f.count(func() error { return p.group.Remove(context.Background(), key) })
}

// mostGets is how often a key is asked for, to have it copied.
const mostGets = 100

// removeHeld has a key removed that one process has a copy of.
func (f *fleet) removeHeld(key string) (price, error) {
	holder := f.stranger(key, nil)
	for before, i := holder.group.Stats().Hot.Items, 0; holder.group.Stats().Hot.Items == before; i++ {
		if _, err := holder.group.Get(context.Background(), key); err != nil {
			return price{}, err
		}
		if i == mostGets {
			return price{}, fmt.Errorf("%s holds no copy of %s", holder.host, key)
		}
	}
	p := f.stranger(key, holder)
	return f.count(func() error { return p.group.Remove(context.Background(), key) })
}
