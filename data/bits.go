package data

import "context"

// BitRange is a part of a string, End included. Less than zero counts from the end.
type BitRange struct {
	Start, End int64
	Bits       bool // they count bits, not bytes
}

func (r BitRange) args(args []string) []string {
	args = append(args, itoa(r.Start), itoa(r.End))
	if r.Bits {
		args = append(args, "bit")
	}
	return args
}

// SetBit sets one bit of the string of a key, which grows as far as it has to, and returns what the bit was. Bit 0 is the highest
// one of the first byte.
func (s Strings) SetBit(ctx context.Context, key string, offset int64, bit bool) (bool, error) {
	return s.c.flag(ctx, "setbit", key, itoa(offset), bitOf(bit))
}

func bitOf(bit bool) string {
	if bit {
		return "1"
	}
	return "0"
}

// GetBit returns one bit of the string of a key: false beyond its end.
func (s Strings) GetBit(ctx context.Context, key string, offset int64) (bool, error) {
	return s.c.flag(ctx, "getbit", key, itoa(offset))
}

// BitCount returns how many bits of the string of a key are 1.
func (s Strings) BitCount(ctx context.Context, key string) (int64, error) {
	return s.c.integer(ctx, "bitcount", key)
}

// BitCountIn returns how many bits of a part of the string of a key are 1.
func (s Strings) BitCountIn(ctx context.Context, key string, r BitRange) (int64, error) {
	return s.c.integer(ctx, r.args([]string{"bitcount", key})...)
}

// BitPos returns the place of the first such bit in the string of a key. Behind the string's end there are bits that are 0.
func (s Strings) BitPos(ctx context.Context, key string, bit bool) (int64, error) {
	return found(s.c.integer(ctx, "bitpos", key, bitOf(bit)))
}

// BitPosIn returns the place, counted from the beginning of the string, of the first such bit in a part of the string of a key.
func (s Strings) BitPosIn(ctx context.Context, key string, bit bool, r BitRange) (int64, error) {
	return found(s.c.integer(ctx, r.args([]string{"bitpos", key, bitOf(bit)})...))
}

// found makes ErrNil of a place that is less than zero.
func found(n int64, err error) (int64, error) {
	if err == nil && n < 0 {
		return 0, ErrNil
	}
	return n, err
}

// BitOperation is what Strings.BitOp does.
type BitOperation string

// The bit operations. BitNot has one source.
const (
	BitAnd BitOperation = "and"
	BitOr  BitOperation = "or"
	BitXor BitOperation = "xor"
	BitNot BitOperation = "not"
)

// BitOp gives the key destination what an operation makes of the strings of other keys, and returns its length in bytes.
func (s Strings) BitOp(ctx context.Context, op BitOperation, destination string, sources ...string) (int64, error) {
	return s.c.integer(ctx, append([]string{"bitop", string(op), destination}, sources...)...)
}
