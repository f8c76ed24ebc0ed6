package peercache_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// When another process is found at the own address, what is cached leaves. A callback that
// hears of it may use the group and the pool.
func TestWhatLeavesForAWrongSelfIsToldWithNoLockHeld(t *testing.T) {
	pool, err := peercache.NewHTTPPool("http://self", peercache.WithInsecure(), peercache.WithTransport(pretender{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() { // or it waits for the lock too
			pool.Shutdown(context.Background())
		}
	})
	var g *peercache.Group
	told := make(chan error, 1)
	g, err = peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("v"), nil }),
		peercache.WithPeers(pool), peercache.WithOnEvict(func(string, peercache.ByteView, peercache.Reason) {
			if _, err := g.Get(context.Background(), "key"); err != nil {
				told <- err
				return
			}
			told <- pool.Set("http://self") // which takes all locks of the pool
		}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	if err := pool.Set("http://self"); err != nil { // it looks at the own address
		t.Fatal(err)
	}
	select {
	case err := <-told:
		if err != nil {
			t.Errorf("the callback: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the callback waits for a lock")
	}
}

// pretender answers as another process.
type pretender struct{}

func (pretender) RoundTrip(*http.Request) (*http.Response, error) {
	header := http.Header{"Peercache-Peer": {"http://other"}, "Peercache-Process": {"1"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: http.NoBody}, nil
}
