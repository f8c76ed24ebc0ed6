package glob

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"[abc]", "b", true}, {"[^abc]", "b", false}, {"[^abc]", "d", true},
		{"[a-c]x", "bx", true}, {"[c-a]x", "bx", true}, {"[a-c]x", "dx", false}, {`\*`, "*", true}, {`\*`, "a", false},
		{`a\`, `a\`, true}, {"[abc", "c", true}, {"[", "a", false}, {`[\]]`, "]", true}, {"h*llo*d", "hello world", true},
		{"*a*b*c", "xxaxxbxxc", true}, {"*a*b*c", "xxaxxcxxb", false}, {"user:*:name", "user:17:name", true},
	} {
		if got := Match(c.pattern, c.s); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// TestManyStars has a pattern that takes exponential time if all its stars are tried again.
func TestManyStars(t *testing.T) {
	if Match(strings.Repeat("a*", 50)+"b", strings.Repeat("a", 5000)) {
		t.Error("matches")
	}
	for n, want := range map[int]bool{1000: true, 1001: false} {
		if Match(strings.Repeat("*?", n), strings.Repeat("a", n)) != want {
			t.Errorf("%d stars: want %v", n, want)
		}
	}
	if !Match(strings.Repeat("*?", 1000)+"**", strings.Repeat("a", 1000)) {
		t.Error("a star at the end counts")
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*[^b-d]?", "axyz")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		Match(pattern, s)
		if l, ok := Literal(pattern); ok && Match(pattern, s) != (l == s) {
			t.Errorf("%q, %q", pattern, s)
		}
	})
}
