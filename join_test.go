package peercache_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
)

const selfURL = "http://10.0.0.1:8001"

// withdrawing is a Discovery of this process alone, and does this when its context has ended.
type withdrawing func()

func (withdraw withdrawing) Run(ctx context.Context, self string, report func(discovery.View)) error {
	report(discovery.View{Peers: []string{self}})
	<-ctx.Done()
	withdraw()
	return nil
}

// newWithdrawing makes a pool that has joined by such a Discovery, and a group.
func newWithdrawing(t *testing.T, withdraw func()) (*peercache.HTTPPool, *peercache.Group) {
	t.Helper()
	pool, err := peercache.NewHTTPPool(selfURL, peercache.WithInsecure(), peercache.WithTransport(nowhere{}), peercache.WithDiscovery(withdrawing(withdraw)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Shutdown(context.Background()) })
	group, err := peercache.NewGroup("test", 1<<20, peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
		return []byte(key), nil
	}), peercache.WithPeers(pool))
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return pool, group
}

// statusOfGet asks a pool by the plain way, and returns the HTTP status.
func statusOfGet(pool *peercache.HTTPPool, group string) int {
	w := httptest.NewRecorder()
	pool.ServeHTTP(w, httptest.NewRequest("GET", selfURL+pool.BasePath()+group+"/key", nil))
	return w.Code
}

// Shutdown withdraws while the pool still answers its peers, who ask it until they
// have heard.
func TestShutdownWithdrawsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ask func() int
		withdrawn := 0
		pool, group := newWithdrawing(t, func() {
			time.Sleep(time.Second)
			withdrawn = ask()
		})
		ask = func() int { return statusOfGet(pool, group.Name()) }
		if err := pool.Shutdown(t.Context()); err != nil || withdrawn != http.StatusOK {
			t.Errorf("Shutdown: error %v, status %d while it withdrew: want none, %d", err, withdrawn, http.StatusOK)
		}
		if status := ask(); status != http.StatusServiceUnavailable {
			t.Errorf("status %d after Shutdown: want %d", status, http.StatusServiceUnavailable)
		}
	})
}

// A withdrawal that hangs does not hold up Shutdown beyond its context, and the
// pool is shut down all the same.
func TestShutdownInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		pool, group := newWithdrawing(t, func() { <-release })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := pool.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "has not ended") {
			t.Errorf("Shutdown: error %v: want context.DeadlineExceeded, and that the discovery has not ended", err)
		}
		if status := statusOfGet(pool, group.Name()); status != http.StatusServiceUnavailable {
			t.Errorf("status %d: the pool still answers its peers", status)
		}
		close(release)
	})
}

func TestJoinErrors(t *testing.T) {
	if _, err := peercache.NewHTTPPool(selfURL, peercache.WithDiscovery(nil)); err == nil || !strings.Contains(err.Error(), "WithDiscovery(nil): want") {
		t.Errorf("WithDiscovery(nil): error %v", err)
	}
	pool, err := peercache.NewHTTPPool(selfURL, peercache.WithInsecure(), peercache.WithTransport(nowhere{}), peercache.WithPoolLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Join(t.Context()); err == nil || !strings.Contains(err.Error(), "want a WithDiscovery, or Set") {
		t.Errorf("Join without a discovery: error %v", err)
	}
}

// nowhere is a transport that reaches nobody.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("there is no network")
}
