package main

import (
	"fmt"
	"io"
)

func printViews(w io.Writer, all []scaled) error {
	fmt.Fprint(w, "\nA change of the view, which all peers are given at once:\n")
	t := newTable("", "messages a peer", "KiB a peer", "CPU ms a peer", "s until all agree")
	for _, s := range all {
		for _, v := range []struct {
			what  string
			peers int
			cost  price
		}{{"one joins", s.peers + 1, s.joins}, {"one leaves", s.peers, s.leaves}} {
			n := float64(v.peers)
			t.add(fmt.Sprintf("%d peers, %s", s.peers, v.what), float64(v.cost.requests)/n, float64(v.cost.bytes)/1024/n,
				v.cost.cpu.Seconds()*1000/n, v.cost.took.Seconds())
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
		}{{"no copies", s.settled}, {"one copy", s.oneHolder}, {"after a change of the view", s.during}} {
			t.add(fmt.Sprintf("%d peers, %s", s.peers, r.what),
				float64(r.cost.requests)/removesCounted, float64(r.cost.bytes)/removesCounted, r.cost.took.Seconds()*1000/removesCounted)
		}
	}
	return t.print(w)
}

func printDeploys(w io.Writer, all []scaled) error {
	fmt.Fprint(w, `
A deploy: one process ends by Shutdown, and another one begins at its address with the same list of peers; the keys that
it kept are asked for after each, and loads are those of the getter. All else is a peer's share, but for the most
messages that one has sent. Pulls are the messages that ask for values. A rolling deploy is as many restarts as there
are peers.
`)
	t := newTable("", "messages", "of these pulls", "KiB", "CPU ms", "keys kept", "loads", "most messages of one",
		"rolling: messages", "rolling: KiB", "rolling: CPU s")
	for _, s := range all {
		n, sum := float64(s.peers), s.ends.plus(s.begins.traffic)
		messages, kib, cpu := float64(sum.requests)/n, float64(sum.bytes)/1024/n, (s.ends.cpu+s.begins.cpu).Seconds()/n
		t.add(fmt.Sprintf("%d peers", s.peers), messages, float64(sum.gets)/n, kib, 1000*cpu, s.keys, s.loads, s.ends.most+s.begins.most,
			n*messages, n*kib, n*cpu)
	}
	return t.print(w)
}
