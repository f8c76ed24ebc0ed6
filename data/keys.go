package data

import (
	"context"
	"time"
)

// Keys are the commands of keys of any type. They are made by Commands.Keys.
type Keys struct{ c Commands }

// many runs a command about some keys that returns how many it was about.
func (c Commands) many(ctx context.Context, name string, keys []string) (int64, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	return c.integer(ctx, append([]string{name}, keys...)...)
}

// Del removes keys, and returns how many were there.
func (k Keys) Del(ctx context.Context, keys ...string) (int64, error) {
	return k.c.many(ctx, "del", keys)
}

// Unlink removes keys, and returns how many were there. Redis frees their memory in the background.
func (k Keys) Unlink(ctx context.Context, keys ...string) (int64, error) {
	return k.c.many(ctx, "unlink", keys)
}

// Exists returns how many of the keys are there. One that is given twice counts twice.
func (k Keys) Exists(ctx context.Context, keys ...string) (int64, error) {
	return k.c.many(ctx, "exists", keys)
}

// Touch has keys count as used now, and returns how many are there.
func (k Keys) Touch(ctx context.Context, keys ...string) (int64, error) {
	return k.c.many(ctx, "touch", keys)
}

// ExpireCondition says when Keys.Expire gives a key another end.
type ExpireCondition string

// The conditions.
const (
	IfPersistent ExpireCondition = "nx" // the key has no end
	IfExpires    ExpireCondition = "xx" // it has one
	IfLater      ExpireCondition = "gt" // it has an earlier one
	IfEarlier    ExpireCondition = "lt" // it has a later one, or none
)

func conditions(args []string, of []ExpireCondition) []string {
	for _, c := range of {
		args = append(args, string(c))
	}
	return args
}

// Expire has a key live for ttl from now on, if all conditions hold, and reports whether it does. A ttl that is not more than zero removes the key.
func (k Keys) Expire(ctx context.Context, key string, ttl time.Duration, only ...ExpireCondition) (bool, error) {
	return k.c.flag(ctx, conditions([]string{"pexpire", key, millis(ttl)}, only)...)
}

// ExpireAt has a key live until a time, if all conditions hold, and reports whether it does. A time that is over removes the key.
func (k Keys) ExpireAt(ctx context.Context, key string, at time.Time, only ...ExpireCondition) (bool, error) {
	return k.c.flag(ctx, conditions([]string{"pexpireat", key, itoa(at.UnixMilli())}, only)...)
}

// ExpireTime returns when a key ends: the zero Time if it does not. ErrNil says that there is no such key.
func (k Keys) ExpireTime(ctx context.Context, key string) (time.Time, error) {
	switch ms, err := k.c.integer(ctx, "pexpiretime", key); {
	case err != nil:
		return time.Time{}, err
	case ms == -2:
		return time.Time{}, ErrNil
	case ms < 0:
		return time.Time{}, nil
	default:
		return time.UnixMilli(ms), nil
	}
}

// Persist has a key live without end, and reports whether that is new.
func (k Keys) Persist(ctx context.Context, key string) (bool, error) {
	return k.c.flag(ctx, "persist", key)
}

// TTL returns how long a key has left: 0 if it lives without end. ErrNil says that there is no such key.
func (k Keys) TTL(ctx context.Context, key string) (time.Duration, error) {
	ms, err := k.c.integer(ctx, "pttl", key)
	if err != nil {
		return 0, err
	}
	return ttlOf(ms)
}

// ttlOf returns the TTL that PTTL means.
func ttlOf(ms int64) (time.Duration, error) {
	const longest = int64(1<<63-1) / int64(time.Millisecond)
	switch {
	case ms == -2:
		return 0, ErrNil
	case ms < 0:
		return 0, nil
	case ms == 0: // less than one
		return time.Millisecond, nil
	default:
		return time.Duration(min(ms, longest)) * time.Millisecond, nil
	}
}

// Type returns the type of a key: string, list, hash, set, zset, channel. ErrNil says that there is no such key.
func (k Keys) Type(ctx context.Context, key string) (string, error) {
	t, err := k.c.text(ctx, "type", key)
	if err == nil && t == "none" {
		return "", ErrNil
	}
	return t, err
}

// Rename gives a key another name. What had that name is gone.
func (k Keys) Rename(ctx context.Context, key, name string) error {
	return k.c.done(ctx, "rename", key, name)
}

// RenameNX gives a key another name, if there is no key of that name, and reports whether it did.
func (k Keys) RenameNX(ctx context.Context, key, name string) (bool, error) {
	return k.c.flag(ctx, "renamenx", key, name)
}

// Copy copies a key with its end, if there is no key destination, or replace says that it may be replaced. It reports whether it did.
func (k Keys) Copy(ctx context.Context, key, destination string, replace bool) (bool, error) {
	args := []string{"copy", key, destination}
	if replace {
		args = append(args, "replace")
	}
	return k.c.flag(ctx, args...)
}

// RandomKey returns one of all keys. ErrNil says that there are none.
func (k Keys) RandomKey(ctx context.Context) (string, error) { return k.c.text(ctx, "randomkey") }

// Keys returns all keys that a pattern fits. Scan does so without holding up others.
func (k Keys) Keys(ctx context.Context, pattern string) ([]string, error) {
	return k.c.texts(ctx, "keys", pattern)
}

// FlushDB removes all keys.
func (k Keys) FlushDB(ctx context.Context) error { return k.c.done(ctx, "flushdb") }

// DBSize returns how many keys there are.
func (k Keys) DBSize(ctx context.Context) (int64, error) { return k.c.integer(ctx, "dbsize") }

// ObjectEncoding returns how a key is kept, in the words of Redis.
func (k Keys) ObjectEncoding(ctx context.Context, key string) (string, error) {
	return k.c.text(ctx, "object", "encoding", key)
}

// ObjectIdleTime returns for how long a key was not used, in whole seconds.
func (k Keys) ObjectIdleTime(ctx context.Context, key string) (time.Duration, error) {
	seconds, err := k.c.integer(ctx, "object", "idletime", key)
	return time.Duration(seconds) * time.Second, err
}

// ObjectFreq returns how often a key is used, as eviction by frequency has it. It is an error where nothing is evicted so.
func (k Keys) ObjectFreq(ctx context.Context, key string) (int64, error) {
	return k.c.integer(ctx, "object", "freq", key)
}

// MemoryUsage returns how many bytes a key takes, with its value. ErrNil says that there is no such key.
func (k Keys) MemoryUsage(ctx context.Context, key string) (int64, error) {
	return k.c.integer(ctx, "memory", "usage", key)
}
