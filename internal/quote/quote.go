// Package quote shows keys, names and texts of others in errors and logs: any bytes, but not too
// many of them.
package quote

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LongestKey is how much of a key an error or a log shows, in bytes.
const LongestKey = 64

// Key shows a key in an error: any bytes, but not too many.
func Key(key string) string {
	if len(key) > LongestKey {
		return fmt.Sprintf("%q… (%d bytes)", key[:LongestKey], len(key))
	}
	return fmt.Sprintf("%q", key)
}

// longestText is how much of a text of a peer an error shows, in bytes.
const longestText = 1024

// Text shows a text that a peer has sent, whose bytes may be control characters, or no
// text at all.
func Text(text string) string {
	if len(text) > longestText {
		return fmt.Sprintf("%q… (%d bytes)", text[:longestText], len(text))
	}
	return fmt.Sprintf("%q", text)
}

// All quotes names.
func All(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = Key(name)
	}
	return all
}

// Some names the first of many peers, and counts the others.
func Some(names []string) string {
	if len(names) <= MostNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:MostNamed], ", "), len(names)-MostNamed)
}

func IsOrAre(names []string) string {
	if len(names) == 1 {
		return " is "
	}
	return " are "
}

// MostNamed is how many names the text of an error shows. Beyond that it counts them.
const MostNamed = 5

// SomeKeys names the first of the peers, and counts the others.
func SomeKeys[V any](peers map[string]V) string { return Some(slices.Sorted(maps.Keys(peers))) }
