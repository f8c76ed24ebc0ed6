package data

import (
	"context"
	"iter"
)

// Hashes are the commands of hashes: fields with strings. They are made by Commands.Hashes.
type Hashes struct{ c Commands }

// Hashes returns the commands of hashes.
func (c Commands) Hashes() Hashes { return Hashes{c} }

// HSet sets fields of a hash, and returns how many of them are new.
func (h Hashes) HSet(ctx context.Context, key string, fields map[string]string) (int64, error) {
	if len(fields) == 0 {
		return 0, nil
	}
	return h.c.integer(ctx, flat([]string{"hset", key}, fields)...)
}

// HSetNX sets a field of a hash if it is not there, and reports whether it did.
func (h Hashes) HSetNX(ctx context.Context, key, field, value string) (bool, error) {
	return h.c.flag(ctx, "hsetnx", key, field, value)
}

// HGet returns the string of a field.
func (h Hashes) HGet(ctx context.Context, key, field string) (string, error) {
	return h.c.text(ctx, "hget", key, field)
}

// HMGet returns a Value for each field, in their order.
func (h Hashes) HMGet(ctx context.Context, key string, fields ...string) ([]Value, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	return h.c.values(ctx, append([]string{"hmget", key}, fields...)...)
}

// HGetAll returns all fields, with their strings: none if there is no such key.
func (h Hashes) HGetAll(ctx context.Context, key string) (map[string]string, error) {
	return h.c.pairs(ctx, "hgetall", key)
}

// HDel removes fields, and returns how many were there.
func (h Hashes) HDel(ctx context.Context, key string, fields ...string) (int64, error) {
	return h.c.manyOf(ctx, "hdel", key, fields)
}

// manyOf runs a command about some elements of a key that returns how many it was about.
func (c Commands) manyOf(ctx context.Context, name, key string, elements []string) (int64, error) {
	if len(elements) == 0 {
		return 0, nil
	}
	return c.integer(ctx, append([]string{name, key}, elements...)...)
}

// HExists reports whether a field is there.
func (h Hashes) HExists(ctx context.Context, key, field string) (bool, error) {
	return h.c.flag(ctx, "hexists", key, field)
}

// HLen returns how many fields there are.
func (h Hashes) HLen(ctx context.Context, key string) (int64, error) {
	return h.c.integer(ctx, "hlen", key)
}

// HKeys returns the names of all fields.
func (h Hashes) HKeys(ctx context.Context, key string) ([]string, error) {
	return h.c.texts(ctx, "hkeys", key)
}

// HVals returns the strings of all fields.
func (h Hashes) HVals(ctx context.Context, key string) ([]string, error) {
	return h.c.texts(ctx, "hvals", key)
}

// HStrLen returns the length of the string of a field, in bytes: 0 if there is none.
func (h Hashes) HStrLen(ctx context.Context, key, field string) (int64, error) {
	return h.c.integer(ctx, "hstrlen", key, field)
}

// HIncrBy adds n to the integer of a field, 0 if there is none, and returns it.
func (h Hashes) HIncrBy(ctx context.Context, key, field string, n int64) (int64, error) {
	return h.c.integer(ctx, "hincrby", key, field, itoa(n))
}

// HIncrByFloat adds f to the number of a field, 0 if there is none, and returns it.
func (h Hashes) HIncrByFloat(ctx context.Context, key, field string, f float64) (float64, error) {
	return h.c.number(ctx, "hincrbyfloat", key, field, ftoa(f))
}

// HRandField returns up to n fields by chance, each once; if n is less than zero, -n fields, of which some may be the same.
func (h Hashes) HRandField(ctx context.Context, key string, n int64) ([]string, error) {
	return h.c.texts(ctx, "hrandfield", key, itoa(n))
}

// Field is a field of a hash.
type Field struct{ Name, Value string }

// HRandFieldWithValues does what HRandField does, and returns the strings of the fields with them.
func (h Hashes) HRandFieldWithValues(ctx context.Context, key string, n int64) ([]Field, error) {
	list, err := h.c.list(ctx, "hrandfield", key, itoa(n), "withvalues")
	if err != nil {
		return nil, err
	}
	texts, err := flatTexts(list)
	if err != nil {
		return nil, err
	}
	fields := make([]Field, 0, len(texts)/2)
	for i := 0; i+1 < len(texts); i += 2 {
		fields = append(fields, Field{texts[i], texts[i+1]})
	}
	return fields, nil
}

// HScan goes through all fields, as Keys.Scan goes through keys. An error is the last that is yielded.
func (h Hashes) HScan(ctx context.Context, key string, o ScanOptions) iter.Seq2[Field, error] {
	return func(yield func(Field, error) bool) {
		h.c.scan(ctx, o.args([]string{"hscan", key, "0"}), 2, 2, func(of []string, err error) bool {
			if err != nil {
				return yield(Field{}, err)
			}
			return yield(Field{of[0], of[1]}, nil)
		})
	}
}
