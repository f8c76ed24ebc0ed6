package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

// While another process answers at the own address, this one keeps nothing, and says so. What was
// cached leaves once, with no lock held, and the same process found there again ends it.
func TestAnotherProcessAtTheOwnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *Cluster
		var other atomic.Bool
		net := &fakeNet{ping: func(string) (peer.Identity, error) {
			who := c.Identity()
			if other.Load() {
				who = peer.Identity{Name: "http://other", Process: who.Process + 1}
			}
			return who, nil
		}}
		c = newFake(t, selfURL, net, nil)
		defer shutdown(t.Context(), c)
		drops := 0
		group := &fakeGroup{name: "test", dropAll: func() {
			drops++
			if err := c.Set([]string{selfURL}); err != nil { // it takes all locks
				t.Error(err)
			}
		}}
		if err := c.Register(group, func(map[string]Group) error { return nil }); err != nil {
			t.Fatal(err)
		}
		for i, found := range []bool{false, true, true, false, true} {
			other.Store(found)
			time.Sleep(2 * ownLookEvery)
			if err := c.Set([]string{selfURL}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			err := c.MisplacedError(t.Context())
			if c.Misplaced() != found || (err != nil) != found || found && !strings.Contains(err.Error(), "http://other") {
				t.Errorf("look %d: misplaced %t, error %v: want %t", i, c.Misplaced(), err, found)
			}
		}
		if drops != 2 {
			t.Errorf("what is cached was dropped %d times, want twice: when another process came, and when it came back", drops)
		}
	})
}

// Of what a look finds, another process counts most: where two share an address, not each
// request leads to the same.
func TestWorstOfALook(t *testing.T) {
	wrong, silent := fmt.Errorf("%w: another one", peer.ErrWrongPeer), errors.New("no answer")
	for _, c := range []struct {
		found []error
		want  error
	}{
		{[]error{nil, nil}, nil},
		{[]error{nil, silent, nil}, silent},
		{[]error{silent, nil, wrong}, wrong},
		{[]error{nil, wrong}, wrong},
	} {
		if got := worst(c.found); got != c.want {
			t.Errorf("worst of %v: %v, want %v", c.found, got, c.want)
		}
	}
}

// A request is accepted from who takes this process for what it is.
func TestAccept(t *testing.T) {
	c := newFake(t, selfURL, new(fakeNet), func(cfg *Config) { cfg.Name = "blue" })
	defer shutdown(context.Background(), c)
	const other = "http://10.0.0.2:8001"
	for i, tt := range []struct {
		from peer.Identity
		to   string
		ok   bool
	}{
		{peer.Identity{}, "", true}, // golang/groupcache, or a person
		{peer.Identity{Name: other, Cluster: "blue"}, selfURL, true},
		{peer.Identity{Name: other, Cluster: "blue"}, "", true},
		{peer.Identity{Name: other, Cluster: "blue"}, "http://10.0.0.3:8001", false},
		{peer.Identity{Name: other, Cluster: "green"}, selfURL, false},
		{peer.Identity{Name: other}, selfURL, false},
	} {
		if _, err := c.Accept(tt.from, tt.to); (err == nil) != tt.ok || err != nil && !errors.Is(err, peer.ErrWrongPeer) {
			t.Errorf("case %d: %v, want ok %t", i, err, tt.ok)
		}
	}
}
