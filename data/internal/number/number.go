// Package number reads and writes numbers as Redis does.
package number

import (
	"math"
	"strconv"
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

// Float returns the number that s is, as strtod reads it, without spaces around it. NaN is none.
func Float(s string) (f float64, ok bool) {
	for i := range len(s) {
		if s[i] == '_' {
			return 0, false // Go allows it in numbers
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	if err != nil { // out of range
		return 0, false
	}
	return f, !math.IsNaN(f)
}

// Format returns a number as Redis writes scores and the results of INCRBYFLOAT to clients of version 2:
// the shortest text that is read back as the same number, and an integer without a point.
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
