package strings

import (
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

const errBit engine.Error = "ERR bit is not an integer or out of range"

// bitOffset returns the offset of a bit in a string.
func bitOffset(text string) (int64, error) {
	at, ok := number.Int(text)
	if !ok || at < 0 || at>>3 >= longest {
		return 0, engine.Error("ERR bit offset is not an integer or out of range")
	}
	return at, nil
}

// bitOf returns a bit of a string, which is 0 behind its end. Bit 0 is the highest one of the first byte.
func bitOf(s string, at int64) int64 {
	if at>>3 >= int64(len(s)) {
		return 0
	}
	return int64(s[at>>3] >> (7 - at&7) & 1)
}

func getBit(c *engine.Call) error {
	at, err := bitOffset(c.Args[2])
	if err != nil {
		return err
	}
	s, _, err := c.ReadString(c.Args[1])
	if err != nil {
		return err
	}
	c.W.Int(bitOf(s, at))
	return nil
}

// setBit copies the string: others may read it meanwhile.
func setBit(c *engine.Call) error {
	key := c.Args[1]
	at, err := bitOffset(c.Args[2])
	if err != nil {
		return err
	}
	bit, ok := number.Int(c.Args[3])
	if !ok || bit != 0 && bit != 1 {
		return errBit
	}
	n, err := find(c, key)
	if err != nil {
		return err
	}
	old, expire := "", int64(0)
	if n != nil {
		old, expire = n.Value.Str, n.Value.Expire
	}
	was := bitOf(old, at)
	if n == nil || was != bit || at>>3 >= int64(len(old)) {
		size := max(len(old), int(at>>3)+1)
		if err := c.Room(int64(size - len(old))); err != nil {
			return err
		}
		b := engine.Grown(size)
		copy(b, old)
		mask := byte(1) << (7 - at&7)
		if b[at>>3] &^= mask; bit == 1 {
			b[at>>3] |= mask
		}
		c.SetGrown(key, b, expire)
		c.Notify(engine.EventString, "setbit", key)
	}
	c.W.Int(was)
	return nil
}

// bitRange is the part of a string that BITCOUNT and BITPOS are about.
type bitRange struct{ from, to, unit int64 }

// bitRangeOf reads a part: start, end and a unit, of which the latter ones may be missing.
func bitRangeOf(args []string) (r bitRange, err error) {
	r = bitRange{0, -1, 8}
	var ok bool
	if len(args) > 0 {
		if r.from, ok = number.Int(args[0]); !ok {
			return r, engine.ErrNotInt
		}
	}
	if len(args) > 2 {
		switch {
		case is(args[2], "bit"):
			r.unit = 1
		case !is(args[2], "byte"):
			return r, engine.ErrSyntax
		}
	}
	if len(args) > 1 {
		if r.to, ok = number.Int(args[1]); !ok {
			return r, engine.ErrNotInt
		}
	}
	return r, nil
}

// of returns the bits of the part of s, from first to end.
func (r bitRange) of(s string) (first, end int64) {
	first, end = span(r.from, r.to, int64(len(s))*8/r.unit)
	return first * r.unit, end * r.unit
}

// count returns how many bits of s are set, from first to end.
func count(s string, first, end int64) (n int64) {
	for ; first < end && first&7 != 0; first++ {
		n += bitOf(s, first)
	}
	for ; end > first && end&7 != 0; end-- {
		n += bitOf(s, end-1)
	}
	if first >= end {
		return n
	}
	s = s[first>>3 : end>>3]
	for ; len(s) >= 8; s = s[8:] {
		n += int64(bits.OnesCount64(word(s)))
	}
	for i := range len(s) {
		n += int64(bits.OnesCount8(s[i]))
	}
	return n
}

// word returns the first 8 bytes of s.
func word(s string) uint64 {
	var b [8]byte
	copy(b[:], s)
	return binary.BigEndian.Uint64(b[:])
}

func bitCount(c *engine.Call) error {
	s, ok, err := c.ReadString(c.Args[1])
	switch {
	case err != nil:
		return err
	case !ok:
		c.W.Int(0)
		return nil
	case len(c.Args) == 3 || len(c.Args) > 5:
		return engine.ErrSyntax
	}
	r, err := bitRangeOf(c.Args[2:])
	if err != nil {
		return err
	}
	if first, end := r.of(s); backwards(r.from, r.to) {
		c.W.Int(0)
	} else {
		c.W.Int(count(s, first, end))
	}
	return nil
}

func bitPos(c *engine.Call) error {
	bit, ok := number.Int(c.Args[2])
	if !ok {
		return engine.ErrNotInt
	}
	if bit != 0 && bit != 1 {
		return engine.Error("ERR The bit argument must be 1 or 0.")
	}
	s, ok, err := c.ReadString(c.Args[1])
	switch {
	case err != nil:
		return err
	case !ok:
		c.W.Int(-bit) // zeros have no end
		return nil
	case len(c.Args) > 6:
		return engine.ErrSyntax
	}
	r, err := bitRangeOf(c.Args[3:])
	if err != nil {
		return err
	}
	first, end := r.of(s)
	at := position(s, bit, first, end)
	if at < 0 && bit == 0 && first < end && len(c.Args) < 5 {
		at = int64(len(s)) * 8 // behind the string are zeros
	}
	c.W.Int(at)
	return nil
}

// position returns the first bit of s, from first to end, that is bit, or -1.
func position(s string, bit, first, end int64) int64 {
	skip := byte(0) // a byte in which there is none
	if bit == 0 {
		skip = 0xff
	}
	for first < end {
		if first&7 == 0 && first+8 <= end && s[first>>3] == skip {
			first += 8
			continue
		}
		if bitOf(s, first) == bit {
			return first
		}
		first++
	}
	return -1
}

// bitOp copies what it makes of the strings: they may have any length, and what is missing is zeros.
func bitOp(c *engine.Call) error {
	op, key, sources := strings.ToLower(c.Args[1]), c.Args[2], c.Args[3:]
	switch op {
	case "and", "or", "xor":
	case "not":
		if len(sources) != 1 {
			return engine.Error("ERR BITOP NOT must be called with a single source key.")
		}
	default:
		return engine.ErrSyntax
	}
	values, size := make([]string, len(sources)), 0
	for i, source := range sources {
		n, err := find(c, source)
		if err != nil {
			return err
		}
		if n != nil {
			values[i] = n.Value.Str
			size = max(size, len(values[i]))
		}
	}
	if size == 0 {
		if c.Remove(key) {
			c.Notify(engine.EventGeneric, "del", key)
		}
		c.W.Int(0)
		return nil
	}
	if err := c.Room(int64(size)); err != nil {
		return err
	}
	b := engine.Grown(size)
	copy(b, values[0])
	for _, v := range values[1:] {
		combine(op, b, v)
	}
	if op == "not" {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	c.SetGrown(key, b, 0)
	c.Notify(engine.EventString, "set", key)
	c.W.Int(int64(size))
	return nil
}

// combine has b be b op v.
func combine(op string, b []byte, v string) {
	switch op {
	case "and":
		for i := range len(v) {
			b[i] &= v[i]
		}
		clear(b[len(v):])
	case "or":
		for i := range len(v) {
			b[i] |= v[i]
		}
	case "xor":
		for i := range len(v) {
			b[i] ^= v[i]
		}
	}
}
