package httppeer

import (
	"cmp"
	"container/list"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// Connections bound the connections to this process that are no streams: see peercache.Limits.
type Connections struct {
	Unproven      int
	UnprovenTime  time.Duration
	IdlePerPeer   int
	PlainRequests int
}

// The defaults of Connections.
const (
	defaultUnproven      = 1024
	defaultUnprovenTime  = 10 * time.Second
	defaultIdlePerPeer   = 256
	defaultPlainRequests = 8192
)

// WithDefaults returns c with the default in place of each field that is zero.
func (c Connections) WithDefaults() Connections {
	c.Unproven = cmp.Or(c.Unproven, defaultUnproven)
	c.UnprovenTime = cmp.Or(c.UnprovenTime, defaultUnprovenTime)
	c.IdlePerPeer = cmp.Or(c.IdlePerPeer, defaultIdlePerPeer)
	c.PlainRequests = cmp.Or(c.PlainRequests, defaultPlainRequests)
	return c
}

// Check returns an error if a field of c is out of its bounds. The caller has called WithDefaults.
func (c Connections) Check() error {
	for _, n := range []struct {
		name string
		is   int
	}{{"Unproven", c.Unproven}, {"IdlePerPeer", c.IdlePerPeer}, {"PlainRequests", c.PlainRequests}} {
		if n.is < 1 || n.is > 1<<20 {
			return fmt.Errorf("%s: %d: want 1 to %d", n.name, n.is, 1<<20)
		}
	}
	if c.UnprovenTime < time.Millisecond || c.UnprovenTime > time.Hour {
		return fmt.Errorf("UnprovenTime: %v: want 1ms to 1h", c.UnprovenTime)
	}
	return nil
}

// visitors are the connections on which this process is asked. A connection is a stranger's until
// somebody has proven on it to be a peer. Strangers have a number and a time. The one that has been
// there the longest makes room for the next, so that those who hold on to their connections keep no
// peer out: a peer proves itself within a few round trips.
type visitors struct {
	limits Connections // not changed after init
	log    *refusalLog

	mu        sync.Mutex
	all       map[net.Conn]*visitor // guarded by mu
	strangers list.List             // guarded by mu; of *visitor, those first that have been there the longest
	idle      map[string]int        // guarded by mu; by visitor.peer, those that are idle
	timer     *time.Timer           // guarded by mu; of expire; nil before its first use
	timing    bool                  // guarded by mu; timer is running
}

// visitor is a connection.
type visitor struct {
	nc    net.Conn
	since clock.Instant

	known atomic.Bool // peer is set
	// These are guarded by the mu of visitors.
	place   *list.Element // in strangers; nil for a peer's
	busy    bool          // a request on it is being answered
	isIdle  bool          // it counts in idle
	expired bool          // it is closed when it is not busy
	peer    string        // who has proven to be a peer: its name or, without one, its address
}

func (v *visitors) init(c Connections, log *refusalLog) {
	v.limits, v.log = c, log
	v.all, v.idle = make(map[net.Conn]*visitor), make(map[string]int)
}

// visitorKey is the key of a *visitor in the context of a connection.
type visitorKey struct{}

// connContext is the ConnContext of an http.Server.
func (v *visitors) connContext(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, visitorKey{}, v.enter(nc))
}

// connState is the ConnState of an http.Server.
func (v *visitors) connState(nc net.Conn, state http.ConnState) {
	v.mu.Lock()
	one := v.all[nc]
	if one == nil {
		v.mu.Unlock()
		return
	}
	closes := false
	switch state {
	case http.StateActive:
		one.busy = true
		v.setIdle(one, false)
	case http.StateIdle:
		one.busy = false
		closes = one.expired
		if one.place == nil && v.setIdle(one, true) > v.limits.IdlePerPeer {
			closes = true
		}
	case http.StateClosed, http.StateHijacked: // openStream enters it again
		v.remove(one)
	}
	v.mu.Unlock()
	if closes {
		hangUp(nc)
	}
}

