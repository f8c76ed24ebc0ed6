package peercache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

// TestStaleHitsCountsServedValues shows that Stats.StaleHits counts an expired value once for
// each caller that got it: the refresh of many keys looks into the cache as well, and serves
// nobody.
func TestStaleHitsCountsServedValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) { return []byte(key), nil })
		g, err := peercache.NewGroup("test", 1<<20, getter, peercache.WithTTL(time.Minute), peercache.WithStaleWhileRevalidate(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		keys := []string{"a", "b", "c"}
		g.GetMulti(t.Context(), keys)
		time.Sleep(2 * time.Minute)
		g.GetMulti(t.Context(), keys)
		synctest.Wait()
		if s := g.Stats(); s.StaleHits != 3 || s.Refreshes != 3 {
			t.Errorf("after a GetMulti of 3 expired values: %d StaleHits and %d Refreshes, want 3 and 3", s.StaleHits, s.Refreshes)
		}
	})
}
