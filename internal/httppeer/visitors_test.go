package httppeer

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/internal/audit"
)

// visit is a connection to visitors.
type visit struct {
	net.Conn
	ctx    context.Context
	hungUp atomic.Bool
}

func (v *visit) Close() error         { v.hungUp.Store(true); return nil }
func (v *visit) closed() bool         { return v.hungUp.Load() }
func (v *visit) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9)} }

// newVisitors returns visitors with limits of a few, and what brings them another one.
func newVisitors() (*visitors, func() *visit) {
	v := new(visitors)
	v.init(Connections{Unproven: 3, UnprovenTime: 10 * time.Second, IdlePerPeer: 2, PlainRequests: 1}, &refusalLog{audit.New(slog.New(slog.DiscardHandler))})
	return v, func() *visit {
		one := new(visit)
		one.ctx = v.connContext(context.Background(), one)
		v.connState(one, http.StateNew)
		return one
	}
}

// prove has a request on one prove that it comes from a peer.
func (one *visit) prove(v *visitors, name string) {
	v.prove(httptest.NewRequest("GET", "/", nil).WithContext(one.ctx), name)
}

// The stranger that has been there the longest makes room, whatever it does. A peer stays.
func TestStrangersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, enter := newVisitors()
		peer, busy := enter(), enter()
		peer.prove(v, "http://peer")
		v.connState(busy, http.StateActive)
		second, third := enter(), enter()
		if busy.closed() || second.closed() || third.closed() {
			t.Fatal("a stranger was closed although there are three")
		}
		fourth := enter()
		if !busy.closed() || peer.closed() || second.closed() || third.closed() || fourth.closed() || v.count() != 3 {
			t.Errorf("closed: the first %v, a peer %v, others %v, %v, %v; %d strangers", busy.closed(), peer.closed(), second.closed(), third.closed(), fourth.closed(), v.count())
		}
		v.connState(second, http.StateClosed)
		v.connState(third, http.StateHijacked) // by a handler of the user's
		enter()
		enter()
		if second.closed() || third.closed() || fourth.closed() {
			t.Error("one was closed although others have left")
		}
		time.Sleep(time.Minute)
		if third.closed() {
			t.Error("one was closed that somebody else has taken over")
		}
		if n := v.count(); n != 0 {
			t.Errorf("%d strangers are left after their time", n)
		}
	})
}

// A stranger has a time, a peer has not. What is being answered is answered before.
func TestStrangersHaveATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, enter := newVisitors()
		silent, peer, busy := enter(), enter(), enter()
		peer.prove(v, "http://peer")
		v.connState(busy, http.StateActive)
		time.Sleep(9 * time.Second)
		late := enter()
		if silent.closed() {
			t.Error("it was closed before its time")
		}
		time.Sleep(2 * time.Second)
		if !silent.closed() || peer.closed() || busy.closed() || late.closed() {
			t.Errorf("after the time, closed: a silent one %v, a peer %v, a busy one %v, a later one %v", silent.closed(), peer.closed(), busy.closed(), late.closed())
		}
		v.connState(busy, http.StateIdle)
		if !busy.closed() {
			t.Error("the busy one was not closed after its answer")
		}
		v.connState(busy, http.StateClosed)
		time.Sleep(10 * time.Second)
		if !late.closed() || peer.closed() || v.count() != 0 {
			t.Errorf("in the end, closed: the later one %v, a peer %v; %d strangers", late.closed(), peer.closed(), v.count())
		}
	})
}

// A peer has a number of idle connections. Another peer has its own.
func TestIdleConnectionsOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, enter := newVisitors()
		idle := func(name string) *visit {
			one := enter()
			v.connState(one, http.StateActive)
			one.prove(v, name)
			v.connState(one, http.StateIdle)
			return one
		}
		first, second, third, other := idle("a"), idle("a"), idle("a"), idle("b")
		if first.closed() || second.closed() || !third.closed() || other.closed() {
			t.Errorf("closed: %v, %v, %v, that of another peer %v", first.closed(), second.closed(), third.closed(), other.closed())
		}
		v.connState(third, http.StateClosed)
		v.connState(first, http.StateActive)
		if fourth := idle("a"); fourth.closed() {
			t.Error("one was closed although another one is in use")
		}
		for nc := range v.all {
			v.connState(nc, http.StateClosed)
		}
		if len(v.all)+len(v.idle) != 0 {
			t.Errorf("%v, %v are left", v.all, v.idle)
		}
		time.Sleep(time.Minute)
	})
}
