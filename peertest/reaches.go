package peertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// identityIsCarried checks that each side knows who the other one is, before an answer counts.
func identityIsCarried(t testing.TB, h Harness) {
	for _, cluster := range []string{"", "cluster-1"} {
		s := new(script)
		p := unserved(t, h, s)
		s.who.Cluster, p.local.who.Cluster = cluster, cluster
		s.who.Process, p.local.who.Process = 1<<32-1, 1<<31
		p.serve()
		before := peer.Now()
		for _, w := range p.ways() {
			if _, err := w.ask(&peer.Query{Group: "g", Key: "k"}); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
		}
		if _, err := p.change(&peer.Change{Group: "g", Apart: true}); err != nil {
			t.Error(err)
		}
		p.local.mu.Lock()
		if len(p.local.answered) == 0 {
			t.Error("Answered of the one who asks was not called")
		}
		for i, who := range p.local.answered {
			if who != s.who {
				t.Errorf("Answered was told of %+v, want %+v", who, s.who)
			}
			if sent := p.local.sent[i]; sent < before || sent > peer.Now() {
				t.Errorf("Answered was told of a request that was sent at %d: want the instant before it was sent", sent)
			}
		}
		p.local.mu.Unlock()
		if len(s.accepts()) == 0 {
			t.Error("Accept of the process was not called")
		}
		for _, a := range s.accepts() {
			if a.from != p.local.who || a.to != s.who.Name {
				t.Errorf("Accept got %+v for %q, want %+v for %q", a.from, a.to, p.local.who, s.who.Name)
			}
		}
	}
}

// wrongPeerDoesNotCount checks that the answer of a process which is not the peer is none.
func wrongPeerDoesNotCount(t testing.TB, h Harness) {
	p := newPair(t, h, new(script))
	p.local.wrong = fmt.Errorf("%w: it is another one", peer.ErrWrongPeer)
	for _, w := range p.ways() {
		if a, err := w.ask1(p, &peer.Query{Group: "g", Key: "k"}); !peer.Unreachable(err) || !errors.Is(err, peer.ErrWrongPeer) || len(a.Value) > 0 {
			t.Errorf("%s: %q, %v, want a *peer.PeerError that is peer.ErrWrongPeer", w.name, a.Value, err)
		}
	}
	if _, err := p.change(&peer.Change{Group: "g", Keys: []string{"k"}}); !peer.Unreachable(err) || !errors.Is(err, peer.ErrWrongPeer) {
		t.Errorf("Change: %v, want a *peer.PeerError that is peer.ErrWrongPeer", err)
	}
}

// ask1 does what ask does, but by Get where Start may well take nothing: nobody is there.
func (w way) ask1(p *pair, q *peer.Query) (peer.Answer, error) {
	s, ok := p.conn.(peer.Starter)
	if !ok || w.name == "Get" {
		return w.ask(q)
	}
	waiter := newWaiter(1)
	s.Connect(within(p.t))
	if n, _, _ := s.Start(&peer.Request{Query: peer.Query{Group: q.Group}, Keys: []string{q.Key}, Waiter: waiter}); n == 0 {
		return p.conn.Get(within(p.t), q)
	}
	return waiter.wait(p.t, 0)
}

// refusedByTheProcess has the process refuse who asks.
func refusedByTheProcess(t testing.TB, h Harness) {
	p := newPair(t, h, new(script))
	p.script.set(fmt.Errorf("%w: this is not it", peer.ErrWrongPeer), nil)
	for _, w := range p.ways() {
		if a, err := w.ask1(p, &peer.Query{Group: "g", Key: "k"}); !peer.Unreachable(err) || len(a.Value) > 0 {
			t.Errorf("%s: %q, %v, want a *peer.PeerError", w.name, a.Value, err)
		}
	}
	if _, err := p.change(&peer.Change{Group: "g", Keys: []string{"k"}}); !peer.Unreachable(err) {
		t.Errorf("Change: %v, want a *peer.PeerError", err)
	}
	p.script.set(nil, nil)
	p.recovers("after the process refused who asked")
}

// recovers waits until the process can be asked.
func (p *pair) recovers(when string) {
	p.t.Helper()
	eventually(p.t, "an answer "+when, func() bool {
		p.conn.Wake()
		_, err := p.get("recovers")
		return err == nil
	})
}

// ping asks who is at an address.
func ping(t testing.TB, h Harness) {
	p := newPair(t, h, new(script))
	for range 3 {
		if who, err := p.conn.Ping(within(t)); err != nil || who != p.script.who {
			t.Errorf("Ping: %+v, %v, want %+v", who, err, p.script.who)
		}
	}
	p.kill()
	if who, err := p.conn.Ping(within(t)); err == nil || !errors.Is(err, peer.ErrRefused) {
		t.Errorf("Ping where nobody is: %+v, %v, want an error that is peer.ErrRefused", who, err)
	}
	next := &script{t: t, who: peer.Identity{Name: p.script.who.Name, Process: 30003}}
	h.Serve(t, next.who.Name, next)
	if who, err := p.conn.Ping(within(t)); err != nil || who != next.who {
		t.Errorf("Ping after another process came: %+v, %v, want %+v", who, err, next.who)
	}
}

