package number

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestAddDecimals compares sums with those of AddLong.
func TestAddDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		n := r.Uint64() >> r.IntN(64)
		s := strconv.FormatUint(n, 10)
		if r.IntN(4) > 0 {
			decimals := r.IntN(18)
			if decimals > 0 {
				s = strings.Repeat("0", max(0, decimals+1-len(s))) + s
				s = s[:len(s)-decimals] + "." + s[len(s)-decimals:]
			}
		}
		if r.IntN(2) == 0 {
			s = "-" + s
		}
		return s
	}
	fast := 0
	for i := range 300_000 {
		a, b := text(), text()
		if i%5 == 0 {
			b = "-" + a
			if a[0] == '-' {
				b = a[1:]
			}
			if i%2 == 0 {
				b = b[:len(b)-1] + fmt.Sprint(r.IntN(10))
			}
		}
		got, ok := AddDecimals(a, b)
		if !ok {
			continue
		}
		fast++
		x, _ := Long(a)
		y, _ := Long(b)
		if want, _ := AddLong(x, y); got != want {
			t.Fatalf("%s + %s = %s, want %s", a, b, got, want)
		}
	}
	if fast < 200_000 {
		t.Errorf("%d sums were made", fast)
	}
	for _, s := range []string{"", "-", ".", "1.", ".5", "+1", "1e3", "inf", "0x1", " 1", "1_0", "12345678901234567890", "--1", "1.2.3"} {
		if got, ok := AddDecimals(s, "1"); ok {
			t.Errorf("%q + 1 = %s", s, got)
		}
	}
}

func BenchmarkAddDecimals(b *testing.B) {
	for b.Loop() {
		AddDecimals("3000.25", "1.1")
	}
}

func BenchmarkAddLong(b *testing.B) {
	for b.Loop() {
		x, _ := Long("3000.25")
		y, _ := Long("1.1")
		AddLong(x, y)
	}
}
