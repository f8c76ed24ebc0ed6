package number

import "testing"

// TestAddLong has what Redis 7.0 replies.
func TestAddLong(t *testing.T) {
	for _, test := range []struct{ a, b, want string }{
		{"10.5", "0.1", "10.6"},
		{"10.6", "-0.0001", "10.5999"},
		{"0.1", "0.2", "0.3"},
		{"3e3", "1.1", "3001.10000000000000009"},
		{"1e17", "1", "100000000000000001"},
		{"100000000000000001", "1e30", "1000000000000100000057486475264"},
		{"-5", "5", "0"},
		{"0", "-1e-18", "0"},
		{"0", "100", "100"},
		{"2", "0x10", "18"},
		{"+1", "1.", "2"},
		{".5", "0", "0.5"},
		{"inf", "1", ""},
		{"1", "-Infinity", ""},
		{"1e4932", "1e4932", ""},
	} {
		a, okA := Long(test.a)
		b, okB := Long(test.b)
		if !okA || !okB {
			t.Errorf("%s or %s is no number", test.a, test.b)
			continue
		}
		if got, ok := AddLong(a, b); got != test.want || ok != (test.want != "") {
			t.Errorf("%s + %s = %q, want %q", test.a, test.b, got, test.want)
		}
	}
}

func TestLongIsNone(t *testing.T) {
	for _, s := range []string{"", " 1", "1 ", "abc", "nan", "1_0", "1p3", "1e5000", "1e-5000", "1e99999999999999999999", "--1", "+-inf", "+", "0b1", "1e", "0x"} {
		if f, ok := Long(s); ok {
			t.Errorf("Long(%q) = %v", s, f)
		}
	}
}
