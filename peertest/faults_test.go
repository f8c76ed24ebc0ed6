package peertest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

// inBubble runs a test of faults in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, n *Network, conn peer.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		defer n.Close()
		n.Serve("http://b", &script{t: t, who: peer.Identity{Name: "http://b", Process: 2}})
		conn := n.Transport().Dial(&local{who: peer.Identity{Name: "http://a", Process: 1}}, "http://b")
		test(t, n, conn)
		conn.Close(context.Background())
	})
}

// took asks, and returns how long that was.
func took(conn peer.Conn) (time.Duration, error) {
	began := time.Now()
	_, err := conn.Get(context.Background(), &peer.Query{Group: "g", Key: "k"})
	return time.Since(began), err
}

func TestFaults(t *testing.T) {
	const detection = 500 * time.Millisecond
	for name, c := range map[string]struct {
		begin func(n *Network)
		err   error
		takes time.Duration
	}{
		"nothing":          {func(*Network) {}, nil, 0},
		"latency":          {func(n *Network) { n.SetLatency(30*time.Millisecond, 30*time.Millisecond) }, nil, 60 * time.Millisecond},
		"latency one way":  {func(n *Network) { n.SetLinkLatency("http://b", "http://a", time.Second, time.Second) }, nil, time.Second},
		"cut":              {func(n *Network) { n.Cut("http://a", "http://b") }, peer.ErrSilent, detection},
		"cut the way back": {func(n *Network) { n.Cut("http://b", "http://a") }, peer.ErrSilent, detection},
		"cut both ways":    {func(n *Network) { n.CutBoth("http://b", "http://a") }, peer.ErrSilent, detection},
		"cut elsewhere":    {func(n *Network) { n.CutBoth("http://b", "http://c") }, nil, 0},
		"cut for a moment": {func(n *Network) {
			n.Cut("http://a", "http://b")
			time.AfterFunc(100*time.Millisecond, func() { n.Heal("http://b", "http://a") })
		}, nil, 100 * time.Millisecond},
		"refuses":     {func(n *Network) { n.Refuse("http://a", "http://b") }, peer.ErrRefused, 0},
		"stopped":     {func(n *Network) { n.Stop("http://b") }, peer.ErrRefused, 0},
		"closed":      {func(n *Network) { n.Close() }, peer.ErrRefused, 0},
		"lost":        {func(n *Network) { n.LoseAnswers("http://a", "http://b", 1) }, peer.ErrSilent, detection},
		"all lost":    {func(n *Network) { n.SetLoss(1) }, peer.ErrSilent, detection},
		"loss healed": {func(n *Network) { n.SetLoss(1); n.HealAll() }, nil, 0},
		"hangs":       {func(n *Network) { n.Hang("http://b") }, peer.ErrSilent, detection},
		"hangs for a moment": {func(n *Network) {
			n.Hang("http://b")
			time.AfterFunc(100*time.Millisecond, func() { n.Resume("http://b") })
		}, nil, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *Network, conn peer.Conn) {
				c.begin(n)
				d, err := took(conn)
				if d != c.takes || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || peer.Unreachable(err) != (c.err != nil) {
					t.Errorf("%v, %v: want %v, %v", d, err, c.takes, c.err)
				}
			})
		})
	}
}

// The same seed draws the same latencies, whatever else goes on.
func TestSameSeedSameLatency(t *testing.T) {
	draw := func(seed uint64, others bool) (all []time.Duration) {
		n := New(seed)
		defer n.Close()
		n.SetLatency(0, time.Hour)
		for range 10 {
			if others {
				n.send("c", "d", true)
			}
			d, _ := n.send("a", "b", false)
			all = append(all, d)
		}
		return all
	}
	same := func(a, b []time.Duration) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	if !same(draw(1, false), draw(1, true)) || same(draw(1, false), draw(2, false)) {
		t.Error("the latencies of a link depend on more than the seed and its own messages")
	}
}
