package data

import (
	"context"
	"strconv"
	"time"
)

// Strings are the commands of strings. They are made by Commands.Strings.
type Strings struct{ c Commands }

// Get returns the string of a key.
func (s Strings) Get(ctx context.Context, key string) (string, error) {
	if s.c.getter == nil {
		return s.c.text(ctx, "get", key)
	}
	value, ok, err := s.c.getter.GetString(ctx, key)
	if err == nil && !ok {
		err = ErrNil
	}
	return value, err
}

// Set gives a key a string, whatever it had before, and no end.
func (s Strings) Set(ctx context.Context, key, value string) error {
	return s.c.done(ctx, "set", key, value)
}

// SetOptions say how a string is set.
type SetOptions struct {
	// TTL is how long the key lives. At is when it ends, if TTL is zero. If both are zero it lives without end, unless
	// KeepTTL is set: then it ends when the value before would have.
	TTL     time.Duration
	At      time.Time
	KeepTTL bool
	// IfAbsent has it set only if there is no such key, and IfPresent only if there is one.
	IfAbsent, IfPresent bool
}

func (o SetOptions) args(args []string) []string {
	switch {
	case o.TTL != 0:
		args = append(args, "px", millis(o.TTL))
	case !o.At.IsZero():
		args = append(args, "pxat", strconv.FormatInt(o.At.UnixMilli(), 10))
	}
	if o.KeepTTL {
		args = append(args, "keepttl")
	}
	if o.IfAbsent {
		args = append(args, "nx")
	}
	if o.IfPresent {
		args = append(args, "xx")
	}
	return args
}

// millis returns a duration in whole milliseconds, not less than it is.
func millis(d time.Duration) string {
	ms := d.Milliseconds()
	if d > time.Duration(ms)*time.Millisecond {
		ms++
	}
	return strconv.FormatInt(ms, 10)
}

// SetWith gives a key a string, with options, and reports whether it did: IfAbsent or IfPresent may say no.
func (s Strings) SetWith(ctx context.Context, key, value string, o SetOptions) (bool, error) {
	r, err := s.c.doer.do(ctx, o.args([]string{"set", key, value}))
	return err == nil && (r.Kind == StatusReply || r.Kind == StringReply), err // which of them depends on the driver
}

// SetGet does what SetWith does, and returns the string that the key had before.
func (s Strings) SetGet(ctx context.Context, key, value string, o SetOptions) (string, error) {
	return s.c.text(ctx, o.args([]string{"set", key, value, "get"})...)
}

// SetEX gives a key a string that lives for ttl, which must be more than zero.
func (s Strings) SetEX(ctx context.Context, key, value string, ttl time.Duration) error {
	return s.c.done(ctx, "psetex", key, millis(ttl), value)
}

// SetNX gives a key a string if there is no such key, and reports whether it did.
func (s Strings) SetNX(ctx context.Context, key, value string) (bool, error) {
	return s.c.flag(ctx, "setnx", key, value)
}

// GetSet gives a key a string, and returns the one that it had before.
func (s Strings) GetSet(ctx context.Context, key, value string) (string, error) {
	return s.c.text(ctx, "getset", key, value)
}

// GetDel removes a key, and returns its string.
func (s Strings) GetDel(ctx context.Context, key string) (string, error) {
	return s.c.text(ctx, "getdel", key)
}

// GetEX returns the string of a key, which lives for ttl from now on. Zero means without end.
func (s Strings) GetEX(ctx context.Context, key string, ttl time.Duration) (string, error) {
	if ttl == 0 {
		return s.c.text(ctx, "getex", key, "persist")
	}
	return s.c.text(ctx, "getex", key, "px", millis(ttl))
}

// MGet returns a Value for each key, in their order. A key that has no string has none.
func (s Strings) MGet(ctx context.Context, keys ...string) ([]Value, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	return s.c.values(ctx, append([]string{"mget"}, keys...)...)
}

// MSet gives each key of a map its string, all at once.
func (s Strings) MSet(ctx context.Context, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	return s.c.done(ctx, flat([]string{"mset"}, values)...)
}

// MSetNX does what MSet does if none of the keys is there, and reports whether it did.
func (s Strings) MSetNX(ctx context.Context, values map[string]string) (bool, error) {
	if len(values) == 0 {
		return true, nil
	}
	return s.c.flag(ctx, flat([]string{"msetnx"}, values)...)
}

// flat appends the keys and values of a map.
func flat(args []string, values map[string]string) []string {
	for key, value := range values {
		args = append(args, key, value)
	}
	return args
}

// Append appends to the string of a key, or makes it, and returns its length in bytes.
func (s Strings) Append(ctx context.Context, key, value string) (int64, error) {
	return s.c.integer(ctx, "append", key, value)
}

// StrLen returns the length of the string of a key, in bytes: 0 if there is none.
func (s Strings) StrLen(ctx context.Context, key string) (int64, error) {
	return s.c.integer(ctx, "strlen", key)
}

// Incr adds 1 to the integer of a key, 0 if there is none, and returns it.
func (s Strings) Incr(ctx context.Context, key string) (int64, error) {
	return s.c.integer(ctx, "incr", key)
}

// IncrBy adds n to the integer of a key, 0 if there is none, and returns it.
func (s Strings) IncrBy(ctx context.Context, key string, n int64) (int64, error) {
	return s.c.integer(ctx, "incrby", key, itoa(n))
}

// IncrByFloat adds f to the number of a key, 0 if there is none, and returns it.
func (s Strings) IncrByFloat(ctx context.Context, key string, f float64) (float64, error) {
	return s.c.number(ctx, "incrbyfloat", key, ftoa(f))
}

// Decr subtracts 1 from the integer of a key, 0 if there is none, and returns it.
func (s Strings) Decr(ctx context.Context, key string) (int64, error) {
	return s.c.integer(ctx, "decr", key)
}

// DecrBy subtracts n from the integer of a key, 0 if there is none, and returns it.
func (s Strings) DecrBy(ctx context.Context, key string, n int64) (int64, error) {
	return s.c.integer(ctx, "decrby", key, itoa(n))
}

// SetRange writes over a part of the string of a key, from an offset in bytes on, and returns its length. The string grows
// as far as it has to, by zero bytes.
func (s Strings) SetRange(ctx context.Context, key string, offset int64, value string) (int64, error) {
	return s.c.integer(ctx, "setrange", key, itoa(offset), value)
}

// GetRange returns the bytes of the string of a key from start to end, end included. Less than zero counts from the end: -1 is the last byte.
func (s Strings) GetRange(ctx context.Context, key string, start, end int64) (string, error) {
	return s.c.text(ctx, "getrange", key, itoa(start), itoa(end))
}

// LCS returns the longest common subsequence of the strings of two keys.
func (s Strings) LCS(ctx context.Context, key1, key2 string) (string, error) {
	return s.c.text(ctx, "lcs", key1, key2)
}

// LCSLen returns the length of what LCS returns, in bytes.
func (s Strings) LCSLen(ctx context.Context, key1, key2 string) (int64, error) {
	return s.c.integer(ctx, "lcs", key1, key2, "len")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func ftoa(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
