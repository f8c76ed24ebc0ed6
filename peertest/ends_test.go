package peertest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

// newAsker makes a process of the name a, which asks b.
func newAsker(t *testing.T, n *Network, opts ...TransportOption) (a *script, get func() error) {
	a = &script{t: t, who: peer.Identity{Name: "a", Process: 1}}
	conn := n.Transport(opts...).Dial(&local{who: a.who}, "b")
	return a, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := conn.Get(ctx, &peer.Query{Group: "g", Key: "k"})
		return err
	}
}

// TestEnds ends processes or connections in a network of the processes a and b, where a message
// takes 10 ms and silence is found after 500 ms, and has a ask b.
func TestEnds(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(n *Network)
		later func(n *Network) // 100 ms after the request; may be nil
		want  error            // nil: there is an answer
		takes time.Duration
	}{
		{"none", func(*Network) {}, nil, nil, 20 * time.Millisecond},
		{"b is powered off", func(n *Network) { n.PowerOff("b") }, nil, peer.ErrSilent, 500 * time.Millisecond},
		{"b is powered off, and HealAll", func(n *Network) { n.PowerOff("b"); n.HealAll(); n.Resume("b") }, nil, peer.ErrSilent, 500 * time.Millisecond},
		{"b is powered off, and another one comes", func(n *Network) { n.PowerOff("b") }, func(n *Network) {
			n.Serve("b", &script{who: peer.Identity{Name: "b", Process: 3}})
		}, nil, 110 * time.Millisecond},
		{"a is powered off", func(n *Network) { n.PowerOff("a") }, nil, errReset, 0},
		{"a is stopped", func(n *Network) { n.Stop("a") }, nil, errReset, 0},
		{"a is stopped, and the same is served again", func(n *Network) {
			n.Stop("a")
			n.Serve("a", &script{who: peer.Identity{Name: "a", Process: 1}})
		}, nil, nil, 20 * time.Millisecond},
		{"a is stopped meanwhile", func(n *Network) { n.Hang("b") }, func(n *Network) { n.Stop("a") }, errReset, 100 * time.Millisecond},
		{"reset", func(n *Network) { n.Reset("a", "b") }, nil, nil, 20 * time.Millisecond},
		{"reset meanwhile", func(n *Network) { n.Hang("b") }, func(n *Network) { n.Reset("b", "a") }, errReset, 100 * time.Millisecond},
		{"the request is cut off", func(n *Network) { n.CutAfter("a", "b", 1) }, nil, peer.ErrSilent, 500 * time.Millisecond},
		{"the answer is cut off", func(n *Network) { n.CutAfter("b", "a", 1) }, nil, peer.ErrSilent, 500 * time.Millisecond},
		{"the answer is cut off until Heal", func(n *Network) { n.CutAfter("b", "a", 1) }, func(n *Network) { n.Heal("a", "b") }, nil, 100 * time.Millisecond},
		{"the next request will be cut off", func(n *Network) { n.CutAfter("a", "b", 2) }, nil, nil, 20 * time.Millisecond},
		{"cut off at once", func(n *Network) { n.CutAfter("a", "b", 0) }, nil, peer.ErrSilent, 500 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := New(1)
				defer n.Close()
				n.SetLatency(10*time.Millisecond, 10*time.Millisecond)
				a, get := newAsker(t, n)
				n.Serve("a", a)
				n.Serve("b", &script{who: peer.Identity{Name: "b", Process: 2}})
				test.fault(n)
				if test.later != nil {
					time.AfterFunc(100*time.Millisecond, func() { test.later(n) })
				}
				began := time.Now()
				if err := get(); !errors.Is(err, test.want) {
					t.Errorf("Get: %v, want %v", err, test.want)
				}
				if took := time.Since(began); took != test.takes {
					t.Errorf("Get took %v, want %v", took, test.takes)
				}
				time.Sleep(time.Second) // for what was still to be done
			})
		})
	}
}

// TestFrom has a stranger ask in the name of a peer, over links of his own.
func TestFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		defer n.Close()
		b := &script{who: peer.Identity{Name: "b", Process: 2}}
		n.Serve("b", b)
		n.CutBoth("a", "b")
		_, get := newAsker(t, n, From("stranger"))
		if err := get(); err != nil {
			t.Errorf("Get where the links of a are cut: %v", err)
		}
		if got := b.accepts(); len(got) != 1 || got[0].from.Name != "a" {
			t.Errorf("b has accepted %v, want one of the name a", got)
		}
		n.CutBoth("stranger", "b")
		if err := get(); !errors.Is(err, peer.ErrSilent) {
			t.Errorf("Get where the links of the stranger are cut: %v, want peer.ErrSilent", err)
		}
	})
}

// TestServeStops has a process stop when another one is served under its name.
func TestServeStops(t *testing.T) {
	n := New(1)
	defer n.Close()
	_, get := newAsker(t, n)
	first := n.Serve("b", &script{who: peer.Identity{Name: "b", Process: 2}})
	second := n.Serve("b", &script{who: peer.Identity{Name: "b", Process: 3}})
	first()
	if err := get(); err != nil {
		t.Errorf("Get after the stop of the former process: %v", err)
	}
	second()
	if err := get(); !errors.Is(err, peer.ErrRefused) {
		t.Errorf("Get after the stop of the process: %v, want peer.ErrRefused", err)
	}
}
