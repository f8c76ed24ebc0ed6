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
	cmds := make([]Cmd, 0, 3*len(keys))
	for _, key := range keys {
		pttl := Command("pttl", o.prefix+key)
		cmds = append(cmds, pttl, Command("get", o.prefix+key), pttl)
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
		value, err := replies[3*i+1].Text()
		switch {
		case errors.Is(err, ErrNil):
			err = peercache.ErrNotFound
		case err == nil:
			items[i].Value = []byte(value)
			items[i].TTL, err = leftOf(replies[3*i], replies[3*i+2], took)
		}
		if err != nil {
			errs[i], failed = fmt.Errorf("%q: %w", o.prefix+key, err), true
		}
	}
	if failed {
		return items, errs
	}
	return items, nil
}

// leftOf returns for how long a value may be kept that was read between two PTTL, of which the replies are before and after, which took so long in
// all: 0 is without end, and less than zero not at all. Another value may have come between any two of them, with another end or none: the
// shorter time is good for both.
func leftOf(before, after Reply, took time.Duration) (left time.Duration, err error) {
	for _, pttl := range []Reply{before, after} {
		ms, err := pttl.Integer()
		if err != nil {
			return 0, err
		}
		ttl, err := ttlOf(ms)
		if err != nil { // there was no such key
			return -1, nil
		}
		if ttl > 0 && (left == 0 || ttl < left) {
			left = ttl
		}
	}
	if left == 0 {
		return 0, nil
	}
	if left -= took; left <= 0 {
		return -1, nil
	}
	return left, nil
}