// enter counts a connection as a stranger's, if it is not there yet. If there are too many, another
// one is closed.
func (v *visitors) enter(nc net.Conn) *visitor {
	v.mu.Lock()
	one := v.all[nc]
	if one != nil {
		v.mu.Unlock()
		return one
	}
	one = &visitor{nc: nc, since: clock.Now()}
	v.all[nc] = one
	one.place = v.strangers.PushBack(one)
	var closes *visitor
	if v.strangers.Len() > v.limits.Unproven {
		// Also if a request on it is being answered: else those who keep theirs going would stay.
		closes = v.strangers.Front().Value.(*visitor)
		v.remove(closes)
	}
	v.startTimer()
	v.mu.Unlock()
	if closes != nil {
		hangUp(closes.nc)
		v.log.crowded(closes.nc.RemoteAddr().String())
	}
	return one
}

// prove says that the sender of a request has proven to be the peer name. It is no stranger any more.
func (v *visitors) prove(r *http.Request, name string) {
	one, _ := r.Context().Value(visitorKey{}).(*visitor)
	if one == nil || one.known.Load() { // the server is one of the user's own
		return
	}
	if name == "" { // golang/groupcache
		name, _, _ = net.SplitHostPort(r.RemoteAddr)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	one.peer = name
	one.known.Store(true)
	v.befriend(one)
}

// befriend ends that one is a stranger. The caller holds v.mu.
func (v *visitors) befriend(one *visitor) {
	if one.place != nil {
		v.strangers.Remove(one.place)
		one.place = nil
	}
	one.expired = false
}

// leave forgets a connection that is a stream now, or was closed.
func (v *visitors) leave(one *visitor) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.remove(one)
}

// remove forgets one. The caller holds v.mu.
func (v *visitors) remove(one *visitor) {
	if v.all[one.nc] == one {
		delete(v.all, one.nc)
	}
	v.setIdle(one, false)
	v.befriend(one)
}

// setIdle counts a peer's connection as idle, or not, and returns how many are. The caller holds v.mu.
func (v *visitors) setIdle(one *visitor, is bool) int {
	if one.isIdle != is {
		one.isIdle = is
		if is {
			v.idle[one.peer]++
		} else if v.idle[one.peer]--; v.idle[one.peer] == 0 {
			delete(v.idle, one.peer)
		}
	}
	return v.idle[one.peer]
}

// startTimer has expire called when the time of the next stranger is over. The caller holds v.mu.
func (v *visitors) startTimer() {
	if v.timing {
		return
	}
	v.timing = true
	if v.timer == nil {
		v.timer = time.AfterFunc(v.limits.UnprovenTime, v.expire)
	} else {
		v.timer.Reset(v.limits.UnprovenTime)
	}
}

// expire closes the connections of strangers whose time is over. One whose request is being answered
// is closed after that.
func (v *visitors) expire() {
	v.mu.Lock()
	v.timing = false
	var closes []net.Conn
	now := clock.Now()
	next := time.Duration(0)
	for e := v.strangers.Front(); e != nil; {
		one := e.Value.(*visitor)
		e = e.Next()
		if left := time.Duration(one.since.Plus(v.limits.UnprovenTime) - now); left > 0 {
			next = left
			break
		}
		if one.expired = true; !one.busy {
			closes = append(closes, one.nc)
			v.remove(one)
		}
	}
	if next > 0 {
		v.timing = true
		v.timer.Reset(next)
	}
	v.mu.Unlock()
	for _, nc := range closes {
		hangUp(nc)
	}
}

// hangUp closes a connection. It waits for nobody to read: TLS would send an alert first.
func hangUp(nc net.Conn) {
	if c, ok := nc.(*tls.Conn); ok {
		nc = c.NetConn()
	}
	nc.Close()
}

// count returns how many connections there are of strangers.
func (v *visitors) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.strangers.Len()
}
