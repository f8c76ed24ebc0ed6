package conf

import (
	"slices"
	"strings"
)

// Nearest returns the name that somebody may have meant, or "".
func Nearest(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1 // of three letters two would say little
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// nearestPath returns what is to be said of a path that is none of the known ones: which one may have been
// meant, or which there are beside it; "" if nothing is near.
func nearestPath(path string, known []string, prefix string) string {
	if i := strings.LastIndexByte(path, '.'); i > 0 {
		var beside []string
		for _, k := range known {
			if rest, ok := strings.CutPrefix(k, path[:i+1]); ok && !strings.Contains(rest, ".") {
				beside = append(beside, rest)
			}
		}
		if len(beside) > 0 {
			if near := Nearest(path[i+1:], beside); near != "" {
				return "did you mean " + prefix + path[:i+1] + near + "?"
			}
			return "want one of " + prefix + path[:i+1] + strings.Join(beside, ", ")
		}
	}
	if near := Nearest(path, known); near != "" {
		return "did you mean " + prefix + near + "?"
	}
	return ""
}

// mostCompared bounds the names that are compared, in bytes.
const mostCompared = 100

// distance counts the letters to insert, delete, replace or swap with the next.
func distance(a, b string) int {
	if len(a) > mostCompared || len(b) > mostCompared {
		return mostCompared
	}
	var before []int // the row before the last
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
