package number

import (
	"math"
	"testing"
)

func TestInt(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "-1": -1, "12": 12, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64} {
		if got, ok := Int(s); got != want || !ok {
			t.Errorf("Int(%q) = %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "1e3", "0x1", "1_0", "9223372036854775808", "-9223372036854775809", "100000000000000000000"} {
		if got, ok := Int(s); ok {
			t.Errorf("Int(%q) = %d", s, got)
		}
	}
}

func TestFloat(t *testing.T) {
	for s, want := range map[string]float64{"0": 0, "-0.0": 0, "0e99": 0, "1.5": 1.5, ".5": 0.5, "5.": 5, "+1": 1, "-1e3": -1000, "0x1F": 31, "-0x1.8": -1.5,
		"0X1p-1": 0.5, "0x0": 0, "inf": math.Inf(1), "-Infinity": math.Inf(-1), "4.9e-324": 5e-324, "1.7976931348623157e308": math.MaxFloat64} {
		if got, ok := Float(s); got != want || !ok {
			t.Errorf("Float(%q) = %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", " 1", "1 ", "nan", "-nan", "1e400", "-1e400", "1e-400", "0x1p-2000", "1e", "0x", "1_0", "0x1_0", "--1", "abc", "1,5", ".", "0b1"} {
		if got, ok := Float(s); ok {
			t.Errorf("Float(%q) = %v", s, got)
		}
	}
}

// TestFormat has what Redis 7.0 replies to ZSCORE.
func TestFormat(t *testing.T) {
	for want, f := range map[string]float64{"0.10000000000000001": 0.1, "3": 3, "-0": math.Copysign(0, -1), "inf": math.Inf(1), "-inf": math.Inf(-1),
		"10000000000000000": 1e16, "1e+17": 1e17, "1.0000000000000001e-05": 0.00001, "0.0001": 0.0001, "4.9406564584124654e-324": 5e-324,
		"1.7976931348623157e+308": math.MaxFloat64, "1.2345678901234568e+17": 123456789012345680} {
		if got := Format(f); got != want {
			t.Errorf("Format(%v) = %s, want %s", f, got, want)
		}
	}
}
