package peercache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Loader is the getter of a group of Ts: a function of one of three forms. The
// first loads a value, the second says besides how long it lives (Item.TTL), and
// the third loads many at once, as BatchGetter describes it: one value for each
// key, in the same order, and a BatchError where only some of them have failed.
// In all else a Loader is held to what Getter says.
//
// Where the origin has no such key, a Loader returns ErrNotFound.
type Loader[T any] interface {
	func(ctx context.Context, key string) (T, error) |
		func(ctx context.Context, key string) (T, time.Duration, error) |
		func(ctx context.Context, keys []string) ([]T, error)
}

// getterOf makes a Getter of a Loader: nil of a nil one.
func getterOf[T any, L Loader[T]](codec Codec[T], load L) Getter {
	switch load := any(load).(type) {
	case func(context.Context, string) (T, error):
		if load != nil {
			return encoded(codec, func(ctx context.Context, key string) (T, time.Duration, error) {
				v, err := load(ctx, key)
				return v, 0, err
			})
		}
	case func(context.Context, string) (T, time.Duration, error):
		if load != nil {
			return encoded(codec, load)
		}
	case func(context.Context, []string) ([]T, error):
		if load != nil {
			return &batchLoader[T]{codec, load}
		}
	}
	return nil
}

// encoded makes a Getter of a function that loads one value.
func encoded[T any](codec Codec[T], load func(context.Context, string) (T, time.Duration, error)) Getter {
	return ItemFunc(func(ctx context.Context, key string) (Item, error) {
		v, ttl, err := load(ctx, key)
		if err != nil {
			return Item{}, err
		}
		b, err := encode(codec, v)
		return Item{Value: b, TTL: ttl}, err
	})
}

// batchLoader is the BatchGetter made of a function that loads many values.
type batchLoader[T any] struct {
	codec Codec[T]
	load  func(ctx context.Context, keys []string) ([]T, error)
}

// Get loads one key.
func (l *batchLoader[T]) Get(ctx context.Context, key string) (Item, error) {
	items, err := l.GetBatch(ctx, []string{key})
	if each, ok := errors.AsType[BatchError](err); ok && len(each) == 1 {
		err = each[0]
	}
	if err == nil && len(items) != 1 {
		err = fmt.Errorf("the loader returned %d values for 1 key, want one", len(items))
	}
	if err != nil {
		return Item{}, err
	}
	return items[0], nil
}

// GetBatch loads keys. That there is one value for each is for the group to check.
func (l *batchLoader[T]) GetBatch(ctx context.Context, keys []string) ([]Item, error) {
	values, err := l.load(ctx, keys)
	failed, partial := errors.AsType[BatchError](err)
	if err != nil && !partial || partial && len(failed) != len(keys) {
		return nil, err
	}
	items := make([]Item, len(values))
	if len(values) != len(keys) {
		return items, nil
	}
	errs := make(BatchError, len(keys))
	copy(errs, failed)
	for i, v := range values {
		if errs[i] == nil {
			items[i].Value, errs[i] = encode(l.codec, v)
		}
	}
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return items, errs
	}
	return items, nil
}
