package peercache

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// When another process is found at the own address, what is cached leaves. A callback that
// hears of it may use the group and the pool.
func TestWhatLeavesForAWrongSelfIsToldWithNoLockHeld(t *testing.T) {
	pool, err := NewHTTPPool("http://self", WithTransport(nowhere{}))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{}, 1)
	g, err := NewGroup("g", 1<<20, GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("v"), nil }),
		WithPeers(pool), WithOnEvict(func(string, ByteView, Reason) {
			pool.own.found()
			told <- struct{}{}
		}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	pool.own.fresh = pretender{}
	go pool.own.look(t.Context())
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatal("the callback waits for a lock")
	}
}

// pretender answers as another process.
type pretender struct{}

func (pretender) RoundTrip(*http.Request) (*http.Response, error) {
	header := http.Header{peerHeader: {"http://other"}, processHeader: {"1"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: http.NoBody}, nil
}
