package main

import (
	"fmt"
	"io"
)

func printViews(w io.Writer, all []scaled) error {
	fmt.Fprint(w, "\nA change of the view, which all peers are given at once:\n")
	t := newTable("", "messages a peer", "most of one", "KiB a peer", "CPU ms a peer", "s until all agree")
	for _, s := range all {
		for _, v := range []struct {
			what  string
			peers int
			cost  price
		}{{"all begin", s.Peers, s.Cold}, {"one joins", s.Peers + 1, s.Joins}, {"one leaves", s.Peers, s.Leaves}} {
			n := float64(v.peers)
			t.add(fmt.Sprintf("%d peers, %s", s.Peers, v.what), float64(v.cost.Requests)/n, v.cost.Most, float64(v.cost.Bytes)/1024/n,
				v.cost.CPU.Seconds()*1000/n, v.cost.Took.Seconds())
		}
	}
	return t.print(w)
}

func printRemoves(w io.Writer, all []scaled) error {
	fmt.Fprintf(w, `
A Remove by a peer that keeps nothing of the key, mean of %d: the messages of all peers. For the time of WithStandIn
after a change of the view it goes to all, twice.
`, removesCounted)
	t := newTable("", "messages", "bytes", "ms")
	for _, s := range all {
		for _, r := range []struct {
			what string
			cost price
		}{{"no copies", s.Settled}, {"one copy", s.OneHolder}, {"after a change of the view", s.During}} {
			t.add(fmt.Sprintf("%d peers, %s", s.Peers, r.what),
				float64(r.cost.Requests)/removesCounted, float64(r.cost.Bytes)/removesCounted, r.cost.Took.Seconds()*1000/removesCounted)
		}
	}
	return t.print(w)
}

func printRestart(w io.Writer, all []scaled) error {
	fmt.Fprint(w, `
A restart: one process ends by Shutdown, and another one begins at its address with the same list of peers; the keys that
it kept are asked for after each, and loads are those of the getter. All else is a peer's share, but for the most
messages that one has sent. Pulls are the messages that ask for values.
`)
	t := newTable("", "messages", "of these pulls", "KiB", "CPU ms", "keys kept", "loads", "most messages of one", "s to end", "s to begin")
	for _, s := range all {
		r := s.Restart
		n, sum := float64(s.Peers), r.Ends.plus(r.Begins.traffic)
		t.add(fmt.Sprintf("%d peers", s.Peers), float64(sum.Requests)/n, float64(sum.Gets)/n, float64(sum.Bytes)/1024/n,
			1000*(r.Ends.CPU+r.Begins.CPU).Seconds()/n, r.Keys, r.Loads, r.Ends.Most+r.Begins.Most, r.Ends.Took.Seconds(), r.Begins.Took.Seconds())
	}
	return t.print(w)
}

func printDeploys(w io.Writer, all []scaled) error {
	fmt.Fprintf(w, `
A deploy: all processes are restarted in order, each when the one before is ready; %v are between the end of one and the
beginning of the next. Of large clusters, so many are restarted as take %v of processor time, and the figures are
multiplied. A tenth: so many are restarted, all at the same time. The collector's time stands apart: here it goes through
the heap of all processes whenever one of them needs some, where each of them has its own.
`, startingTime, mostRolling)
	t := newTable("", "restarted", "all: messages a peer", "all: MiB a peer", "all: CPU s a peer", "and the collector's s",
		"a tenth: messages a peer", "a tenth: KiB a peer", "a tenth: CPU ms a peer", "a tenth: s")
	for _, s := range all {
		messages, kib, seconds, gc, measured := s.rolling()
		n, c := float64(s.Peers), s.Wave.Price
		t.add(fmt.Sprintf("%d peers", s.Peers), measured, messages, kib/1024, seconds, gc,
			float64(c.Requests)/n, float64(c.Bytes)/1024/n, c.CPU.Seconds()*1000/n, c.Took.Seconds())
	}
	return t.print(w)
}

// The targets, for clusters of any size.
const (
	mostMessages      = 40 // a peer, a change of the view
	mostDeploySeconds = 5  // of processor time, a peer, with 1,000 peers
)

func printScaleTargets(w io.Writer, all []scaled) {
	var t targets
	for _, s := range all {
		n := float64(s.Peers)
		t.add(fmt.Sprintf("%d peers: messages a peer when one joins", s.Peers), float64(s.Joins.Requests)/(n+1), true, mostMessages)
		t.add(fmt.Sprintf("%d peers: messages a peer when one leaves", s.Peers), float64(s.Leaves.Requests)/n, true, mostMessages)
		r := s.Restart.Ends.plus(s.Restart.Begins.traffic)
		t.add(fmt.Sprintf("%d peers: messages a peer when one restarts, which is two changes", s.Peers), float64(r.Requests)/n, true, 2*mostMessages)
		_, _, seconds, _, _ := s.rolling()
		t.add(fmt.Sprintf("%d peers: processor seconds a peer when all restart in order, without the collector's", s.Peers), seconds, true, mostDeploySeconds)
	}
	t.print(w, "Targets")
}
