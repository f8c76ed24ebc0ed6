// Package glob matches the patterns of Redis' KEYS, SCAN and PSUBSCRIBE.
package glob

// mostStars is how many * a pattern may have, but for one at its end: one with more matches nothing, as in Redis.
const mostStars = 1000

// Match reports whether s fits a pattern: ? is any byte, * any number of bytes, [ae-z] and [^a] are
// classes, and \ takes the next byte as it is. What Redis does with a class that has no end is done
// here: it ends with the pattern.
//
// The time is at most the product of the lengths: of several * only the last one is tried again,
// since what the former ones took cannot matter.
func Match(pattern, s string) bool {
	star, from := -1, 0 // the last *, and where what it takes ends
	p, i, stars := 0, 0, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			for p+1 < len(pattern) && pattern[p+1] == '*' {
				p++
			}
			if stars++; stars > mostStars && p+1 < len(pattern) {
				return false
			}
			star, from = p, i
			p++
			continue
		}
		if n, ok := one(pattern[p:], s[i]); ok {
			p += n
			i++
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star+1, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// one matches a byte with what pattern begins with, which is n bytes long and no *.
func one(pattern string, b byte) (n int, ok bool) {
	switch {
	case pattern == "":
		return 0, false
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '[':
		return class(pattern, b)
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, pattern[1] == b
	}
	return 1, pattern[0] == b
}

// class matches a byte with a class, at the beginning of pattern.
func class(pattern string, b byte) (n int, ok bool) {
	i := 1
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			ok = ok || pattern[i] == b
		case i+2 < len(pattern) && pattern[i+1] == '-':
			from, to := pattern[i], pattern[i+2]
			ok = ok || min(from, to) <= b && b <= max(from, to)
			i += 2
		default:
			ok = ok || pattern[i] == b
		}
	}
	return min(i+1, len(pattern)), ok != not
}

// Literal returns what a pattern matches if that is one string alone.
func Literal(pattern string) (string, bool) {
	for i := range len(pattern) {
		switch pattern[i] {
		case '*', '?', '[', '\\':
			return "", false
		}
	}
	return pattern, true
}
