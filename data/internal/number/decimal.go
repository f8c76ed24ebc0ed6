package number

import (
	"cmp"
	"math/bits"
	"strconv"
)

// extended is a number of which all that is needed fits in 64 bits of mantissa, as a long double has them: mant·2^exp. mant has its
// highest bit set, or is 0.
type extended struct {
	negative bool
	mant     uint64
	exp      int
}

// maxDecimals is how many digits fit in 64 bits, whatever they are.
const maxDecimals = 19

// pow10 are the powers of ten that fit in 64 bits.
var pow10 = func() (p [maxDecimals + 1]uint64) {
	p[0] = 1
	for i := range maxDecimals {
		p[i+1] = p[i] * 10
	}
	return p
}()

// AddDecimals is AddLong of what Long makes of a and b, where both are plain decimals of moderate size: ok is false if they are not.
// It takes a tenth of the time.
func AddDecimals(a, b string) (sum string, ok bool) {
	x, ok := parseExtended(a)
	if !ok {
		return "", false
	}
	y, ok := parseExtended(b)
	if !ok {
		return "", false
	}
	if x, ok = x.add(y); !ok {
		return "", false
	}
	return x.format()
}

// parseExtended reads digits, with a point among them.
func parseExtended(s string) (x extended, ok bool) {
	if s != "" && s[0] == '-' {
		x.negative, s = true, s[1:]
	}
	if s == "" || len(s) > maxDecimals {
		return x, false
	}
	n, point := uint64(0), -1
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			n = n*10 + uint64(c-'0')
		case c == '.' && point < 0 && i > 0 && i < len(s)-1:
			point = i
		default:
			return x, false
		}
	}
	if n == 0 {
		return x, true
	}
	shift := bits.LeadingZeros64(n)
	x.mant, x.exp = n<<shift, -shift
	if point >= 0 {
		x.divide(pow10[len(s)-1-point])
	}
	return x, true
}

// divide divides x, which is not 0, by d.
func (x *extended) divide(d uint64) {
	shift := bits.LeadingZeros64(d)
	d <<= shift
	x.exp += shift - 64
	high, low := x.mant, uint64(0)
	if high >= d {
		high, low = high>>1, high<<63
		x.exp++
	}
	q, rest := bits.Div64(high, low, d)
	x.mant = q
	x.round(cmp.Compare(rest, d-rest))
}

// round rounds to the nearest, and of two to the even one: rest says how what is left compares with half of the last bit.
func (x *extended) round(rest int) {
	if rest < 0 || rest == 0 && x.mant&1 == 0 {
		return
	}
	if x.mant++; x.mant == 0 {
		x.mant = 1 << 63
		x.exp++
	}
}

// add returns x + y. ok is false if one is much larger.
func (x extended) add(y extended) (sum extended, ok bool) {
	if y.mant == 0 {
		return x, true
	}
	if x.mant == 0 {
		return y, true
	}
	if x.exp < y.exp || x.exp == y.exp && x.mant < y.mant {
		x, y = y, x
	}
	shift := x.exp - y.exp
	if shift > 63 {
		return x, false
	}
	high, low := y.mant>>shift, y.mant<<(64-shift)
	if x.negative == y.negative {
		var carry uint64
		if high, carry = bits.Add64(x.mant, high, 0); carry != 0 { // the last bit of low is 0
			high, low = 1<<63|high>>1, high<<63|low>>1
			x.exp++
		}
	} else {
		var borrow uint64
		low, borrow = bits.Sub64(0, low, 0)
		high, _ = bits.Sub64(x.mant, high, borrow)
		if high == 0 {
			high, low = low, 0
			x.exp -= 64
		}
		if high == 0 {
			return extended{}, true
		}
		n := bits.LeadingZeros64(high)
		high, low = high<<n|low>>(64-n), low<<n
		x.exp -= n
	}
	x.mant = high
	x.round(cmp.Compare(low, 1<<63))
	return x, true
}

// format writes x with longDecimals digits after the point, without zeros at the end. ok is false if x is large, or very small.
func (x extended) format() (s string, ok bool) {
	shift := -x.exp
	if x.mant == 0 {
		return "0", true
	}
	if shift < 0 || shift > 125 {
		return "", false
	}
	whole, fraction := x.mant>>shift, x.mant
	if shift < 64 {
		fraction &= 1<<shift - 1
	}
	// fraction·10^17 is shifted: what falls off decides how it is rounded.
	high, low := bits.Mul64(fraction, pow10[longDecimals])
	if shift >= 64 {
		rest := low >> 63 << 1 // two bits are enough: the first, and whether there are others
		if low<<1 != 0 {
			rest |= 1
		}
		high, low, shift = 0, high<<2|rest, shift-64+2
	}
	decimals := extended{mant: high<<(64-shift) | low>>shift}
	if shift > 0 {
		decimals.round(cmp.Compare(low&(1<<shift-1), 1<<(shift-1)))
	}
	if decimals.mant == pow10[longDecimals] {
		whole, decimals.mant = whole+1, 0
	}
	if whole == 0 && decimals.mant == 0 {
		return "0", true
	}
	var buf [48]byte
	b := buf[:0]
	if x.negative {
		b = append(b, '-')
	}
	b = strconv.AppendUint(b, whole, 10)
	if decimals.mant > 0 {
		b = append(b, '.')
		at := len(b)
		b = strconv.AppendUint(b, pow10[longDecimals]+decimals.mant, 10)
		b = append(b[:at], b[at+1:]...) // the one that kept the zeros
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return string(b), true
}
