package data

import (
	"context"
	"errors"
	"fmt"

	"github.com/peercache/peercache"
)

// Commander is what has commands: a *Client, a *Tx, or Commands.
type Commander interface {
	Strings() Strings
	Hashes() Hashes
}

// GetAs returns the value of a key that codec makes of its string. That it cannot is peercache.ErrDecode.
func GetAs[T any](ctx context.Context, c Commander, key string, codec peercache.Codec[T]) (T, error) {
	s, err := c.Strings().Get(ctx, key)
	return decoded(codec, s, err)
}

// decoded makes a value of a string, if there is no error yet.
func decoded[T any](codec peercache.Codec[T], s string, err error) (none T, _ error) {
	if err != nil {
		return none, err
	}
	v, err := codec.Decode(peercache.ViewOfString(s))
	if err != nil {
		return none, fmt.Errorf("data: %w: %w", peercache.ErrDecode, err)
	}
	return v, nil
}

// SetAs gives a key the string that codec makes of a value, and reports whether it did: IfAbsent or IfPresent may say no.
func SetAs[T any](ctx context.Context, c Commander, key string, v T, codec peercache.Codec[T], o SetOptions) (bool, error) {
	b, err := codec.Encode(v)
	if err != nil {
		return false, fmt.Errorf("data: %w", err)
	}
	return c.Strings().SetWith(ctx, key, string(b), o)
}

// MGetAs returns the values of those keys that have a string.
func MGetAs[T any](ctx context.Context, c Commander, codec peercache.Codec[T], keys ...string) (map[string]T, error) {
	values, err := c.Strings().MGet(ctx, keys...)
	return allAs(codec, keys, values, err)
}

func allAs[T any](codec peercache.Codec[T], names []string, values []Value, err error) (map[string]T, error) {
	if err != nil {
		return nil, err
	}
	if len(values) != len(names) {
		return nil, errReplies
	}
	all := make(map[string]T, len(names))
	var failed []error
	for i, v := range values {
		if !v.OK {
			continue
		}
		if decoded, err := decoded(codec, v.String, nil); err != nil {
			failed = append(failed, fmt.Errorf("%q: %w", names[i], err))
		} else {
			all[names[i]] = decoded
		}
	}
	return all, errors.Join(failed...)
}

// HGetAs returns the value that codec makes of the string of a field.
func HGetAs[T any](ctx context.Context, c Commander, key, field string, codec peercache.Codec[T]) (T, error) {
	s, err := c.Hashes().HGet(ctx, key, field)
	return decoded(codec, s, err)
}

// HMGetAs returns the values of those fields that are there.
func HMGetAs[T any](ctx context.Context, c Commander, key string, codec peercache.Codec[T], fields ...string) (map[string]T, error) {
	values, err := c.Hashes().HMGet(ctx, key, fields...)
	return allAs(codec, fields, values, err)
}

// HSetAs sets a field to the string that codec makes of a value, and reports whether it is new.
func HSetAs[T any](ctx context.Context, c Commander, key, field string, v T, codec peercache.Codec[T]) (bool, error) {
	b, err := codec.Encode(v)
	if err != nil {
		return false, fmt.Errorf("data: %w", err)
	}
	n, err := c.Hashes().HSet(ctx, key, map[string]string{field: string(b)})
	return n == 1, err
}
