package peercache

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// elsewhereAll is a picker by which other processes own, or stand in for, all keys.
type elsewhereAll struct{ Peer }

func (e elsewhereAll) Pick(string, int) Peer { return e }
func (elsewhereAll) Peers() []Peer           { return nil }
func (elsewhereAll) Register(*Group) error   { return nil }

// slowFirst is an origin whose first answers take until they are let go. An answer is what was true
// when it was asked for.
type slowFirst struct {
	now   atomic.Pointer[string]
	slow  atomic.Bool
	letGo chan struct{}
}

func (o *slowFirst) Get(context.Context, string) (Item, error) {
	value := *o.now.Load()
	if o.slow.Load() {
		<-o.letGo
	}
	return Item{Value: []byte(value)}, nil
}

func (o *slowFirst) GetBatch(ctx context.Context, keys []string) ([]Item, error) {
	items := make([]Item, len(keys))
	for i, key := range keys {
		items[i], _ = o.Get(ctx, key)
	}
	return items, nil
}

// A process that is not on the preference list of a key is not told of its changes. So nobody who asks
// it joins a load that began before he came: a Remove may have returned nil since. It holds for many
// keys as for one.
func TestP8NonReplicaJoinsNoLoadOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &slowFirst{letGo: make(chan struct{})}
		before, after := "old", "new"
		o.now.Store(&before)
		o.slow.Store(true)
		g, err := NewGroup("test", 1<<20, o, WithPeers(elsewhereAll{}))
		if err != nil {
			t.Fatal(err)
		}
		keys := []string{"a", "b", "c"}
		go g.loadAll(t.Context(), keys, func(int, Entry, error) {})
		synctest.Wait()
		o.now.Store(&after) // and a Remove of the keys returns nil
		o.slow.Store(false)
		var got [3]string
		go g.loadAll(t.Context(), keys, func(i int, e Entry, err error) { got[i] = e.View.String() })
		synctest.Wait()
		close(o.letGo)
		synctest.Wait()
		for i, value := range got {
			if value != after {
				t.Errorf("%s: %q after the Remove, want %q", keys[i], value, after)
			}
		}
	})
}
