package data

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peercache/peercache"
)

// DriverOrigin is a getter of a group that reads the strings of a driver. It is made by Origin.
type DriverOrigin struct {
	driver Driver
	prefix string
}

var _ peercache.BatchGetter = (*DriverOrigin)(nil)

// Origin returns a getter for a group whose values are the strings of a driver, so that all peers share one read of a key. A key that is not there is
// peercache.ErrNotFound; one that has something else is an error that is ErrWrongType. A value is served for no longer than its key has left to live.
func Origin(driver Driver) *DriverOrigin { return &DriverOrigin{driver: driver} }

// WithPrefix returns a getter that puts a prefix before each key.
func (o *DriverOrigin) WithPrefix(prefix string) *DriverOrigin {
	return &DriverOrigin{o.driver, prefix + o.prefix}
}

// Get implements peercache.Getter.
func (o *DriverOrigin) Get(ctx context.Context, key string) (peercache.Item, error) {
	items, err := o.GetBatch(ctx, []string{key})
	if each, ok := errors.AsType[peercache.BatchError](err); ok {
		err = each[0]
	}
	if err != nil {
		return peercache.Item{}, err
	}
	return items[0], nil
}

// GetBatch implements peercache.BatchGetter. It is one pipeline.
func (o *DriverOrigin) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	cmds := make([]Cmd, 0, 2*len(keys))
	for _, key := range keys {
		// The time left is asked for first: if the key is written in between, a new value has an old time, and no old
		// value a new one.
		cmds = append(cmds, Command("pttl", o.prefix+key), Command("get", o.prefix+key))
	}
	asked := time.Now()
	replies, err := o.driver.Do(ctx, cmds...)
	if err == nil && len(replies) != len(cmds) {
		err = errReplies
	}
	if err != nil {
		return nil, err
	}
	took := time.Since(asked)
	items, errs := make([]peercache.Item, len(keys)), make(peercache.BatchError, len(keys))
	failed := false
	for i, key := range keys {
		if items[i], errs[i] = itemOf(replies[2*i], replies[2*i+1], took); errs[i] != nil {
			errs[i], failed = fmt.Errorf("%q: %w", o.prefix+key, errs[i]), true
		}
	}
	if failed {
		return items, errs
	}
	return items, nil
}

// itemOf makes an item of the replies to PTTL and GET, which took so long.
func itemOf(pttl, get Reply, took time.Duration) (item peercache.Item, err error) {
	value, err := get.Text()
	switch {
	case errors.Is(err, ErrNil):
		return item, peercache.ErrNotFound
	case err != nil:
		return item, err
	}
	ms, err := pttl.Integer()
	if err != nil {
		return item, err
	}
	item.Value = []byte(value)
	switch ttl, err := ttlOf(ms); {
	case errors.Is(err, ErrNil): // it came after the PTTL
		item.TTL = -1
	case ttl > 0:
		if item.TTL = ttl - took; item.TTL <= 0 {
			item.TTL = -1
		}
	}
	return item, nil
}
