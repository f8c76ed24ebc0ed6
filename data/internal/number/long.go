package number

import (
	"math/big"
	"strings"
)

// The numbers of INCRBYFLOAT and HINCRBYFLOAT are long doubles, as x86 has them.
const (
	longBits     = 64    // of the mantissa
	longMost     = 16384 // the exponent of the first power of two that is too large
	longLeast    = -16445
	longText     = 5 << 10 // a longer text is none
	longDecimals = 17      // after the point
)

// Long returns the number that s is, as strtold reads it, without spaces around it. NaN is none, and neither is what is beyond
// the range, but for infinity itself.
func Long(s string) (f *big.Float, ok bool) {
	if s == "" || len(s) >= longText || strings.ContainsRune(s, '_') {
		return nil, false
	}
	digits := strings.TrimLeft(s, "+-")
	base := 10
	switch {
	case len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x':
		base = 0
	case strings.EqualFold(digits, "inf") || strings.EqualFold(digits, "infinity"):
		if len(s)-len(digits) > 1 {
			return nil, false
		}
		return new(big.Float).SetInf(s[0] == '-'), true
	case strings.ContainsAny(digits, "pP"): // Go has it in decimal numbers too
		return nil, false
	}
	f, _, err := big.ParseFloat(s, base, longBits, big.ToNearestEven)
	if err != nil || f.IsInf() {
		return nil, false
	}
	if exp := f.MantExp(nil); f.Sign() != 0 && (exp > longMost || exp < longLeast) {
		return nil, false
	}
	return f, true
}

// AddLong returns the sum of two numbers, as INCRBYFLOAT replies it. ok is false if that is no finite number.
func AddLong(a, b *big.Float) (sum string, ok bool) {
	if a.IsInf() || b.IsInf() {
		return "", false
	}
	f := new(big.Float).SetPrec(longBits).Add(a, b)
	if f.Sign() != 0 && f.MantExp(nil) > longMost {
		return "", false
	}
	sum = strings.TrimRight(strings.TrimRight(f.Text('f', longDecimals), "0"), ".")
	if sum == "-0" || sum == "" || sum == "-" {
		return "0", true
	}
	return sum, true
}
