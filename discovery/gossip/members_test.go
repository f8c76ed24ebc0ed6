package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/peercache/peercache/discovery"
)

func node(name, url string) *memberlist.Node {
	return &memberlist.Node{Name: name, Addr: net.IPv4(10, 0, 0, 1), Port: 7946, Meta: []byte(url)}
}

// What changes together is one view, no change waits for longer than settle,
// however many follow it, what is no news is no view, and the last is never lost.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			at    time.Duration
			peers int
		}
		var got []seen
		start := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		m := newMembers(urlA)
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.follow(ctx, func(v discovery.View) {
				got = append(got, seen{time.Since(start), len(v.Peers)})
			})
		}()
		synctest.Wait()
		const step = 3 * time.Millisecond // 7 changes within settle: at 0, 3, … 18 ms
		for i := range 35 {
			m.NotifyJoin(node(fmt.Sprint(i), fmt.Sprint("http://10.0.0.1:", 9000+i)))
			time.Sleep(step)
		}
		time.Sleep(time.Second)
		m.NotifyLeave(node("7", ""))
		m.NotifyJoin(node("7", "http://10.0.0.1:9007")) // as it was
		time.Sleep(time.Second)
		last := time.Since(start)
		m.NotifyUpdate(node("7", "http://10.0.0.1:9008")) // which another has
		time.Sleep(time.Second)
		stop()
		<-done

		want := []seen{{0, 1}}
		for i := range 5 {
			want = append(want, seen{time.Duration(7*i)*step + settle, 1 + 7*(i+1)})
		}
		want = append(want, seen{last + settle, 35})
		if !slices.Equal(got, want) {
			t.Errorf("views\n%v, want\n%v", got, want)
		}
	})
}

// A change while report runs is reported afterwards.
func TestFollowDuringReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		m := newMembers(urlA)
		var last []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.follow(ctx, func(v discovery.View) {
				if last = v.Peers; len(last) == 1 {
					m.NotifyJoin(node("b", urlB))
				}
			})
		}()
		time.Sleep(time.Second)
		stop()
		<-done
		if want := []string{urlA, urlB}; !slices.Equal(last, want) {
			t.Errorf("the last view is %q, want %q", last, want)
		}
	})
}

// However many come, no more are noticed than allowed, and that is said once. Those who are
// known go on being so.
func TestMembersAreBounded(t *testing.T) {
	var log record
	m := newMembers(urlA)
	m.most, m.log = 3, slog.New(slog.NewTextHandler(&log, nil))
	comes := func(name string) error {
		n := node(name, "http://"+name+":1")
		err := m.NotifyAlive(n)
		if err == nil {
			m.NotifyJoin(n)
		} else { // as memberlist does
			newLog(m.log).Printf("[WARN] memberlist: ignoring alive message for '%s': %s", name, err)
		}
		return err
	}
	for i := range 1000 {
		if err := comes(fmt.Sprint("peer", i)); (err != nil) != (i >= 3) {
			t.Errorf("member %d: error %v, want the first three", i, err)
		}
	}
	if err := comes("peer1"); err != nil {
		t.Errorf("a member that is known: %v", err)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, &log)
	}
	m.NotifyLeave(node("peer0", ""))
	if err := comes("peer7"); err != nil {
		t.Errorf("a member in the place of one that has gone: %v", err)
	}
}

// Two processes with room for one each are a cluster each.
func TestMaxMembers(t *testing.T) {
	a := run(t, urlA, WithMaxMembers(1))
	b := run(t, urlB, WithMaxMembers(1), WithJoin(a.Addr()))
	for deadline := time.Now().Add(patience); !strings.Contains(a.log.String(), "WithMaxMembers"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no warning:\n%s", a.log)
		}
	}
	for _, p := range []*process{a, b} {
		for range len(p.views) {
			if got := <-p.views; !slices.Equal(got, []string{p.self}) {
				t.Errorf("%s has the view %q, want itself", p.self, got)
			}
		}
	}
}
