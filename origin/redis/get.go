package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/lazy"
	"github.com/peercache/peercache/internal/quote"
)

// Get implements peercache.Getter.
func (o *Origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	items, errs, err := o.load(ctx, []string{key}, true)
	if err != nil {
		return peercache.Item{}, err
	}
	return items[0], errs[0]
}

// GetBatch implements peercache.BatchGetter.
func (o *Origin) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	items, errs, err := o.load(ctx, keys, false)
	if err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return items, peercache.BatchError(errs)
		}
	}
	return items, nil
}

// load returns an item or an error for each key. single says that a wrong type is an error.
func (o *Origin) load(ctx context.Context, keys []string, single bool) ([]peercache.Item, []error, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	client, err := o.connect(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("redis: %w", err)
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = o.KeyPrefix + key
	}
	items, errs := make([]peercache.Item, len(keys)), make([]error, len(keys))
	if !single && !o.KeyTTL && !o.Cluster {
		values, err := client.Do(ctx, client.B().Mget().Key(names...).Build()).ToArray()
		if err == nil && len(values) != len(keys) {
			err = fmt.Errorf("the server answered %d values for %d keys", len(values), len(keys))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("redis: MGET of %d keys: %w", len(keys), err)
		}
		for i := range values {
			items[i], errs[i] = o.item(keys[i], values[i].AsBytes)
		}
		return items, errs, nil
	}
	each := 1
	if o.KeyTTL {
		each = 2
	}
	commands := make(rueidis.Commands, 0, each*len(keys))
	for _, name := range names {
		if o.KeyTTL {
			// Before the GET: if the key is written in between, a new value has an old TTL, and no old
			// value a new one.
			commands = append(commands, client.B().Pttl().Key(name).Build())
		}
		commands = append(commands, client.B().Get().Key(name).Build())
	}
	answers := client.DoMulti(ctx, commands...)
	for i, key := range keys {
		answer := answers[i*each : (i+1)*each]
		items[i], errs[i] = o.item(key, answer[each-1].AsBytes)
		if o.KeyTTL && errs[i] == nil {
			ms, err := answer[0].AsInt64()
			if err != nil {
				errs[i] = fmt.Errorf("redis: PTTL of %s: %w", quote.Key(key), err)
			}
			items[i].TTL = o.ttlOf(ms)
		}
	}
	return items, errs, nil
}

// item makes the item of a key of an answer of the server.
func (o *Origin) item(key string, answer func() ([]byte, error)) (peercache.Item, error) {
	value, err := answer()
	switch {
	case rueidis.IsRedisNil(err):
		return peercache.Item{}, fmt.Errorf("redis: %s: %w", quote.Key(key), peercache.ErrNotFound)
	case err != nil:
		return peercache.Item{}, fmt.Errorf("redis: %s: %w", quote.Key(key), err)
	}
	return peercache.Item{Value: value, TTL: o.TTL}, nil
}

// ttlOf returns the TTL of an item whose key lives for so many milliseconds, as PTTL has it.
func (o *Origin) ttlOf(ms int64) time.Duration {
	switch left := time.Duration(ms) * time.Millisecond; {
	case ms == -1 || ms > math.MaxInt64/int64(time.Millisecond): // without end
		return o.TTL
	case ms <= 0: // it ends now, or began after the PTTL
		return -1
	case o.TTL > 0:
		return min(left, o.TTL)
	default:
		return left
	}
}

// connect returns the client. If there is none yet, one connects, for all who wait.
func (o *Origin) connect(ctx context.Context) (rueidis.Client, error) {
	client, err := o.client.Get(ctx)
	switch {
	case errors.Is(err, lazy.ErrClosed):
		return nil, errClosed
	case err != nil:
		return nil, fmt.Errorf("connecting to %v: %w", o.Addresses, err)
	}
	return client, nil
}

// errClosed is the error of a load after Close.
var errClosed = errors.New("the origin is closed")

// Close ends the connections. Loads that are running may fail. It may take the connect timeout.
func (o *Origin) Close() error {
	o.client.Close()
	return nil
}
