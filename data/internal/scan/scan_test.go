package scan

import "testing"

func TestCursor(t *testing.T) {
	for _, test := range []struct {
		s    string
		want uint64
		ok   bool
	}{
		{"0", 0, true},
		{"", 0, true},
		{"17", 17, true},
		{"-1", 1<<64 - 1, true},
		{"18446744073709551615", 1<<64 - 1, true},
		{"18446744073709551616", 0, false},
		{" 1", 0, false},
		{"1 ", 0, false},
		{"abc", 0, false},
	} {
		if got, err := Cursor(test.s); got != test.want || (err == nil) != test.ok {
			t.Errorf("Cursor(%q) = %d, %v", test.s, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		args  []string
		count int
		fits  string
		err   string
	}{
		{nil, 10, "anything", ""},
		{[]string{"COUNT", "3", "match", "a*"}, 3, "ab", ""},
		{[]string{"count", "0"}, 0, "", "ERR syntax error"},
		{[]string{"count", "x"}, 0, "", "ERR value is not an integer or out of range"},
		{[]string{"count"}, 0, "", "ERR syntax error"},
		{[]string{"type", "hash"}, 0, "", "ERR syntax error"},
	} {
		o, err := Parse(test.args, nil)
		if err != nil {
			if err.Error() != test.err {
				t.Errorf("%q: %v, want %q", test.args, err, test.err)
			}
			continue
		}
		if test.err != "" || o.Count != test.count || !o.Fits(test.fits) || test.args != nil && o.Fits("b") {
			t.Errorf("%q: %+v", test.args, o)
		}
	}
}
