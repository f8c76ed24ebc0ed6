// Package number reads and writes numbers as Redis does.
package number

import (
	"math"
	"strconv"
	"strings"
)

// Int returns the integer that s is, in the one form that Redis writes: no spaces, no plus, no leading zeros.
func Int(s string) (n int64, ok bool) {
	if s == "" || len(s) > 20 {
		return 0, false
	}
	digits := s
	if s[0] == '-' {
		digits = s[1:]
	}
	if digits == "" || digits[0] == '0' && (len(digits) > 1 || len(s) > 1) {
		return 0, false
	}
	for i := range len(digits) {
		if digits[i] < '0' || '9' < digits[i] {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Float returns the number that s is, as strtod reads it, without spaces around it. NaN is none, and neither is what is beyond
// the range, but for infinity itself.
func Float(s string) (f float64, ok bool) {
	digits := strings.TrimLeft(s, "+-")
	hex := len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x'
	switch {
	case strings.IndexByte(s, '_') >= 0: // Go allows it in numbers
		return 0, false
	case hex && strings.IndexByte(s, 'p') < 0 && strings.IndexByte(s, 'P') < 0: // Go wants an exponent
		s += "p0"
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) {
		return 0, false
	}
	return f, f != 0 || isZero(digits, hex)
}

// isZero reports whether a number that was read as 0 is 0, and not one that is too small.
func isZero(digits string, hex bool) bool {
	exponent := "eE"
	if hex {
		digits, exponent = digits[2:], "pP"
	}
	if i := strings.IndexAny(digits, exponent); i >= 0 {
		digits = digits[:i]
	}
	return strings.Trim(digits, "0.") == ""
}

// Format returns a number as Redis 7.0 writes scores: with up to 17 digits, and an integer without a point.
func Format(f float64) string { return string(Append(nil, f)) }

// Append appends what Format returns.
func Append(b []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	case f == math.Trunc(f) && math.Abs(f) < 1e17:
		if f == 0 && math.Signbit(f) {
			return append(b, "-0"...)
		}
		return strconv.AppendInt(b, int64(f), 10)
	}
	return strconv.AppendFloat(b, f, 'g', 17, 64)
}