// nobodyThere asks a process that comes later.
func nobodyThere(t testing.TB, h Harness) {
	p := unserved(t, h, new(script))
	for _, w := range p.ways() {
		_, err := w.ask1(p, &peer.Query{Group: "g", Key: "k"})
		failure, ok := errors.AsType[*peer.PeerError](err)
		if !ok || failure.Peer != p.script.who.Name {
			t.Errorf("%s where nobody is: %v, want a *peer.PeerError of %s", w.name, err, p.script.who.Name)
		}
	}
	if _, err := p.change(&peer.Change{Group: "g", Keys: []string{"k"}}); !peer.Unreachable(err) || !peer.Gone(err) {
		t.Errorf("Change where nobody is: %v, want a *peer.PeerError that is peer.ErrRefused", err)
	}
	p.serve()
	p.recovers("after the process came")
}

// killedWhileAsked ends the process that is asked, and has another come to its address.
func killedWhileAsked(t testing.TB, h Harness) {
	asked, release := make(chan struct{}, 100), make(chan struct{})
	defer close(release)
	p := newPair(t, h, &script{
		load: func(ctx context.Context, q *peer.Query) (peer.Answer, error) {
			if q.Key == "waits" {
				asked <- struct{}{}
				<-release
			}
			return peer.Answer{}, nil
		},
		change: func(ctx context.Context, c *peer.Change) (peer.Changed, error) {
			asked <- struct{}{}
			<-release
			return peer.Changed{}, nil
		},
	})
	failures := make(chan error, 100)
	asks := 0
	for _, w := range p.ways() {
		if w.name == "Start of many keys" {
			continue
		}
		asks++
		go func() {
			_, err := w.ask1(p, &peer.Query{Group: "g", Key: "waits"})
			failures <- err
		}()
	}
	asks++
	go func() {
		_, err := p.change(&peer.Change{Group: "g", Keys: []string{"k"}})
		failures <- err
	}()
	for range asks {
		<-asked
	}
	p.kill()
	for range asks {
		if err := <-failures; !peer.Unreachable(err) {
			t.Errorf("the process ended before it answered: %v, want a *peer.PeerError", err)
		}
	}
	next := &script{t: t, who: peer.Identity{Name: p.script.who.Name, Process: 30003}}
	h.Serve(t, next.who.Name, next)
	p.recovers("of the next process")
	p.local.mu.Lock()
	defer p.local.mu.Unlock()
	if last := p.local.answered[len(p.local.answered)-1]; last != next.who {
		t.Errorf("Answered was told last of %+v, want %+v, who has come to the address", last, next.who)
	}
}

// closed asks a Conn that is closed, as is done with peers that have left the view.
func closed(t testing.TB, h Harness) {
	begun, release := make(chan struct{}), make(chan struct{})
	p := newPair(t, h, &script{load: func(_ context.Context, q *peer.Query) (peer.Answer, error) {
		if q.Key == "waits" {
			close(begun)
			<-release
		}
		return peer.Answer{Item: peer.Item{Value: []byte("v")}}, nil
	}})
	waits, over := make(chan error, 1), make(chan struct{})
	go func() {
		_, err := p.get("waits")
		waits <- err
	}()
	<-begun
	go func() {
		defer close(over)
		p.conn.Close(within(t))
	}()
	pause(within(t), 20*time.Millisecond)
	close(release)
	if err := <-waits; err != nil {
		t.Errorf("what was in flight when the Conn was closed: %v, want its answer", err)
	}
	<-over
	p.works("after Close")
	p.conn.Close(within(t))
	p.works("after Close, twice")
}

// slowIsNotSilent has a load take longer than the detection time.
func slowIsNotSilent(t testing.TB, h Harness) {
	p := newPair(t, h, &script{load: func(ctx context.Context, q *peer.Query) (peer.Answer, error) {
		pause(ctx, 5*h.detection()/2)
		return peer.Answer{Item: peer.Item{Value: []byte("slow")}}, ctx.Err()
	}})
	type answer struct {
		of  string
		val string
		err error
	}
	ways := p.ways()
	answers := make(chan answer, len(ways))
	for _, w := range ways {
		go func() {
			a, err := w.ask1(p, &peer.Query{Group: "g", Key: "k", Timeout: time.Minute})
			answers <- answer{w.name, string(a.Value), err}
		}()
	}
	for range ways {
		if a := <-answers; a.err != nil || a.val != "slow" {
			t.Errorf("%s of a slow load: %q, %v, want its value: the process gives signs of life", a.of, a.val, a.err)
		}
	}
}

// hangingIsSilent has the process not even say that it is there.
func hangingIsSilent(t testing.TB, h Harness) {
	p := newPair(t, h, new(script))
	hang := make(chan struct{})
	p.script.set(nil, hang)
	defer func() {
		p.script.set(nil, nil)
		close(hang)
		p.recovers("of a process that hung")
	}()
	began := time.Now()
	_, err := p.get("k")
	if !peer.Unreachable(err) || !peer.Silent(err) {
		t.Errorf("Get from a process that hangs: %v, want a *peer.PeerError that is peer.ErrSilent", err)
	}
	if took := time.Since(began); took > 5*h.detection()+time.Second {
		t.Errorf("a process that hangs was waited for %v, with a detection time of %v", took, h.detection())
	}
	if _, err := p.change(&peer.Change{Group: "g", Keys: []string{"k"}}); err == nil || !peer.Silent(err) {
		t.Errorf("Change to a process that hangs: %v, want an error that is peer.ErrSilent", err)
	}
}
