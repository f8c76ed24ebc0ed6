package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache/data"
)

var _ data.Invalidator = (*Driver)(nil)

const (
	// pulse is how often a connection that only listens is asked whether it is still there, and patience how long it has to answer.
	pulse    = time.Second
	patience = time.Second
)

// Invalidations implements data.Invalidator, by client-side tracking of all keys (CLIENT TRACKING ON BCAST) on a connection of its own. A server that is silent for
// two seconds is taken to be gone. It needs RESP3, and cannot do it for a cluster, whose keys move.
func (d *Driver) Invalidations(ctx context.Context, changed func(keys []string)) error {
	client, err := d.connect(ctx)
	if err != nil {
		return err
	}
	if client.Mode() == rueidis.ClientModeCluster {
		return errors.New("redis: a cluster tells of no invalidations")
	}
	conn, _ := client.Dedicate()
	defer conn.Close() // nobody else gets a connection that tracks
	var mu sync.Mutex
	ended := false // guarded by mu: rueidis may call once more when the connection has ended
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
	}()
	tell := func(keys []string) {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			changed(keys)
		}
	}
	broken := conn.SetOnInvalidations(func(messages []rueidis.RedisMessage) {
		keys := make([]string, 0, len(messages))
		for i := range messages {
			key, err := messages[i].ToString()
			if err != nil { // it is not known which
				keys = nil
				break
			}
			keys = append(keys, key)
		}
		tell(keys)
	})
	if err := conn.Do(ctx, conn.B().Arbitrary("CLIENT", "TRACKING", "ON", "BCAST").Build()).Error(); err != nil {
		return fmt.Errorf("redis: CLIENT TRACKING: %w", err)
	}
	tell(nil)
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-broken:
			return fmt.Errorf("redis: the connection for invalidations has ended: %w", errors.Join(err))
		case <-tick.C:
			if err := ping(ctx, conn); err != nil {
				return fmt.Errorf("redis: the connection for invalidations: %w", err)
			}
		}
	}
}

func ping(ctx context.Context, conn rueidis.DedicatedClient) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return conn.Do(ctx, conn.B().Ping().Build()).Error()
}
