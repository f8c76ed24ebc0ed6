package gossip

import (
	"context"
	"fmt"
	"net"
	"slices"
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
